//! A job that is a command: a child process of the worker.
//!
//! **Invariant**: the worker outlives its command and nothing else. A grandchild that stays is not waited for; it ends with
//! the container, whose first process is the worker.

use std::{
    cell::Cell,
    ffi::OsString,
    future::Future,
    io,
    os::unix::process::ExitStatusExt as _,
    pin::{Pin, pin},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use aws::clock;
use domain::{
    Json,
    output::{Exit, NOT_EXECUTABLE, NOT_FOUND},
};
use rustix::process::{Pid, kill_process};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    config,
    finished::Finished,
    scan::{LastJsonLine, Tail},
    stops::{Stop, Stops},
};

/// Longest single string of a program's environment on Linux, its NUL included: `MAX_ARG_STRLEN`
/// (<https://man7.org/linux/man-pages/man2/execve.2.html>). One that is longer makes the program impossible to start.
const ENVIRONMENT_STRING_BYTES: usize = 128 * 1024;

/// How long a command may take to end after its deadline, before it is killed.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// How long the pipes may be silent after the command's end. What the command itself printed is in them by then, and is waited
/// for as long as the log takes no more of it; otherwise only a grandchild that holds them open makes this wait long.
const DRAIN: Duration = Duration::from_secs(2);

/// How much is read at once: all that a pipe holds on Linux, and so all that a command has left in one that has ended.
const CHUNK: usize = 64 * 1024;

/// Runs a command to its end, and passes on what it prints.
pub(crate) async fn run(command: &[OsString], input: &Json, stops: &mut Stops) -> Finished {
    let mut child = match start(command, input) {
        Ok(child) => child,
        Err((code, why)) => {
            tracing::error!("{why}");
            let exit = Exit::NotStarted { code, why };
            return ended(exit, LastJsonLine::default(), Tail::default(), None);
        }
    };
    let (mut result, mut tail) = (LastJsonLine::default(), Tail::default());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let flow = Flow::default();
    let (status, stop) = {
        let streams = pin!(async {
            tokio::join!(
                feed(stdin, input),
                pass_on(stdout, tokio::io::stdout(), &flow, |bytes| result.see(bytes)),
                pass_on(stderr, tokio::io::stderr(), &flow, |bytes| tail.see(bytes)),
            )
        });
        wait(&mut child, stops, streams, &flow).await
    };
    let exit = match status {
        Ok(status) => exit(status),
        Err(why) => Exit::Lost(format!("cannot wait for the command: {why}")),
    };
    ended(exit, result, tail, stop)
}

fn ended(exit: Exit, result: LastJsonLine, tail: Tail, stop: Option<Stop>) -> Finished {
    Finished { exit, output: result.finish(), tail: tail.finish(), stop, at: clock::now() }
}

/// The command's process, or the exit code that shells have for its not starting, and why.
fn start(command: &[OsString], input: &Json) -> Result<Child, (i32, String)> {
    let Some((program, arguments)) = command.split_first() else {
        return Err((NOT_FOUND, "there is no command to run".to_owned()));
    };
    let mut start = Command::new(program);
    start.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // The rest of the environment is the command's too: EXECUTION_ID, the task's role, and what its image sets. Where the
    // worker reads and records is the worker's business.
    start.env_remove(config::EXECUTIONS_TABLE).env_remove(config::INPUT_TABLE);
    if fits_environment(input) {
        start.env(config::INPUT, input.text());
    } else {
        start.env_remove(config::INPUT);
    }
    start.spawn().map_err(|why| {
        let code = if why.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        (code, format!("cannot run {}: {why}", program.display()))
    })
}

fn fits_environment(input: &Json) -> bool {
    config::INPUT.len() + "=".len() + input.text().len() < ENVIRONMENT_STRING_BYTES
}

/// Waits for the command's end, then for what it has still in its pipes. While something is being written, it is the log that
/// is slow: the rest of the output may hold the result, and is waited for until somebody wants the task to stop.
async fn wait(
    child: &mut Child,
    stops: &mut Stops,
    mut streams: Pin<&mut impl Future>,
    flow: &Flow,
) -> (io::Result<ExitStatus>, Option<Stop>) {
    let (mut stopped, mut kill_at, mut drained) = (None, None, false);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            stop = stops.next() => {
                send(child, stop);
                stopped = stopped.or(Some(stop));
                if stop == Stop::Deadline {
                    tracing::warn!("the deadline has passed: the command has to stop");
                    kill_at = Some(Instant::now() + GRACE);
                }
            }
            () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                kill_at = None;
                tracing::warn!("the command does not stop: it is killed");
                if let Err(why) = child.start_kill() {
                    tracing::warn!(%why, "cannot kill the command");
                }
            }
            _ = &mut streams, if !drained => drained = true,
        }
    };
    flow.ended.set(true);
    while !drained {
        tokio::select! {
            _ = &mut streams => drained = true,
            () = sleep(DRAIN) => if flow.writing.get() == 0 || stopped.is_some() {
                tracing::warn!("something that the command left behind holds its output open: not waiting for it");
                break;
            },
            // It is no longer the command's business.
            _ = stops.next() => break,
        }
    }
    (status, stopped)
}

/// Tells the command to stop. One that has ended in this moment needs no telling.
fn send(child: &Child, stop: Stop) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(why) = kill_process(pid, stop.signal())
    {
        tracing::warn!(%why, "cannot signal the command");
    }
}

fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Lost(format!("the command ended with {status}")),
    }
}

/// Gives the command its input, then the end of it. A command need not read it.
async fn feed(stdin: Option<ChildStdin>, input: &Json) {
    if let Some(mut stdin) = stdin {
        // An error says that nobody reads any more.
        let _ = stdin.write_all(input.text().as_bytes()).await;
    }
}

/// How far a command's output is.
#[derive(Debug, Default)]
struct Flow {
    /// The command has ended.
    ended: Cell<bool>,
    /// How many streams are being written to.
    writing: Cell<u32>,
}

/// Passes on what comes, until nothing of the command's can come any more.
async fn pass_on(
    from: Option<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    flow: &Flow,
    mut see: impl FnMut(&[u8]),
) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; CHUNK];
    let mut open = true;
    let mut left = CHUNK;
    while left > 0
        && let Ok(length @ 1..) = from.read(&mut buffer).await
    {
        if flow.ended.get() {
            left = left.saturating_sub(length);
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        see(bytes);
        // A log that is closed is no reason to lose the result.
        flow.writing.set(flow.writing.get() + 1);
        open = open && to.write_all(bytes).await.is_ok() && to.flush().await.is_ok();
        flow.writing.set(flow.writing.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_goes_into_the_environment_while_linux_takes_it() {
        let input = |bytes: usize| Json::parse(&format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
        let most = ENVIRONMENT_STRING_BYTES - "EXECUTION_INPUT=\0".len();
        assert!(fits_environment(&input(most)));
        assert!(!fits_environment(&input(most + 1)));
    }
}
