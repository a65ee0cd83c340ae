//! What the owner of a schedule defines.

use std::{fmt, str::FromStr};

use crate::{Json, Pattern, UnknownName};

/// When a schedule starts what.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The cron expression, of five fields.
    pub cron: String,
    /// The IANA time zone in which it is read.
    pub time_zone: String,
    /// The pattern of its executions.
    pub pattern: Pattern,
    /// The request that it starts, a JSON object as its owner wrote it.
    pub start: Json,
    /// What happens at a time at which the last execution is not over.
    pub overlap: Overlap,
    /// How late a time may still be started.
    pub catch_up_seconds: u64,
    /// The most by which a start may be delayed, so that not all schedules start at once.
    pub jitter_seconds: u64,
}

impl Definition {
    /// Whether two definitions mean the same. Requests are compared by value: see [`Json::same_value`].
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        // Every field is named, so a new one cannot be left out.
        let Self { cron, time_zone, pattern, start, overlap, catch_up_seconds, jitter_seconds } = self;
        *cron == other.cron
            && *time_zone == other.time_zone
            && *pattern == other.pattern
            && start.same_value(&other.start)
            && *overlap == other.overlap
            && *catch_up_seconds == other.catch_up_seconds
            && *jitter_seconds == other.jitter_seconds
    }
}

impl PartialEq for Definition {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
    }
}

impl Eq for Definition {}

/// What happens at a time at which the last execution of a schedule is not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// The time is dropped.
    #[default]
    Skip,
    /// One time waits until the last execution is over; further ones are dropped.
    BufferOne,
    /// Another execution is started.
    AllowAll,
    /// The last execution is cancelled, and the time waits until it is over. A newer time takes its place.
    CancelOther,
}

impl Overlap {
    /// All policies.
    pub const ALL: [Self; 4] = [Self::Skip, Self::BufferOne, Self::AllowAll, Self::CancelOther];

    /// Its name, in the API and in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::BufferOne => "bufferOne",
            Self::AllowAll => "allowAll",
            Self::CancelOther => "cancelOther",
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Overlap {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == name).ok_or(UnknownName)
    }
}
