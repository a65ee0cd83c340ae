//! Copies what a process prints into a log stream, line by line.

use jiff::Timestamp;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task,
};

use super::{Logs, lines::Lines};
use crate::wire::AwsError;

/// What is read at once: as much as a pipe holds. A line is written as soon as it is there; while a write goes on, the
/// pipe fills and the next read takes all of it, so a job that prints a lot is written in large batches, waits when the
/// disk is slower than it is, and never fills the memory.
const READ_BYTES: usize = 64 * 1024;

/// Writes to one log stream. Clones write to the same.
#[derive(Debug, Clone)]
pub struct LogWriter {
    logs: Logs,
    group: String,
    stream: String,
}

impl LogWriter {
    /// A writer to that stream, which exists from now on.
    ///
    /// # Errors
    ///
    /// A 500 when the database failed.
    pub fn open(logs: Logs, group: impl Into<String>, stream: impl Into<String>) -> Result<Self, AwsError> {
        let writer = Self { logs, group: group.into(), stream: stream.into() };
        writer.logs.append(&writer.group, &writer.stream, &[])?;
        Ok(writer)
    }

    /// Copies all of `from`, each line with the time at which it was read, until it ends, or until `cutoff`: a pipe stays
    /// open as long as anybody holds it. It returns when all that was read has been written.
    ///
    /// Lines that cannot be written are logged and lost, and the copy goes on: a job does not fail for its log.
    pub async fn copy(&self, mut from: impl AsyncRead + Unpin, cutoff: impl Future<Output = ()>) {
        let mut cutoff = std::pin::pin!(cutoff);
        let mut buffer = vec![0; READ_BYTES];
        let mut lines = Lines::default();
        let mut cut = false;
        loop {
            let read = tokio::select! {
                biased;
                // What is in the pipe by then is still read, once: an endless writer must not be followed.
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
                Ok(count) => self.write(now, lines.feed(buffer.get(..count).unwrap_or_default())).await,
                Err(why) => {
                    tracing::warn!(stream = self.stream, %why, "the output of a process cannot be read");
                    break;
                }
            }
            if cut {
                break;
            }
        }
        self.write(self.logs.clock.now(), lines.finish()).await;
    }

    async fn write(&self, at: Timestamp, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let writer = self.clone();
        // SQLite blocks: on a thread of its own it keeps nobody else waiting.
        let written = task::spawn_blocking(move || {
            let lines: Vec<_> = lines.into_iter().map(|line| (at, line)).collect();
            writer.logs.append(&writer.group, &writer.stream, &lines)
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::error!(stream = self.stream, why = why.message, "lines of a log are lost"),
            Err(why) => tracing::error!(stream = self.stream, %why, "lines of a log are lost"),
        }
    }
}
