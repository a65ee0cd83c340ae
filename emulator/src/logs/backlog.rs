//! Lines of one log stream that could not be written yet: the newest, up to a number of bytes.
//!
//! **Invariant**: pure.

use std::collections::VecDeque;

use jiff::Timestamp;

/// How many bytes of lines may wait. Beyond that, the oldest lines are dropped, because a job prints its result last.
const MOST_BYTES: usize = 1024 * 1024;

/// A line, and when it was printed.
pub(super) type Line = (Timestamp, String);

/// The lines that wait, and how many were dropped.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    lines: VecDeque<Line>,
    bytes: usize,
    dropped: u64,
    /// Whether it is currently being written.
    pub(super) attended: bool,
}

impl Backlog {
    /// Whether there is nothing to wait for.
    pub(super) fn is_empty(&self) -> bool {
        !self.attended && self.lines.is_empty()
    }

    /// Whether no lines are waiting, even if a write is in progress.
    pub(super) fn is_written(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds lines after those that wait, and drops the oldest ones that no longer fit.
    pub(super) fn push(&mut self, lines: Vec<Line>) {
        for line in lines {
            self.bytes += line.1.len();
            self.lines.push_back(line);
        }
        while self.bytes > MOST_BYTES
            && let Some((_, line)) = self.lines.pop_front()
        {
            self.bytes -= line.len();
            self.dropped += 1;
        }
    }

    /// What to write next: the lines that wait, after a line that says how many are missing.
    pub(super) fn batch(&self) -> Batch {
        let missing = self.lines.front().filter(|_| self.dropped > 0).map(|(at, _)| (*at, missing(self.dropped)));
        Batch {
            lines: missing.into_iter().chain(self.lines.iter().cloned()).collect(),
            taken: self.lines.len(),
            dropped: self.dropped,
        }
    }

    /// Removes the lines of a batch that was written. It does not matter if some of them have been dropped in the meantime.
    pub(super) fn written(&mut self, batch: &Batch) {
        let dropped_since = self.dropped - batch.dropped;
        let (gone, left) = match usize::try_from(dropped_since) {
            Ok(since) if since <= batch.taken => (batch.taken - since, 0),
            Ok(since) => (0, (since - batch.taken) as u64),
            Err(_) => (0, dropped_since),
        };
        self.dropped = left;
        for (_, line) in self.lines.drain(..gone) {
            self.bytes -= line.len();
        }
    }
}

/// Lines that are written at once.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
    taken: usize,
    dropped: u64,
}

fn missing(lines: u64) -> String {
    format!("emulator: {lines} lines are missing here: the emulator could not write the log in time")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| (Timestamp::UNIX_EPOCH, (*text).to_owned())).collect()
    }

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.lines.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn lines_are_kept_in_order_until_they_are_written() {
        let mut backlog = Backlog::default();
        backlog.push(lines(&["a", "b"]));
        let first = backlog.batch();
        backlog.push(lines(&["c"]));
        assert_eq!(texts(&first), ["a", "b"]);
        backlog.written(&first);
        assert_eq!(texts(&backlog.batch()), ["c"]);
        backlog.written(&backlog.batch());
        assert!(backlog.is_empty() && backlog.bytes == 0);
    }

    #[test]
    fn the_newest_lines_are_kept_and_dropped_ones_are_reported() {
        let mut backlog = Backlog::default();
        let half = "x".repeat(MOST_BYTES / 2);
        backlog.push(lines(&["first", &half, &half, "last"]));
        let batch = backlog.batch();
        let missing = missing(2);
        assert_eq!(texts(&batch), [missing.as_str(), &half, "last"]);
        backlog.written(&batch);
        assert_eq!(texts(&backlog.batch()), Vec::<&str>::new());
    }

    #[test]
    fn lines_dropped_while_they_are_written_are_not_reported() {
        let half = "x".repeat(MOST_BYTES / 2);
        let mut backlog = Backlog::default();
        backlog.push(lines(&["first"]));
        let batch = backlog.batch();
        backlog.push(lines(&[&half, &half]));
        backlog.written(&batch);
        assert_eq!(texts(&backlog.batch()), [half.as_str(), &half], "the line that went was in the batch");

        let mut backlog = Backlog::default();
        backlog.push(lines(&["first"]));
        let batch = backlog.batch();
        backlog.push(lines(&["second", &half, &half]));
        backlog.written(&batch);
        assert_eq!(texts(&backlog.batch())[0], missing(1), "the second was in no batch");
    }
}
