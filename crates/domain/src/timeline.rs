//! What happened to an execution and when, with a limited number of entries.

use std::fmt;

use jiff::Timestamp;

use crate::{Unknown, limits};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moment {
    /// The request was accepted and stored.
    Created,
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
    pub const KNOWN: [Self; 8] = [
        Self::Created,
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

/// At most [`limits::TIMELINE_ENTRIES`] entries, oldest first.
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
    pub(crate) fn push(&mut self, at: Timestamp, what: Moment, mut detail: Option<String>) {
        if let Some(detail) = &mut detail {
            detail.truncate(detail.floor_char_boundary(limits::DETAIL_BYTES));
        }
        if self.0.len() >= limits::TIMELINE_ENTRIES {
            self.0.remove(1);
        }
        self.0.push(Entry { at, what, detail, unknown: Unknown::default() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_same_name_in_the_api_and_in_the_table() {
        let names = [
            (Moment::Created, "created"),
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
    fn a_long_detail_is_cut() {
        let mut timeline = Timeline::default();
        timeline.push(Timestamp::UNIX_EPOCH, Moment::WaitingForCapacity, Some("€".repeat(100)));
        let kept = timeline.entries().first().unwrap().detail.as_ref().unwrap();
        assert_eq!(*kept, "€".repeat(66));
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
