//! Prints the progress of executions on the terminal: a line when one is accepted, for each attempt, and when it ends. It reads every
//! write to their table.
//!
//! **Invariant**: no line contains a payload: no input, result, tag, or output of a job.

use std::{collections::HashMap, io::Write as _};

use axum::body::Bytes;
use contract::written;
use domain::{Entry, JobError, Moment, StartedTask};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::mpsc;

/// How many writes may wait to be printed. Further ones are skipped; the next write of the same execution shows what they did.
const WAITING: usize = 256;

/// Longest error message of a line, in characters.
const MESSAGE_CHARS: usize = 160;

/// Prints lines from now on, in a separate thread, because a terminal may block. Returns where the table's writes go.
pub(crate) fn print(now: Timestamp) -> mpsc::Sender<Bytes> {
    let (sender, mut written) = mpsc::channel::<Bytes>(WAITING);
    std::thread::spawn(move || {
        let mut printer = Printer::new(now);
        while let Some(body) = written.blocking_recv() {
            for line in printer.lines(&body) {
                // An error means that the terminal is gone.
                let _ = writeln!(std::io::stdout(), "{line}");
            }
        }
    });
    sender
}

/// What was printed for each execution that is not over.
#[derive(Debug)]
struct Printer {
    /// When it began to listen. What happened before is not printed.
    began: Timestamp,
    printed: HashMap<String, Printed>,
}

#[derive(Debug)]
struct Printed {
    version: u64,
    last: Option<Entry>,
}

impl Printer {
    fn new(began: Timestamp) -> Self {
        Self { began, printed: HashMap::new() }
    }

    /// The lines to print for the write of an item.
    fn lines(&mut self, body: &[u8]) -> Vec<String> {
        let Some(item) = item(body) else { return Vec::new() };
        let before = self.printed.get(&item.execution_id);
        // Writes come in the order in which they were answered, which may differ from the order in which they were made.
        if before.is_some_and(|before| item.version <= before.version) {
            return Vec::new();
        }
        let last = before.and_then(|before| before.last.as_ref());
        let seen = last.and_then(|last| item.timeline.iter().rposition(|entry| entry == last));
        let new = item.timeline.iter().skip(seen.map_or(0, |place| place + 1));
        let new = new.filter(|entry| seen.is_some() || entry.at >= self.began);
        let lines = new.filter_map(|entry| item.line(entry)).collect();
        // An execution that is over and not due does not change any more.
        if item.finished_at.is_some() && item.due.is_none() {
            self.printed.remove(&item.execution_id);
        } else {
            let printed = Printed { version: item.version, last: item.timeline.last().cloned() };
            self.printed.insert(item.execution_id, printed);
        }
        lines
    }
}

/// The members of a `PutItem` that are needed here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Put {
    item: serde_dynamo::Item,
}

/// The attributes of an execution's item that are needed here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    execution_id: String,
    version: u64,
    job: String,
    pattern: String,
    #[serde(with = "written")]
    timeline: Vec<Entry>,
    #[serde(with = "written", default)]
    run: Option<StartedTask>,
    #[serde(with = "written", default)]
    error: Option<JobError>,
    finished_at: Option<Timestamp>,
    due: Option<i64>,
}

/// The item that a `PutItem` writes, if it is one of an execution.
fn item(body: &[u8]) -> Option<Item> {
    let Put { item } = serde_json::from_slice(body).ok()?;
    serde_dynamo::from_item(item).ok()
}

impl Item {
    /// A line for a timeline entry; `None` if it is not printed.
    fn line(&self, entry: &Entry) -> Option<String> {
        let detail = entry.detail.as_deref().unwrap_or_default();
        let (attempt, rest) = detail.split_once(": ").unwrap_or((detail, ""));
        let what = match &entry.what {
            Moment::Created => format!("accepted ({})", self.pattern),
            Moment::Scheduled => format!("scheduled {detail}"),
            Moment::Due => "start time has come".to_owned(),
            Moment::TaskStarted => format!("{detail} started"),
            Moment::WaitingForCapacity => format!("{attempt} waits for capacity: {rest}"),
            Moment::AttemptFailed => format!("{attempt} failed: {rest}"),
            Moment::CancelRequested => "cancel requested".to_owned(),
            Moment::NoResult => format!("no result: {detail}"),
            Moment::Ended => self.end(detail),
            Moment::WorkflowStarted | Moment::Other(_) => return None,
        };
        let at = entry.at.strftime("%H:%M:%SZ");
        Some(format!("{at}  {}  {}  {what}", self.execution_id, self.job))
    }

    fn end(&self, status: &str) -> String {
        let duration = self.finished_at.zip(self.run.as_ref()).map(|(end, run)| end.duration_since(run.started_at));
        let after = duration.map_or_else(String::new, |took| format!(" after {:.1} s", took.as_secs_f64()));
        let why = self.error.as_ref().map_or_else(String::new, |error| format!(": {}", short(error)));
        format!("{status}{after}{why}")
    }
}

/// The first line of an error, cut if it is long.
fn short(error: &JobError) -> String {
    let first: String = error.message.lines().next().unwrap_or_default().chars().take(MESSAGE_CHARS).collect();
    let cut = if first.len() < error.message.len() { " …" } else { "" };
    format!("{first}{cut} ({})", error.kind)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn put(version: u32, entries: &[(&str, &str, &str)], end: Option<(&str, &str)>) -> Vec<u8> {
        let text = |text: &str| json!({ "S": text });
        let entries = entries.iter().map(|(at, what, detail)| {
            let mut entry = json!({ "at": text(at), "what": text(what) });
            if !detail.is_empty() {
                entry["detail"] = text(detail);
            }
            json!({ "M": entry })
        });
        let mut item = json!({
            "executionId": text("e1"), "version": { "N": version.to_string() }, "job": text("words"),
            "pattern": text("sync"), "input": text("secret"), "timeline": { "L": entries.collect::<Vec<Value>>() },
            "run": { "M": { "taskArn": text("arn"), "attempt": { "N": "1" }, "startedAt": text("2026-01-01T10:00:01Z") } },
        });
        if let Some((kind, message)) = end {
            item["finishedAt"] = text("2026-01-01T10:00:03.5Z");
            item["error"] = json!({ "M": { "type": text(kind), "message": text(message) } });
        }
        serde_json::to_vec(&json!({ "TableName": "t", "Item": item })).unwrap()
    }

    const CREATED: (&str, &str, &str) = ("2026-01-01T10:00:00Z", "created", "");
    const STARTED: (&str, &str, &str) = ("2026-01-01T10:00:01Z", "taskStarted", "attempt 1");
    const ENDED: (&str, &str, &str) = ("2026-01-01T10:00:03.6Z", "ended", "FAILED");

    #[test]
    fn each_progress_event_is_printed_once() {
        let mut printer = Printer::new("2026-01-01T09:00:00Z".parse().unwrap());
        assert_eq!(printer.lines(&put(1, &[CREATED], None)), ["10:00:00Z  e1  words  accepted (sync)"]);
        let started = put(3, &[CREATED, STARTED], None);
        assert_eq!(printer.lines(&started), ["10:00:01Z  e1  words  attempt 1 started"]);
        assert!(printer.lines(&started).is_empty(), "a repeat");
        assert!(printer.lines(&put(2, &[CREATED], None)).is_empty(), "an earlier write, answered late");
        let ended = put(4, &[CREATED, STARTED, ENDED], Some(("exit-code", "exited with code 3\nmore")));
        assert_eq!(
            printer.lines(&ended),
            ["10:00:03Z  e1  words  FAILED after 2.5 s: exited with code 3 … (exit-code)"]
        );
        assert!(printer.printed.is_empty(), "nothing is kept of what is over");
    }

    #[test]
    fn an_attempt_that_failed_is_printed_with_its_reason() {
        let mut printer = Printer::new("2026-01-01T09:00:00Z".parse().unwrap());
        let detail = "attempt 1: task-failed-to-start (not counted): ResourceInitializationError: x does not exist";
        let failed = put(1, &[("2026-01-01T10:00:02Z", "attemptFailed", detail)], None);
        let line = "10:00:02Z  e1  words  attempt 1 failed: task-failed-to-start (not counted): ResourceInitializationError: x does not exist";
        assert_eq!(printer.lines(&failed), [line]);
    }

    #[test]
    fn progress_from_before_the_start_is_not_printed_again() {
        let mut printer = Printer::new("2026-01-01T10:00:02Z".parse().unwrap());
        let ended = put(4, &[CREATED, STARTED, ENDED], Some(("signal", "killed by signal 9")));
        assert_eq!(printer.lines(&ended), ["10:00:03Z  e1  words  FAILED after 2.5 s: killed by signal 9 (signal)"]);
        assert!(printer.lines(b"{}").is_empty(), "another table's item");
    }
}
