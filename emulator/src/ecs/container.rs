//! A container: its processes, their output, and its end.

use std::{
    io,
    os::unix::process::ExitStatusExt,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{SHUT_DOWN_GRACE, launch::Launch, leftovers, running::Order, task::Process};
use crate::logs::{LogWriter, Logs};

/// How long output is read after the end of a container's processes. Their pipes close when they end. Only a process that was not killed,
/// because it left the group and cleared its environment, can keep a pipe open.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A container whose process was started.
#[derive(Debug)]
pub(super) struct Started {
    child: Child,
    pid: Pid,
    writer: Option<LogWriter>,
    mark: (String, String),
    stop_timeout: Duration,
}

/// Why a container cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotStart {
    /// Its program cannot be executed, as with a wrong entry point on AWS.
    #[error("CannotStartContainerError: exec: {program:?}: {why}")]
    Spawn { program: String, why: io::Error },
    /// A secret does not exist. The wording is that of AWS's page
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html>).
    #[error(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to \
         retrieve secret from asm or ssm: {value_from} does not exist"
    )]
    MissingSecret { value_from: String },
    /// There is nothing to run: an image's own entry point is not known here.
    #[error("CannotStartContainerError: no command specified")]
    NoCommand,
}

impl Started {
    /// Starts a container, and creates its log stream unless the database cannot be written at the moment.
    pub(super) fn new(launch: Launch, logs: &Logs) -> Result<Self, CannotStart> {
        if let Some(value_from) = launch.missing_secret {
            return Err(CannotStart::MissingSecret { value_from });
        }
        let (program, arguments) = launch.command.split_first().ok_or(CannotStart::NoCommand)?;
        let writer = launch.log.map(|log| LogWriter::open(logs.clone(), log.group, log.stream));
        let output = || if writer.is_some() { Stdio::piped() } else { Stdio::null() };
        let spawned = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(launch.environment)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn();
        let cannot = |why| CannotStart::Spawn { program: program.clone(), why };
        let child = spawned.map_err(cannot)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let pid = pid.ok_or_else(|| cannot(io::Error::other("it has no process id")))?;
        Ok(Self { child, pid, writer, mark: launch.mark, stop_timeout: launch.stop_timeout })
    }

    /// The number of its process group.
    pub(super) fn group(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its process, in the form by which the next emulator can find it.
    pub(super) fn process(&self) -> Process {
        let pid = self.pid.as_raw_nonzero().get();
        Process { pid, born: leftovers::birth(pid) }
    }

    /// Follows orders until the container has ended and its output is written. Returns the exit code, if it is known.
    pub(super) async fn run(mut self, orders: watch::Receiver<Order>) -> Option<i32> {
        let (ended, has_ended) = watch::channel(false);
        let cutoff = || {
            let mut has_ended = has_ended.clone();
            async move {
                // If the sender has been dropped, the process has ended too.
                let _ = has_ended.wait_for(|ended| *ended).await;
                sleep(DRAIN_LIMIT).await;
            }
        };
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let writer = self.writer.take();
        let mark = self.mark.clone();
        let writer = writer.as_ref();
        let main = async {
            let status = self.main_process(orders).await;
            // A container's other processes end with its first one, as in a PID namespace. The group's number cannot belong to other
            // processes: it is in use while the group has a member, and numbers are reused only after all others.
            signal(kill_process_group, self.pid, Signal::KILL);
            // The worker's command, for example, has its own group.
            if let Err(why) = tokio::task::spawn_blocking(move || crate::leftovers::kill(&mark)).await {
                tracing::error!(%why, "cannot kill the processes that a container left running");
            }
            ended.send_replace(true);
            status
        };
        let out = async {
            if let (Some(writer), Some(stdout)) = (writer, stdout) {
                writer.copy(stdout, cutoff()).await;
            }
        };
        let err = async {
            if let (Some(writer), Some(stderr)) = (writer, stderr) {
                writer.copy(stderr, cutoff()).await;
            }
        };
        let (status, (), ()) = tokio::join!(main, out, err);
        status.ok().and_then(exit_code)
    }

    /// Waits for the first process. Only this process gets `SIGTERM`, as ECS sends it to PID 1.
    async fn main_process(&mut self, mut orders: watch::Receiver<Order>) -> io::Result<ExitStatus> {
        // Also follow an order that was given before.
        orders.mark_changed();
        let mut kill_at: Option<Instant> = None;
        let mut asked = false;
        loop {
            tokio::select! {
                status = self.child.wait() => return status,
                Ok(()) = orders.changed() => {
                    let Some(patience) = self.patience(*orders.borrow_and_update()) else { continue };
                    if !asked {
                        signal(kill_process, self.pid, Signal::TERM);
                        asked = true;
                    }
                    let at = Instant::now() + patience;
                    kill_at = Some(kill_at.map_or(at, |before| before.min(at)));
                }
                () = reached(kill_at) => {
                    signal(kill_process_group, self.pid, Signal::KILL);
                    kill_at = None;
                }
            }
        }
    }

    /// How long the container may take to end after an order; `None` if the order does not require it to end.
    fn patience(&self, order: Order) -> Option<Duration> {
        match order {
            Order::Run => None,
            Order::Stop => Some(self.stop_timeout),
            Order::StopSoon => Some(self.stop_timeout.min(SHUT_DOWN_GRACE)),
        }
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Sends a signal. It is fine if the process no longer exists.
fn signal(kill: impl Fn(Pid, Signal) -> rustix::io::Result<()>, pid: Pid, signal: Signal) {
    match kill(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(why) => {
            tracing::warn!(pid = pid.as_raw_nonzero().get(), %why, "cannot send a signal to a container's process");
        }
    }
}

/// The exit code; for a signal 128 plus its number, as in Docker and shells
/// (<https://docs.docker.com/engine/containers/run/#exit-status>).
fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal))
}
