//! What a list reads of each execution: what the index of an owner's executions contains ([`crate::schema::BY_OWNER`]), and outcomes,
//! which it does not contain.

use std::collections::BTreeMap;

use domain::{
    ExecutionId, JobError, Json, NotJson, Pattern, StartedTask, Status,
    listing::{Included, Summary},
};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    item::{Unreadable, expires_at},
    keys,
    text::Known,
    written,
};

/// What the index contains of an execution.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    #[serde(with = "written")]
    execution_id: ExecutionId,
    #[serde(with = "written")]
    pattern: Known<Pattern>,
    #[serde(with = "written")]
    status: Known<Status>,
    job: String,
    created_at: Timestamp,
    max_attempts: u32,
    #[serde(with = "written", default)]
    run: Option<StartedTask>,
    finished_at: Option<Timestamp>,
    exit_code: Option<i32>,
    deadline: Timestamp,
    expires_at: i64,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(with = "written", default)]
    rerun_of: Option<ExecutionId>,
    schedule: Option<String>,
    #[serde(default)]
    batch: Option<String>,
}

impl TryFrom<Listed> for Summary {
    type Error = Unreadable;

    fn try_from(entry: Listed) -> Result<Self, Unreadable> {
        let status = entry.status.known()?;
        Ok(Self {
            id: entry.execution_id,
            pattern: entry.pattern.known()?,
            status,
            job: entry.job,
            created_at: entry.created_at,
            attempt: entry.run.as_ref().map(|run| run.attempt),
            max_attempts: entry.max_attempts,
            started_at: entry.run.map(|run| run.started_at),
            finished_at: entry.finished_at,
            exit_code: entry.exit_code,
            deadline: entry.deadline,
            expires_at: expires_at(status, entry.expires_at).unwrap_or(Timestamp::MAX),
            tags: entry.tags,
            rerun_of: entry.rerun_of,
            schedule: entry.schedule,
            batch: entry.batch.as_deref().and_then(keys::read_batch),
        })
    }
}

/// What is read of an execution to count the executions of a batch.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Its state. A newer version may have others.
    pub status: String,
    expires_at: i64,
}

impl Counted {
    /// The attributes that are read.
    pub const ATTRIBUTES: [&str; 2] = ["status", "expiresAt"];

    /// Whether it has expired by `now`.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        let known = self.status.parse().ok();
        known.and_then(|status| expires_at(status, self.expires_at)).is_some_and(|expires_at| expires_at <= now)
    }
}

/// The attributes of an item that contain its outcome.
pub const RESULT: &str = "result";
/// See [`RESULT`].
pub const ERROR: &str = "error";

/// The outcome in an item, and the execution that it belongs to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredOutcome {
    #[serde(with = "written")]
    execution_id: ExecutionId,
    result: Option<String>,
    #[serde(with = "written", default)]
    error: Option<JobError>,
}

impl StoredOutcome {
    /// The outcome, for a list.
    ///
    /// # Errors
    ///
    /// [`NotJson`] if the stored result is damaged.
    pub fn included(self) -> Result<(ExecutionId, Included), NotJson> {
        let result = self.result.as_deref().map(Json::parse).transpose()?;
        Ok((self.execution_id, Included { result, error: self.error }))
    }
}
