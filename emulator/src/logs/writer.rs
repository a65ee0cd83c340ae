//! Copies the output of a process into a log stream, line by line.

use jiff::Timestamp;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::watch,
    task,
};

use super::{
    Logs,
    backlog::{Backlog, Line},
    lines::Lines,
};
use crate::{retry, wire::AwsError};

/// The size of a read: the capacity of a pipe. A line is written as soon as it is read. During a write the pipe fills, and the next
/// read takes all of it. So large output is written in large batches, a job waits if the disk is slower, and memory is bounded.
const READ_BYTES: usize = 64 * 1024;

/// Writes to one log stream. Clones write to the same stream.
///
/// While the database cannot be written, lines are kept in memory, and the process does not have to wait. If they do not fit, the
/// oldest are dropped, and a line in the log says how many.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter {
    logs: Logs,
    group: String,
    stream: String,
    waiting: watch::Sender<Backlog>,
}

impl LogWriter {
    /// Creates the stream, now or as soon as the database can be written.
    #[must_use]
    pub(crate) fn open(logs: Logs, group: impl Into<String>, stream: impl Into<String>) -> Self {
        let writer = Self { logs, group: group.into(), stream: stream.into(), waiting: watch::Sender::default() };
        writer.write(Vec::new());
        writer
    }

    /// Copies lines from `from`, each with the time at which it was read, until it ends or `cutoff` completes: a pipe stays open as
    /// long as any process holds it. Returns when everything that was read has been written.
    pub(crate) async fn copy(&self, mut from: impl AsyncRead + Unpin, cutoff: impl Future<Output = ()>) {
        let mut cutoff = std::pin::pin!(cutoff);
        let mut buffer = vec![0; READ_BYTES];
        let mut lines = Lines::default();
        let mut cut = false;
        loop {
            let read = tokio::select! {
                biased;
                // Read what is left in the pipe once, and then stop: the process may print forever.
                () = &mut cutoff, if !cut => {
                    cut = true;
                    continue;
                }
                read = from.read(&mut buffer) => read,
                () = std::future::ready(()), if cut => Ok(0),
            };
            let now = self.logs.clock.now();
            match read {
                Ok(0) => break,
                Ok(count) => {
                    let read = lines.feed(buffer.get(..count).unwrap_or_default());
                    self.write_off_thread(now, read).await;
                }
                Err(why) => {
                    tracing::warn!(
                        stream = self.stream,
                        %why,
                        "cannot read the output of a process; the rest of it is not logged"
                    );
                    break;
                }
            }
            if cut {
                break;
            }
        }
        self.write_off_thread(self.logs.clock.now(), lines.finish()).await;
        // This cannot fail, because this writer holds the sender.
        let _ = self.waiting.subscribe().wait_for(Backlog::is_empty).await;
    }

    /// Writes lines, or keeps them until they can be written.
    pub(crate) fn write(&self, lines: Vec<Line>) {
        if self.waiting.borrow().is_empty() {
            match self.append(&lines) {
                Ok(()) => return,
                Err(why) => log_problem(&why),
            }
        }
        let mut unattended = false;
        self.waiting.send_modify(|waiting| {
            waiting.push(lines);
            unattended = !std::mem::replace(&mut waiting.attended, true);
        });
        if unattended {
            task::spawn(self.clone().catch_up());
        }
    }

    async fn write_off_thread(&self, at: Timestamp, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let writer = self.clone();
        let lines = lines.into_iter().map(|line| (at, line)).collect();
        // SQLite blocks, so it runs on a separate thread.
        if let Err(why) = task::spawn_blocking(move || writer.write(lines)).await {
            tracing::error!(stream = self.stream, %why, "writing log lines crashed; they are lost");
        }
    }

    /// Writes until no lines are waiting.
    async fn catch_up(self) {
        loop {
            let writer = self.clone();
            retry::until_done(PROBLEM, move || {
                let batch = writer.waiting.borrow().batch();
                writer.append(&batch.lines)?;
                writer.waiting.send_modify(|waiting| waiting.written(&batch));
                Ok(())
            })
            .await;
            let mut done = false;
            self.waiting.send_modify(|waiting| {
                done = waiting.is_written();
                waiting.attended = !done;
            });
            if done {
                return;
            }
        }
    }

    fn append(&self, lines: &[Line]) -> Result<(), AwsError> {
        self.logs.append(&self.group, &self.stream, lines)
    }
}

const PROBLEM: &str = "cannot write log lines; retrying";

fn log_problem(why: &AwsError) {
    retry::log_problem(PROBLEM, &why.message);
}
