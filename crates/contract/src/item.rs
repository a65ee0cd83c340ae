//! The item of an execution. It outlives a deployment, and older versions keep using it: a workflow stays on the version that it started
//! on.
//!
//! **Invariant**: what an older version wrote stays readable, so fields are only ever added, with a default. What a newer
//! version wrote survives a write by this one: see [`Unknown`]. An item with a status or pattern that this version does not know is
//! neither changed nor treated as damaged.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{
    Artifacts, Execution, ExecutionId, FailedAttempts, JobError, JobLog, Json, NEVER, Outcome, OutcomeKind, Overrides,
    Owner, Pattern, Request, RetryRule, Start, StartedTask, State, Status, Timeline, Unknown, Upload, Waiting,
    output::ResultSource, schedule::Origin, task::Task,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    keys::{self, ACTIVE_SHARDS, OWNER_SHARDS, shard},
    text::Known,
    written,
};

/// The attribute with the version that a write is conditional on.
pub const VERSION: &str = "version";
/// The attribute that only executions which are over have.
pub const FINISHED: &str = "finishedAt";

/// An execution, as the table stores it.
///
/// `input` and `result` are JSON text, so they come out unchanged. `expiresAt` is the table's TTL attribute, in seconds since 1970, as
/// `DynamoDB` requires.
#[derive(PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    #[serde(with = "written")]
    execution_id: ExecutionId,
    /// Both keys of the index of an owner's executions: the part, and the place in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner_shard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    version: u64,
    #[serde(with = "written")]
    pattern: Known<Pattern>,
    #[serde(with = "written")]
    status: Known<Status>,
    #[serde(with = "written")]
    owner: Owner,
    job: String,
    input: String,
    /// The upload that the request names. Absent if it names none, and in items of older versions.
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    input_upload: Option<Upload>,
    /// A hash of the request, for people who search the table.
    fingerprint: String,
    timeout_seconds: u64,
    max_attempts: u32,
    /// The exit codes after which the job is retried. Absent in items of older versions, and if all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on_exit_codes: Option<BTreeSet<i32>>,
    /// The first and the longest wait between two attempts, in seconds. Absent in items of older versions, and for the usual wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_backoff: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    longest_backoff: Option<u64>,
    /// What the request overrides. Absent in items of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "memoryMiB")]
    memory: Option<u32>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    environment: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    created_at: Timestamp,
    /// When the request says that it is to start, and by when: absent in items of older versions, and if the request does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_seconds: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_before: Option<Timestamp>,
    /// When it is to start, and the latest start. Absent in items of older versions, and if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scheduled_for: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    latest_start: Option<Timestamp>,
    /// Identifies the tags of the request. Absent unless they were changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_tags: Option<String>,
    deadline: Timestamp,
    expires_at: i64,
    /// Both keys of the sparse index of executions that the sweep has to visit: the part, and when to visit, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_shard: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<i64>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    rerun_of: Option<ExecutionId>,
    /// The name of the schedule that started it, and the time of its rule. Absent if no schedule did, and the time also if a caller
    /// triggered the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schedule_time: Option<Timestamp>,
    /// The batch that it belongs to, as the hash key of its index. Absent if it belongs to none, and in items of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    #[serde(with = "written", default, skip_serializing_if = "is_none")]
    failed: FailedAttempts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    durable_execution_arn: Option<String>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    log: Option<JobLog>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    run: Option<StartedTask>,
    #[serde(with = "written", default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<StartedTask>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    stopped: Option<Box<Task>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wake: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(with = "written", default, skip_serializing_if = "ResultSource::is_none")]
    result_source: ResultSource,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    artifacts: Option<Box<Artifacts>>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    error: Option<JobError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    /// A random name that identifies the write that created it, to distinguish that write from another request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    creation: Option<String>,
    #[serde(with = "written")]
    timeline: Timeline,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

impl<T> Known<T> {
    /// The value, if this version knows it.
    ///
    /// # Errors
    ///
    /// [`Unreadable::Newer`].
    pub fn known(self) -> Result<T, Unreadable> {
        match self {
            Self::This(value) => Ok(value),
            Self::Other(name) => Err(Unreadable::Newer(name)),
        }
    }
}

fn is_none(failed: &FailedAttempts) -> bool {
    *failed == FailedAttempts::default()
}

/// Why an item cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No version of this code can have written it.
    #[error("the item of {id} is damaged: {what}")]
    Damaged {
        /// The execution.
        id: ExecutionId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A newer version wrote it, and only that version can continue with it.
    #[error("`{0}` is known only to a newer version of this code")]
    Newer(String),
}

impl Item {
    /// The item of an execution.
    #[must_use]
    pub fn of(execution: &Execution) -> Self {
        let outcome = execution.state.outcome();
        let error = outcome.and_then(|outcome| match &outcome.kind {
            OutcomeKind::Completed => None,
            OutcomeKind::Failed(error)
            | OutcomeKind::TimedOut(error)
            | OutcomeKind::Cancelled(error)
            | OutcomeKind::Expired(error) => Some(error.clone()),
        });
        let wake = match &execution.state {
            State::Scheduled { wake } | State::Running { wake, .. } | State::Cancelling { wake, .. } => wake.clone(),
            State::Pending | State::Final { .. } => None,
        };
        let Request { retry, overrides, .. } = &execution.request;
        let seconds = |own: Duration, usual: Duration| (own != usual).then_some(own.as_secs());
        let usual = RetryRule::default();
        Self {
            execution_id: execution.id.clone(),
            owner_shard: Some(keys::owner_shard(&execution.owner, shard(&execution.id, OWNER_SHARDS))),
            created: Some(keys::place(execution.created_at, &execution.id)),
            version: execution.version,
            pattern: Known::This(execution.pattern),
            status: Known::This(execution.status()),
            owner: execution.owner.clone(),
            job: execution.request.job.clone(),
            input: execution.request.input.text().to_owned(),
            input_upload: execution.request.input_upload.clone(),
            fingerprint: execution.request.fingerprint(execution.pattern),
            timeout_seconds: execution.request.timeout.as_secs(),
            max_attempts: execution.request.max_attempts,
            on_exit_codes: retry.on_exit_codes.clone(),
            first_backoff: seconds(retry.first, usual.first),
            longest_backoff: seconds(retry.longest, usual.longest),
            cpu: overrides.cpu,
            memory: overrides.memory,
            environment: overrides.environment.clone(),
            tags: execution.request.tags.clone(),
            created_at: execution.created_at,
            start_at: match execution.request.start {
                Some(Start::At(time)) => Some(time),
                Some(Start::In { .. }) | None => None,
            },
            delay_seconds: match execution.request.start {
                Some(Start::In { seconds }) => Some(seconds),
                Some(Start::At(_)) | None => None,
            },
            start_before: execution.request.start_before,
            scheduled_for: execution.scheduled_for,
            latest_start: execution.start_before,
            first_tags: execution.first_tags.clone(),
            deadline: execution.deadline,
            expires_at: execution.expires_at.as_second(),
            active_shard: execution.due.map(|_| shard(&execution.id, ACTIVE_SHARDS).to_string()),
            due: execution.due.map(Timestamp::as_second),
            rerun_of: execution.rerun_of.clone(),
            schedule: execution.schedule.as_ref().map(|origin| origin.name.clone()),
            schedule_time: execution.schedule.as_ref().and_then(|origin| origin.time),
            batch: execution.batch.as_ref().map(|batch| keys::batch(batch, &execution.owner)),
            failed: execution.failed.clone(),
            durable_execution_arn: execution.durable_execution_arn.clone(),
            log: execution.log.clone(),
            run: execution.state.started_task().cloned(),
            earlier: execution.earlier.clone(),
            stopped: execution.stopped.clone(),
            wake,
            result: outcome.and_then(|outcome| outcome.result.as_ref()).map(|json| json.text().to_owned()),
            result_source: outcome.map(|outcome| outcome.result_source).unwrap_or_default(),
            artifacts: outcome.and_then(|outcome| outcome.artifacts.clone()),
            error,
            exit_code: outcome.and_then(|outcome| outcome.exit_code),
            finished_at: outcome.map(|outcome| outcome.finished_at),
            waiting: execution.waiting.clone(),
            creation: execution.creation.clone(),
            timeline: execution.timeline.clone(),
            unknown: execution.unknown.clone(),
        }
    }

    /// The execution.
    ///
    /// # Errors
    ///
    /// [`Unreadable`].
    pub fn into_execution(self) -> Result<Execution, Unreadable> {
        let id = self.execution_id.clone();
        let damaged = |what| Unreadable::Damaged { id: id.clone(), what };
        let (pattern, status) = (self.pattern.known()?, self.status.known()?);
        let json = |text: &str| Json::parse(text).map_err(|_| damaged("its JSON text is not JSON"));
        let usual = RetryRule::default();
        let request = Request {
            input: json(&self.input)?,
            input_upload: self.input_upload,
            job: self.job,
            timeout: Duration::from_secs(self.timeout_seconds),
            max_attempts: self.max_attempts,
            retry: RetryRule {
                on_exit_codes: self.on_exit_codes,
                first: self.first_backoff.map_or(usual.first, Duration::from_secs),
                longest: self.longest_backoff.map_or(usual.longest, Duration::from_secs),
            },
            overrides: Overrides { cpu: self.cpu, memory: self.memory, environment: self.environment },
            tags: self.tags,
            start: self.start_at.map(Start::At).or(self.delay_seconds.map(|seconds| Start::In { seconds })),
            start_before: self.start_before,
        };
        let (started, wake) = (self.run, self.wake);
        let error = self.error.ok_or(damaged("it has no error"));
        let finished_at = self.finished_at.ok_or(damaged("it has no end"));
        let result = self.result.as_deref().map(json).transpose()?;
        let ended = |kind, started| {
            Ok(State::Final {
                started,
                outcome: Outcome {
                    kind,
                    result,
                    result_source: self.result_source,
                    artifacts: self.artifacts,
                    exit_code: self.exit_code,
                    finished_at: finished_at?,
                },
            })
        };
        let state = match status {
            Status::Scheduled => State::Scheduled { wake },
            Status::Pending => State::Pending,
            Status::Running => State::Running { started: started.ok_or(damaged("it runs without a task"))?, wake },
            Status::Cancelling => State::Cancelling { started, wake },
            Status::Completed => ended(OutcomeKind::Completed, started)?,
            Status::Failed => ended(OutcomeKind::Failed(error?), started)?,
            Status::TimedOut => ended(OutcomeKind::TimedOut(error?), started)?,
            Status::Cancelled => ended(OutcomeKind::Cancelled(error?), started)?,
            Status::Expired => ended(OutcomeKind::Expired(error?), started)?,
        };
        Ok(Execution {
            pattern,
            owner: self.owner,
            request,
            created_at: self.created_at,
            scheduled_for: self.scheduled_for,
            start_before: self.latest_start,
            first_tags: self.first_tags,
            deadline: self.deadline,
            expires_at: expires_at(status, self.expires_at).ok_or(damaged("its expiry is not a valid time"))?,
            due: self.due.and_then(|due| Timestamp::from_second(due).ok()),
            rerun_of: self.rerun_of,
            schedule: self.schedule.map(|name| Origin { name, time: self.schedule_time }),
            batch: self.batch.as_deref().and_then(keys::read_batch),
            failed: self.failed,
            durable_execution_arn: self.durable_execution_arn,
            log: self.log,
            state,
            earlier: self.earlier,
            stopped: self.stopped,
            waiting: self.waiting,
            creation: self.creation,
            timeline: self.timeline,
            version: self.version,
            unknown: self.unknown,
            id,
        })
    }
}

/// When an item expires. Older versions stored an expiry even if the execution was not over; such an expiry is ignored.
#[must_use]
pub fn expires_at(status: Status, second: i64) -> Option<Timestamp> {
    if status.is_final() { Timestamp::from_second(second).ok() } else { Some(NEVER) }
}

#[cfg(test)]
mod tests;
