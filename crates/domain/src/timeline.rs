//! What happened to an execution and when, with a limited number of entries.

use std::fmt;

use jiff::Timestamp;

use crate::{Unknown, limits};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// The request was accepted and stored.
    Created,
    /// It waits for its start time, which the detail names: it was accepted for later, or moved.
    Scheduled,
    /// Its start time came.
    Due,
    /// Its workflow began.
    WorkflowStarted,
    /// A task was started for an attempt.
    TaskStarted,
    /// ECS has no capacity for a task, or throttles: the start is retried.
    WaitingForCapacity,
    /// An attempt failed, and may be followed by another.
    AttemptFailed,
    /// A cancel was requested.
    CancelRequested,
    /// The job left no result, although one was expected.
    NoResult,
    /// It reached its final state.
    Ended,
    /// A moment that only a newer version of this code knows, by its stored name.
    Other(String),
}

impl Moment {
    /// All moments that this version knows.
    pub const KNOWN: [Self; 10] = [
        Self::Created,
        Self::Scheduled,
        Self::Due,
        Self::WorkflowStarted,
        Self::TaskStarted,
        Self::WaitingForCapacity,
        Self::AttemptFailed,
        Self::CancelRequested,
        Self::NoResult,
        Self::Ended,
    ];

    /// Its name in the API and in the table.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Created => "created",
            Self::Scheduled => "scheduled",
            Self::Due => "due",
            Self::WorkflowStarted => "workflowStarted",
            Self::TaskStarted => "taskStarted",
            Self::WaitingForCapacity => "waitingForCapacity",
            Self::AttemptFailed => "attemptFailed",
            Self::CancelRequested => "cancelRequested",
            Self::NoResult => "noResult",
            Self::Ended => "ended",
            Self::Other(name) => name,
        }
    }
}

impl From<&str> for Moment {
    fn from(name: &str) -> Self {
        let known = Self::KNOWN.into_iter().find(|moment| moment.as_str() == name);
        known.unwrap_or_else(|| Self::Other(name.to_owned()))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entry of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub what: Moment,
    /// More about it, for people: the attempt, the final status.
    pub detail: Option<String>,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// At most [`limits::TIMELINE_ENTRIES`] entries with [`limits::TIMELINE_BYTES`] of details, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline(Vec<Entry>);

impl From<Vec<Entry>> for Timeline {
    fn from(entries: Vec<Entry>) -> Self {
        Self(entries)
    }
}

impl Timeline {
    /// The entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.0
    }

    /// Adds an entry. A full timeline drops its second entry: people look for how an execution began and what happened last.
    pub(crate) fn push(&mut self, at: Timestamp, what: Moment, detail: Option<String>) {
        let detail = detail.map(|detail| both_ends(detail, limits::DETAIL_BYTES));
        self.0.push(Entry { at, what, detail, unknown: Unknown::default() });
        let bytes = |entry: &Entry| entry.detail.as_ref().map_or(0, String::len);
        let mut total: usize = self.0.iter().map(bytes).sum();
        while self.0.len() > 2 && (self.0.len() > limits::TIMELINE_ENTRIES || total > limits::TIMELINE_BYTES) {
            total -= bytes(&self.0.remove(1));
        }
    }
}

/// A text, or the beginning and the end of one that has more bytes. AWS's messages begin with the kind of a failure and end with what is
/// missing.
fn both_ends(text: String, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= limit {
        return text;
    }
    let (beginning, _) = text.split_at(text.floor_char_boundary(limit * 2 / 5));
    let (_, end) = text.split_at(text.ceil_char_boundary(text.len() - (limit - MARK.len() - beginning.len())));
    format!("{beginning}{MARK}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_same_name_in_the_api_and_in_the_table() {
        let names = [
            (Moment::Created, "created"),
            (Moment::Scheduled, "scheduled"),
            (Moment::Due, "due"),
            (Moment::WorkflowStarted, "workflowStarted"),
            (Moment::TaskStarted, "taskStarted"),
            (Moment::WaitingForCapacity, "waitingForCapacity"),
            (Moment::AttemptFailed, "attemptFailed"),
            (Moment::CancelRequested, "cancelRequested"),
            (Moment::NoResult, "noResult"),
            (Moment::Ended, "ended"),
            (Moment::Other("fromTheFuture".into()), "fromTheFuture"),
        ];
        for (moment, name) in names {
            assert_eq!(moment.as_str(), name);
            assert_eq!(Moment::from(name), moment);
        }
    }

    #[test]
    fn a_long_detail_is_cut_in_the_middle() {
        let kept = |detail: String| {
            let mut timeline = Timeline::default();
            timeline.push(Timestamp::UNIX_EPOCH, Moment::WaitingForCapacity, Some(detail));
            timeline.entries().first().unwrap().detail.clone().unwrap()
        };
        assert_eq!(kept("€".repeat(100)), format!("{}…{}", "€".repeat(26), "€".repeat(39)));
        assert_eq!(kept(format!("{}b", "a".repeat(300))), format!("{}…{}b", "a".repeat(80), "a".repeat(116)));
        assert_eq!(kept("a".repeat(200)), "a".repeat(200));
    }

    #[test]
    fn long_details_displace_earlier_entries() {
        let mut timeline = Timeline::default();
        timeline.push(Timestamp::UNIX_EPOCH, Moment::Created, None);
        for n in 100..130 {
            timeline.push(Timestamp::UNIX_EPOCH, Moment::AttemptFailed, Some(format!("{n}{}", "x".repeat(197))));
        }
        let details: usize = timeline.entries().iter().filter_map(|entry| Some(entry.detail.as_ref()?.len())).sum();
        assert_eq!(details, limits::TIMELINE_BYTES);
        assert_eq!(timeline.entries().first().unwrap().what, Moment::Created);
        assert!(timeline.entries().last().unwrap().detail.as_ref().unwrap().starts_with("129"));
    }

    #[test]
    fn a_full_timeline_keeps_the_first_and_the_newest_entries() {
        let mut timeline = Timeline::default();
        timeline.push(Timestamp::UNIX_EPOCH, Moment::Created, None);
        for n in 0..2 * limits::TIMELINE_ENTRIES {
            timeline.push(Timestamp::UNIX_EPOCH, Moment::TaskStarted, Some(n.to_string()));
        }
        assert_eq!(timeline.entries().len(), limits::TIMELINE_ENTRIES);
        assert_eq!(timeline.entries().first().unwrap().what, Moment::Created);
        assert_eq!(timeline.entries().last().unwrap().detail.as_deref(), Some("99"));
    }
}
