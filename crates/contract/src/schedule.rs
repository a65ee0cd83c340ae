//! The item of a schedule, in the table of executions. Functions of several versions read and write it.
//!
//! **Invariant**: no key of such an item is a valid execution id, because it contains a `/`. What a later version adds are attributes of the
//! item, never members of `definition` or `firings`: of those, older versions would not keep what they do not know.

mod request;

use domain::{
    ExecutionId, Json, Owner, Pattern, Unknown,
    schedule::{Counts, Definition, Failing, Last, Overlap, Schedule, ScheduleName},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    keys::{ACTIVE_SHARDS, shard_of},
    text::Known,
    written::{self, in_form},
};

pub use self::request::{job_of, request};

/// The attribute that only a deleted schedule has, until its item is deleted too.
pub const DELETED: &str = "deleted";

/// The attribute that tells apart schedules that had the same name, one after the other.
pub const GENERATION: &str = "generation";

/// Which item is an owner's schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleKey {
    /// The owner.
    pub owner: Owner,
    /// The name of the schedule.
    pub name: ScheduleName,
}

impl ScheduleKey {
    /// The item's key. A name contains no `/`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("schedule/{}/{}", self.name, self.owner)
    }

    /// The schedule with this key; `None` if it is the key of something else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (name, owner) = text.strip_prefix("schedule/")?.split_once('/')?;
        Some(Self { owner: Owner::new(owner), name: name.parse().ok()? })
    }
}

/// The hash key of an owner's schedules in the index `byOwner`. That of an owner's executions begins with a number.
#[must_use]
pub fn owner_shard(owner: &Owner) -> String {
    format!("schedules:{owner}")
}

/// A schedule, as the table stores it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleItem {
    #[serde(rename = "executionId")]
    key: String,
    owner_shard: String,
    created: String,
    version: u64,
    #[serde(with = "written")]
    owner: Owner,
    generation: String,
    definition: DefinitionForm,
    /// The request, as JSON text. Lists do not show it.
    start: String,
    firings: Firings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_shard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

/// What a list reads of a schedule.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedSchedule {
    #[serde(rename = "executionId")]
    key: String,
    definition: DefinitionForm,
    firings: Firings,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DefinitionForm {
    cron: String,
    time_zone: String,
    /// For lists.
    job: String,
    #[serde(with = "written")]
    pattern: Known<Pattern>,
    #[serde(with = "written")]
    overlap: Known<Overlap>,
    catch_up_seconds: u64,
    jitter_seconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Firings {
    paused: bool,
    created_at: Timestamp,
    changed_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    buffered: Option<Timestamp>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    last: Option<Last>,
    fired: u64,
    skipped: u64,
    missed: u64,
    failed: u64,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    failing: Option<Failing>,
}

in_form! {
    Last => LastForm,
    Failing => FailingForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Last", rename_all = "camelCase")]
struct LastForm {
    #[serde(with = "written")]
    execution_id: ExecutionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    started_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Failing", rename_all = "camelCase")]
struct FailingForm {
    count: u64,
    last_error: String,
    time: Timestamp,
}

/// Why the item of a schedule cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No version of this code can have written it.
    #[error("the item {key} is damaged: {what}")]
    Damaged {
        /// Its key.
        key: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A newer version wrote it, and only that version can continue with it.
    #[error("`{0}` is known only to a newer version of this code")]
    Newer(String),
}

impl ScheduleItem {
    /// The item of a schedule.
    #[must_use]
    pub fn of(schedule: &Schedule) -> Self {
        // Every field is named, so a new one cannot be left out.
        let Schedule { owner, name, generation, definition, paused, created_at, changed_at, next, .. } = schedule;
        let Schedule { buffered, last, counts, failing, version, unknown, .. } = schedule;
        let Definition { cron, time_zone, pattern, start, overlap, catch_up_seconds, jitter_seconds } = definition;
        let Counts { fired, skipped, missed, failed } = *counts;
        let key = ScheduleKey { owner: owner.clone(), name: name.clone() }.text();
        let due = schedule.due();
        Self {
            owner_shard: owner_shard(owner),
            created: name.to_string(),
            version: *version,
            owner: owner.clone(),
            generation: generation.clone(),
            definition: DefinitionForm {
                cron: cron.clone(),
                time_zone: time_zone.clone(),
                job: job_of(start),
                pattern: Known::This(*pattern),
                overlap: Known::This(*overlap),
                catch_up_seconds: *catch_up_seconds,
                jitter_seconds: *jitter_seconds,
            },
            start: start.text().to_owned(),
            firings: Firings {
                paused: *paused,
                created_at: *created_at,
                changed_at: *changed_at,
                next: *next,
                buffered: *buffered,
                last: last.clone(),
                fired,
                skipped,
                missed,
                failed,
                failing: failing.clone(),
            },
            active_shard: due.map(|_| shard_of(&key, ACTIVE_SHARDS).to_string()),
            due: due.map(Timestamp::as_second),
            unknown: unknown.clone(),
            key,
        }
    }

    /// The schedule.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn into_schedule(self) -> Result<Schedule, Unreadable> {
        let start = Json::parse(&self.start);
        let start =
            start.map_err(|_| Unreadable::Damaged { key: self.key.clone(), what: "its request is not JSON" })?;
        let listed = ListedSchedule { key: self.key, definition: self.definition, firings: self.firings };
        let read = listed.into_schedule()?;
        Ok(Schedule {
            definition: Definition { start, ..read.definition },
            owner: self.owner,
            generation: self.generation,
            version: self.version,
            unknown: self.unknown,
            ..read
        })
    }
}

impl ListedSchedule {
    /// The name of its job.
    #[must_use]
    pub fn job(&self) -> &str {
        &self.definition.job
    }

    /// The schedule, as far as a list shows it: without its request.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn into_schedule(self) -> Result<Schedule, Unreadable> {
        let Some(ScheduleKey { owner, name }) = ScheduleKey::read(&self.key) else {
            return Err(Unreadable::Damaged { key: self.key, what: "its key does not name a schedule" });
        };
        let DefinitionForm { cron, time_zone, job: _, pattern, overlap, catch_up_seconds, jitter_seconds } =
            self.definition;
        let newer = |name| Unreadable::Newer(name);
        let Firings { paused, created_at, changed_at, next, buffered, last, fired, skipped, missed, failed, failing } =
            self.firings;
        Ok(Schedule {
            owner,
            name,
            generation: String::new(),
            definition: Definition {
                cron,
                time_zone,
                pattern: known(pattern).map_err(newer)?,
                start: Json::null(),
                overlap: known(overlap).map_err(newer)?,
                catch_up_seconds,
                jitter_seconds,
            },
            paused,
            created_at,
            changed_at,
            next,
            buffered,
            last,
            counts: Counts { fired, skipped, missed, failed },
            failing,
            version: 0,
            unknown: Unknown::default(),
        })
    }
}

fn known<T>(value: Known<T>) -> Result<T, String> {
    match value {
        Known::This(value) => Ok(value),
        Known::Other(name) => Err(name),
    }
}

#[cfg(test)]
mod tests;
