//! What the index of an owner's executions contains of each: see [`crate::schema::BY_OWNER`].

use std::collections::BTreeMap;

use domain::{ExecutionId, Pattern, Run, Status, listing::Summary};
use jiff::Timestamp;
use serde::Deserialize;

use crate::item::{Known, Unreadable, expires_at};

/// What the index contains of an execution.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    execution_id: ExecutionId,
    pattern: Known<Pattern>,
    status: Known<Status>,
    job: String,
    created_at: Timestamp,
    max_attempts: u32,
    run: Option<Run>,
    finished_at: Option<Timestamp>,
    exit_code: Option<i32>,
    deadline: Timestamp,
    expires_at: i64,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    rerun_of: Option<ExecutionId>,
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
        })
    }
}
