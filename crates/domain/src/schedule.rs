//! Schedules: cron rules that start executions.
//!
//! [`Times`] computes when a rule is due, and [`Schedule::step`] decides what to do about the times that are due. The reconciler carries out
//! one step after another, and each is recorded before the next one is computed.

mod definition;
mod firing;
mod name;
mod times;

use jiff::Timestamp;

use crate::{ExecutionId, Owner, Unknown};

pub use definition::{Definition, Overlap};
pub use firing::{FAILING, Step};
pub use name::{InvalidName, ScheduleName};
pub use times::{InvalidRule, Times, jitter};

/// A schedule: what its owner defined, and what it has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The caller that it belongs to.
    pub owner: Owner,
    /// Its name, unique among its owner's.
    pub name: ScheduleName,
    /// A random name that tells it apart from earlier schedules of the same name. The ids of its executions contain it.
    pub generation: String,
    /// What its owner defined.
    pub definition: Definition,
    /// Whether it is paused: then it starts nothing by itself.
    pub paused: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its definition was changed.
    pub changed_at: Timestamp,
    /// The first time about which nothing was decided. `None` while it is paused, and if its rule has no further time.
    pub next: Option<Timestamp>,
    /// The time that waits until the last execution is over.
    pub buffered: Option<Timestamp>,
    /// What it started last.
    pub last: Option<Last>,
    /// How many of its times led to what.
    pub counts: Counts,
    /// The times since the last start that could not be started.
    pub failing: Option<Failing>,
    /// Counts its changes, from 1; conditional writes compare it.
    pub version: u64,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// The execution that a schedule started last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// Its id.
    pub execution_id: ExecutionId,
    /// The time of the rule that it was started for; `None` if a caller triggered it.
    pub time: Option<Timestamp>,
    /// When it was started.
    pub started_at: Timestamp,
}

/// Which schedule started an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The name of the schedule.
    pub name: String,
    /// The time of its rule; `None` if a caller triggered it.
    pub time: Option<Timestamp>,
}

/// How many times of a schedule led to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Times for which an execution was started.
    pub fired: u64,
    /// Times that the overlap policy dropped.
    pub skipped: u64,
    /// Times that were over for longer than the catch-up window when they were found.
    pub missed: u64,
    /// Times whose request could not be started.
    pub failed: u64,
}

/// Times in a row that could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// How many.
    pub count: u64,
    /// Why the last of them could not.
    pub last_error: String,
    /// Which time that was.
    pub time: Timestamp,
}

impl Schedule {
    /// A new schedule. Its first time is after `now`.
    #[must_use]
    pub fn new(
        owner: Owner,
        name: ScheduleName,
        generation: String,
        (definition, times): (Definition, &Times),
        paused: bool,
        now: Timestamp,
    ) -> Self {
        Self {
            owner,
            name,
            generation,
            next: if paused { None } else { times.after(now) },
            definition,
            paused,
            created_at: now,
            changed_at: now,
            buffered: None,
            last: None,
            counts: Counts::default(),
            failing: None,
            version: 1,
            unknown: Unknown::default(),
        }
    }

    /// The schedule with another definition; `None` if nothing changes. Its next time stays unless the rule changes. `paused`: whether to
    /// pause it, or `None` to leave that as it is.
    #[must_use]
    pub fn replaced(
        &self,
        (definition, times): (Definition, &Times),
        paused: Option<bool>,
        now: Timestamp,
    ) -> Option<Self> {
        let mut next = self.clone();
        let same_rule =
            (&definition.cron, &definition.time_zone) == (&self.definition.cron, &self.definition.time_zone);
        let same = definition.is_same(&self.definition);
        if !same {
            next.definition = definition;
            next.changed_at = now;
            // Whatever could not be started was of the old definition.
            next.failing = None;
        }
        if !same_rule && !self.paused {
            next.next = times.after(now);
        }
        if let Some(paused) = paused {
            next.pause(paused, times, now);
        }
        (next != *self).then(|| Self { version: self.version + 1, ..next })
    }

    /// The schedule, paused or resumed; `None` if it already is. Times that pass while it is paused are not made up for.
    #[must_use]
    pub fn with_paused(&self, paused: bool, times: &Times, now: Timestamp) -> Option<Self> {
        let mut next = self.clone();
        next.pause(paused, times, now);
        (next != *self).then(|| Self { version: self.version + 1, ..next })
    }

    fn pause(&mut self, paused: bool, times: &Times, now: Timestamp) {
        if self.paused == paused {
            return;
        }
        self.paused = paused;
        if paused {
            self.next = None;
            self.counts.skipped += u64::from(self.buffered.take().is_some());
        } else {
            self.next = times.after(now);
        }
    }

    /// When the sweep has to look at it; `None` if there is nothing to do. A time that waits for the last execution is looked at in each
    /// sweep.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.buffered.or_else(|| Some(self.fires_at(self.next?)))
    }

    /// When a time of its rule is started: a moment later, if it has jitter.
    #[must_use]
    pub fn fires_at(&self, time: Timestamp) -> Timestamp {
        jitter(&self.owner, &self.name, time, self.definition.jitter_seconds)
    }

    /// The id of the execution for a time of its rule.
    #[must_use]
    pub fn execution_id(&self, time: Timestamp) -> ExecutionId {
        ExecutionId::for_schedule(&self.owner, &self.generation, time)
    }
}

#[cfg(test)]
mod tests;
