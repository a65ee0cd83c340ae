//! What ends a job from outside: a signal, or its deadline.

use std::{future, io, time::Duration};

use aws::clock;
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// Longest sleep towards a deadline. A year of sleeping at once would miss what NTP does to the wall clock.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Why a job has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The worker got this signal: SIGTERM from ECS, or SIGINT from somebody at a terminal.
    Signal(Signal),
    /// The deadline passed.
    Deadline,
}

impl Stop {
    /// A cancelled execution, before any signal of its being stopped came.
    pub(crate) const CANCELLED: Self = Self::Signal(Signal::TERM);

    /// The signal that tells the job.
    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Signal(signal) => signal,
            Self::Deadline => Signal::TERM,
        }
    }
}

/// All that can stop this task's job. From its making on, the worker itself no longer dies of these signals.
#[derive(Debug)]
pub(crate) struct Stops {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    deadline: Option<Timestamp>,
}

impl Stops {
    pub(crate) fn until(deadline: Option<Timestamp>) -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())?, deadline })
    }

    /// The next reason to stop. A signal may come again and again, the deadline passes once. Cancel safe.
    pub(crate) async fn next(&mut self) -> Stop {
        let stop = tokio::select! {
            // Of two reasons at once, the one that the execution asked for is told.
            biased;
            () = passed(self.deadline) => Stop::Deadline,
            _ = self.terminate.recv() => Stop::Signal(Signal::TERM),
            _ = self.interrupt.recv() => Stop::Signal(Signal::INT),
        };
        if stop == Stop::Deadline {
            self.deadline = None;
        }
        stop
    }
}

async fn passed(deadline: Option<Timestamp>) {
    let Some(deadline) = deadline else { return future::pending().await };
    while let Ok(left) = Duration::try_from(deadline.duration_since(clock::now()))
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}
