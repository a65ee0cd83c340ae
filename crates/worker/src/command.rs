//! A job that is a command: a separate process group, started by the worker.
//!
//! Signals go to the whole group, so that they reach the program behind a shell, a pipe or a fork. Only the worker reaps processes,
//! including orphaned ones, which it inherits as the first process of a container.
//!
//! **Invariant**: the worker waits for its command and nothing else. It does not wait for processes that the command leaves running, unless
//! the job is being stopped: then the whole group has time until shortly before ECS would kill the task. What is still running then is
//! killed.

use std::{
    cell::Cell,
    ffi::OsString,
    future::Future,
    io,
    os::unix::process::CommandExt as _,
    pin::{Pin, pin},
    process::{Child, Command, Stdio},
    time::Duration,
};

use domain::{
    Json,
    output::{Exit, NOT_EXECUTABLE, NOT_FOUND, ResultSource, Scanner},
};
use runtime::clock;
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, test_kill_process_group, wait},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{ChildStderr, ChildStdin, ChildStdout},
    signal::unix::{self, SignalKind, signal},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    config,
    files::Files,
    finished::Finished,
    foreground::Foreground,
    result_file::ResultFile,
    scan::Tail,
    stops::{Stop, Stops, Told},
};

/// Longest single string of a program's environment on Linux, including its NUL: `MAX_ARG_STRLEN`
/// (<https://man7.org/linux/man-pages/man2/execve.2.html>). With a longer one, the program cannot be started.
const ENVIRONMENT_STRING_BYTES: usize = 128 * 1024;

/// How long before the end of the stop timeout the rest of a stopped job is killed, so that its outcome can be recorded before the
/// task is killed.
pub(crate) const MARGIN: Duration = Duration::from_secs(2);

/// How long to wait for killed processes to end.
const REAP_TIMEOUT: Duration = Duration::from_millis(500);

/// How often to check whether any process of a stopped job is still running.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long to wait for the pipes to close after the command's end. While output is still being written to a slow log, this wait is
/// repeated. Everything that the command itself printed is in the pipes by then. If they do not close, a grandchild holds them open.
const DRAIN: Duration = Duration::from_secs(2);

/// How much is read at once: the capacity of a pipe on Linux, which is also the most that a command can have left in it when it ended.
const CHUNK: usize = 64 * 1024;

/// Runs a command to its end, and passes on its output. If it is stopped, it has `stop_timeout` to end.
pub(crate) async fn run(
    command: &[OsString],
    input: &Json,
    files: &Files,
    stops: &mut Stops,
    stop_timeout: Duration,
) -> io::Result<Finished> {
    // Before any child exists, so that no child's end is missed.
    let children = signal(SignalKind::child())?;
    adopt_orphans();
    let mut child = match start(command, input, files) {
        Ok(child) => child,
        Err((code, why)) => {
            tracing::error!("{why}");
            return Ok(Finished::of(Exit::NotStarted { code, why }, clock::now()));
        }
    };
    let (mut result, mut out, mut err) = (Scanner::default(), Tail::default(), Tail::default());
    let stdin = child.stdin.take().map(ChildStdin::from_std).transpose()?;
    let stdout = child.stdout.take().map(ChildStdout::from_std).transpose()?;
    let stderr = child.stderr.take().map(ChildStderr::from_std).transpose()?;
    let mut group = Group { leader: Pid::from_child(&child), children, ended: None, stopping: None };
    let output = OutputState::default();
    let (exit, stop) = {
        let streams = pin!(async {
            let seen = |bytes: &[u8]| {
                result.see(bytes);
                out.see(bytes);
            };
            tokio::join!(
                feed(stdin, input),
                pass_on(stdout, tokio::io::stdout(), &output, seen),
                pass_on(stderr, tokio::io::stderr(), &output, |bytes| err.see(bytes)),
            )
        });
        wait_for_end(&mut group, stops, streams, &output, stop_timeout).await
    };
    let (output, source) = match files.result.as_ref().and_then(ResultFile::read) {
        Some(output) => (output, ResultSource::File),
        None => (result.finish(), ResultSource::Stdout),
    };
    let (out, err) = (out.finish(), err.finish());
    let tail = if err.trim().is_empty() { out } else { err };
    Ok(Finished { output, source, tail, stop, ..Finished::of(exit, clock::now()) })
}

/// Makes orphaned descendants children of the worker, as they are if it is the first process of a container.
fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    {
        // If this fails, another process reaps them.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    }
}

/// Starts the command. If that fails: the exit code that shells would report, and why.
fn start(command: &[OsString], input: &Json, files: &Files) -> Result<Child, (i32, String)> {
    let Some((program, arguments)) = command.split_first() else {
        return Err((NOT_FOUND, "there is no command to run".to_owned()));
    };
    let mut start = Command::new(program);
    start.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    // The command gets the rest of the environment: EXECUTION_ID, the task's role, and what its image sets. Only the worker needs to
    // know where it reads and records.
    for name in config::PRIVATE {
        start.env_remove(name);
    }
    if fits_environment(input) {
        start.env(config::INPUT, input.text());
    } else {
        start.env_remove(config::INPUT);
    }
    for (name, path) in files.variables() {
        match path {
            Some(path) => start.env(name, path),
            None => start.env_remove(name),
        };
    }
    start.spawn().map_err(|why| {
        let code = if why.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        (code, format!("cannot run {}: {why}", program.display()))
    })
}

fn fits_environment(input: &Json) -> bool {
    config::INPUT.len() + "=".len() + input.text().len() < ENVIRONMENT_STRING_BYTES
}

/// The command's process group, and other processes that become children of the worker.
#[derive(Debug)]
struct Group {
    leader: Pid,
    /// Fires when one or more children have ended.
    children: unix::Signal,
    /// How the command ended.
    ended: Option<WaitStatus>,
    /// The first signal that told it to stop, and what its shells waited for then.
    stopping: Option<(Signal, Foreground)>,
}

impl Group {
    /// Waits for the command's end, and reaps other children that end before. Cancel safe.
    async fn ended(&mut self) -> Exit {
        loop {
            let none_left = self.reap();
            match self.ended {
                Some(status) => return exit(status),
                None if none_left => return Exit::Lost("another process reaped the command".to_owned()),
                None => self.children.recv().await,
            };
        }
    }

    /// Reaps all children that have ended. Returns whether no child is left.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.leader => self.ended = Some(status),
                Ok(Some((pid, status))) => {
                    if let Some((_, foreground)) = &mut self.stopping {
                        foreground.note(pid, status);
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
    }

    /// Waits until no process of the group is running.
    async fn gone(&mut self) {
        loop {
            self.reap();
            if test_kill_process_group(self.leader).is_err() {
                return;
            }
            sleep(INTERVAL).await;
        }
    }

    /// Passes on a signal, but SIGTERM only once: at a deadline, the worker sends one itself, and ECS another when it stops the task.
    fn tell(&mut self, told: Told) {
        let signal = told.signal();
        if let Told::Stop(_) = told {
            match &self.stopping {
                Some((before, _)) if *before == Signal::TERM && signal == Signal::TERM => return,
                Some(_) => {}
                None => self.stopping = Some((signal, Foreground::of(self.leader))),
            }
        }
        self.signal(signal);
    }

    /// How the job ended. If a shell died of the signal that stopped the job, the exit of the program that it was waiting for counts.
    fn exit(&self, of_leader: Exit) -> Exit {
        match (&self.stopping, self.ended) {
            (Some((signal, foreground)), Some(ended)) => exit(foreground.ended(ended, signal.as_raw())),
            (Some(_) | None, _) => of_leader,
        }
    }

    /// Signals the group, if it still exists.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.leader, signal);
    }
}

fn exit(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Lost(format!("the command ended with the status {:#x}", status.as_raw())),
    }
}

/// Waits for the command's end; if the job is being stopped, for the rest of its group; then for what is still in its pipes. If output is
/// still being written then, the log is slow. The rest of the output may contain the result, so the worker waits for it until the task
/// has to stop.
async fn wait_for_end(
    group: &mut Group,
    stops: &mut Stops,
    mut streams: Pin<&mut impl Future>,
    output: &OutputState,
    stop_timeout: Duration,
) -> (Exit, Option<Stop>) {
    let (mut stopped, mut kill_at, mut drained) = (None::<(Stop, Instant)>, None, false);
    let exit = loop {
        tokio::select! {
            exit = group.ended() => break exit,
            told = stops.told() => {
                group.tell(told);
                if let Told::Stop(stop) = told {
                    let now = Instant::now();
                    stopped = stopped.or(Some((stop, now)));
                    // If the signal comes from ECS, ECS also sends SIGKILL when the task takes too long. At the deadline, the worker has
                    // to do that itself.
                    if stop == Stop::Deadline {
                        kill_at = Some(now + stop_timeout);
                    }
                }
            }
            () = sleep_until(kill_at.unwrap_or_else(Instant::now)), if kill_at.is_some() => {
                kill_at = None;
                group.signal(Signal::KILL);
            }
            _ = &mut streams, if !drained => drained = true,
        }
    };
    if let Some((_, since)) = stopped {
        let until = since + stop_timeout.saturating_sub(MARGIN.min(stop_timeout / 2));
        let mut patient = true;
        while patient {
            tokio::select! {
                () = group.gone() => patient = false,
                () = sleep_until(until) => patient = false,
                told = stops.told() => group.tell(told),
                _ = &mut streams, if !drained => drained = true,
            }
        }
        group.signal(Signal::KILL);
        // Killed processes end within a moment. Waiting for that shows how they ended.
        let _ = tokio::time::timeout(REAP_TIMEOUT, group.gone()).await;
    }
    output.ended.set(true);
    while !drained {
        tokio::select! {
            _ = &mut streams => drained = true,
            () = sleep(DRAIN) => if output.writing.get() == 0 || stopped.is_some() {
                break;
            },
            // The command has ended, so it does not get this signal.
            told = stops.told() => if matches!(told, Told::Stop(_)) {
                break;
            },
        }
    }
    group.signal(Signal::KILL);
    group.reap();
    (group.exit(exit), stopped.map(|(stop, _)| stop))
}

/// Writes the command's input to its stdin and closes it. A command does not have to read it.
async fn feed(stdin: Option<ChildStdin>, input: &Json) {
    if let Some(mut stdin) = stdin {
        // An error means that the command no longer reads.
        let _ = stdin.write_all(input.text().as_bytes()).await;
    }
}

/// The state of a command's output.
#[derive(Debug, Default)]
struct OutputState {
    /// The command has ended.
    ended: Cell<bool>,
    /// How many streams are being written to.
    writing: Cell<u32>,
}

/// Passes on output until no more can come from the command.
async fn pass_on(
    from: Option<impl AsyncRead + Unpin>,
    mut to: impl AsyncWrite + Unpin,
    output: &OutputState,
    mut see: impl FnMut(&[u8]),
) {
    let Some(mut from) = from else { return };
    let mut buffer = vec![0; CHUNK];
    let mut open = true;
    let mut left = CHUNK;
    while left > 0
        && let Ok(length @ 1..) = from.read(&mut buffer).await
    {
        if output.ended.get() {
            left = left.saturating_sub(length);
        }
        let bytes = buffer.get(..length).unwrap_or_default();
        see(bytes);
        // If the log is closed, the result must still not be lost.
        output.writing.set(output.writing.get() + 1);
        open = open && to.write_all(bytes).await.is_ok() && to.flush().await.is_ok();
        output.writing.set(output.writing.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_in_the_environment_if_it_fits_the_limit_of_linux() {
        let input = |bytes: usize| Json::parse(&format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
        let most = ENVIRONMENT_STRING_BYTES - "EXECUTION_INPUT=\0".len();
        assert!(fits_environment(&input(most)));
        assert!(!fits_environment(&input(most + 1)));
    }
}
