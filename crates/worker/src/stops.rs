//! What stops a job from outside: a signal, or its deadline.

use std::{future, io, task::Poll, time::Duration};

use jiff::Timestamp;
use runtime::clock;
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// Longest sleep while waiting for a deadline. A single sleep of a year would miss corrections of the wall clock by NTP.
const LONGEST_SLEEP: Duration = Duration::from_mins(1);

/// Why a job has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The worker got this signal: SIGTERM from ECS, or SIGINT from a terminal.
    Signal(Signal),
    /// The deadline passed.
    Deadline,
}

impl Stop {
    /// The execution was cancelled, and the signal for that has not arrived yet.
    pub(crate) const CANCELLED: Self = Self::Signal(Signal::TERM);

    /// The signal to send to the job.
    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Signal(signal) => signal,
            Self::Deadline => Signal::TERM,
        }
    }
}

/// A message to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It has to end.
    Stop(Stop),
    /// A signal, whatever it means to the job.
    Signal(Signal),
}

impl Told {
    /// The signal to send.
    pub(crate) fn signal(self) -> Signal {
        match self {
            Self::Stop(stop) => stop.signal(),
            Self::Signal(signal) => signal,
        }
    }
}

/// The signals that tell a program to end: SIGTERM from ECS, the others from a terminal or as an image's `STOPSIGNAL`.
const STOPPING: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];

/// The other signals that a job may be sent, except those that cannot be caught, those about the worker's own faults (SIGSEGV,
/// SIGPIPE …) or its children (SIGCHLD), and real-time signals, which have no names.
const OTHER_SIGNALS: [Signal; 14] = [
    Signal::HUP,
    Signal::ABORT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::CONT,
    Signal::TSTP,
    Signal::TTIN,
    Signal::TTOU,
    Signal::URG,
    Signal::VTALARM,
    Signal::PROF,
    Signal::WINCH,
    Signal::IO,
];

/// Everything that can stop this task's job. Once it is created, these signals no longer end the worker itself.
#[derive(Debug)]
pub(crate) struct Stops {
    signals: Vec<(Signal, unix::Signal)>,
    deadline: Option<Timestamp>,
}

impl Stops {
    /// For a job in this process, which may have its own use for other signals.
    pub(crate) fn until(deadline: Option<Timestamp>) -> io::Result<Self> {
        Ok(Self { signals: caught(&STOPPING)?, deadline })
    }

    /// For a command, which gets every signal. The first process of a container gets only signals that it catches.
    pub(crate) fn and_all_signals(mut self) -> io::Result<Self> {
        self.signals.extend(caught(&OTHER_SIGNALS)?);
        Ok(self)
    }

    /// The next reason to stop. A signal may come several times, the deadline passes once. Cancel safe.
    pub(crate) async fn next(&mut self) -> Stop {
        loop {
            if let Told::Stop(stop) = self.told().await {
                return stop;
            }
        }
    }

    /// The next message to the job. Cancel safe.
    pub(crate) async fn told(&mut self) -> Told {
        let signals = &mut self.signals;
        let signal = future::poll_fn(|context| {
            let caught = signals.iter_mut().find_map(|(signal, stream)| {
                let ready = stream.poll_recv(context).is_ready();
                ready.then_some(*signal)
            });
            caught.map_or(Poll::Pending, Poll::Ready)
        });
        let told = tokio::select! {
            // If both happen at once, the deadline takes precedence.
            biased;
            () = passed(self.deadline) => Told::Stop(Stop::Deadline),
            signal = signal => if STOPPING.contains(&signal) {
                Told::Stop(Stop::Signal(signal))
            } else {
                Told::Signal(signal)
            },
        };
        if told == Told::Stop(Stop::Deadline) {
            self.deadline = None;
        }
        told
    }
}

fn caught(signals: &[Signal]) -> io::Result<Vec<(Signal, unix::Signal)>> {
    signals.iter().map(|kind| Ok((*kind, signal(SignalKind::from_raw(kind.as_raw()))?))).collect()
}

async fn passed(deadline: Option<Timestamp>) {
    let Some(deadline) = deadline else { return future::pending().await };
    while let Ok(left) = Duration::try_from(deadline.duration_since(clock::now()))
        && !left.is_zero()
    {
        tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
    }
}
