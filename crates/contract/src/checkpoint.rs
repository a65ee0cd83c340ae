//! What a workflow records about each of its activities.
//!
//! A workflow that is in flight for a year reads what it recorded at its beginning, so variants and fields are only ever added. Checkpoints
//! are small, because every one is billed, and read again at each replay.

use domain::{Attempt, ExecutionId, JobError, Json, Outcome, Status};
use serde::{Deserialize, Serialize};

use crate::written;

/// What a workflow needs to know about its execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// The execution.
    #[serde(with = "written")]
    pub id: ExecutionId,
    /// How many attempts it may have in total.
    pub max_attempts: u32,
    /// The first attempt of this workflow.
    #[serde(with = "written", default = "first", skip_serializing_if = "is_first")]
    pub attempt: Attempt,
    /// Seconds to wait before that attempt. Absent for the first attempt, and in records of older versions, which did not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<u64>,
    /// Seconds until the start time, or 0 if that has come. Absent if the execution was not to start later, and in records of older versions, which started everything at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_in: Option<u64>,
}

fn first() -> Attempt {
    Attempt::FIRST
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this way")]
fn is_first(attempt: &Attempt) -> bool {
    *attempt == Attempt::FIRST
}

/// The result of accepting an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Accepted {
    /// There is a job to run.
    Job(Job),
    /// The execution is already over.
    Over(Finished),
}

/// What a check of the start time showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Due {
    /// The start time has come, or the execution is over.
    Now,
    /// It is still ahead.
    In {
        /// Seconds until it comes, at least one.
        seconds: u64,
    },
}

/// The result of starting a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Started {
    /// The ARN of the attempt's task.
    Task(String),
    /// No task was started, and none will be, for this attempt or a later one. This is the execution's outcome.
    Not(#[serde(with = "written")] Outcome),
}

/// The result of recording a started task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// The execution's status after the task was recorded.
    #[serde(with = "written")]
    pub status: Status,
    /// Seconds until its deadline.
    pub seconds_left: u64,
}

/// Whether another attempt follows one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Again {
    /// Whether another attempt follows after the usual backoff, that of `RetryRule::default()`.
    Said(bool),
    /// Another attempt follows after this wait, because the execution has its own backoff, or its deadline comes before the end of the
    /// backoff.
    In {
        /// Seconds to wait.
        seconds: u64,
    },
}

/// What a check of a task showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Checked {
    /// It is running, or is about to run.
    Running {
        /// Seconds until the execution's deadline.
        #[serde(rename = "secondsLeft")]
        seconds_left: u64,
    },
    /// It was asked to stop.
    Stopping,
    /// It is over.
    Stopped,
}

/// What the durable execution returns. The execution is over, unless the worker in its task still has to record the outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// The execution.
    #[serde(with = "written")]
    pub execution_id: ExecutionId,
    /// Its status; RUNNING if the worker in the task records the outcome.
    #[serde(with = "written")]
    pub status: Status,
    /// The job's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Json>,
    /// Why it did not complete.
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// The task that was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_arn: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::de::DeserializeOwned;

    use super::*;
    use domain::ErrorKind;

    #[track_caller]
    fn is_recorded<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, text: &str) {
        assert_eq!(serde_json::to_string(value).unwrap(), text);
        assert_eq!(serde_json::from_str::<T>(text).unwrap(), *value);
    }

    fn id() -> ExecutionId {
        "e1".parse().unwrap()
    }

    fn finished() -> Finished {
        Finished { execution_id: id(), status: Status::Running, result: None, error: None, task_arn: None }
    }

    /// A workflow of the version before has recorded exactly these texts.
    #[test]
    fn checkpoints_never_change() {
        let job = Job { id: id(), max_attempts: 3, attempt: Attempt::FIRST, backoff: None, starts_in: None };
        is_recorded(&Accepted::Job(job.clone()), r#"{"job":{"id":"e1","maxAttempts":3}}"#);
        is_recorded(
            &Accepted::Job(Job { attempt: Attempt::FIRST.next(), backoff: Some(5), ..job.clone() }),
            r#"{"job":{"id":"e1","maxAttempts":3,"attempt":2,"backoff":5}}"#,
        );
        is_recorded(
            &Accepted::Job(Job { starts_in: Some(120), ..job }),
            r#"{"job":{"id":"e1","maxAttempts":3,"startsIn":120}}"#,
        );
        is_recorded(&Due::Now, r#""now""#);
        is_recorded(&Due::In { seconds: 9 }, r#"{"in":{"seconds":9}}"#);
        is_recorded(&Accepted::Over(finished()), r#"{"over":{"executionId":"e1","status":"RUNNING"}}"#);
        is_recorded(&Started::Task("arn:task".into()), r#"{"task":"arn:task"}"#);
        let refused = Outcome::failed(ErrorKind::TaskRefused, "no such image", jiff::Timestamp::UNIX_EPOCH);
        is_recorded(
            &Started::Not(refused),
            r#"{"not":{"kind":{"failed":{"type":"task-refused","message":"no such image"}},"result":null,"exitCode":null,"finishedAt":"1970-01-01T00:00:00Z"}}"#,
        );
        is_recorded(
            &Recorded { status: Status::Running, seconds_left: 60 },
            r#"{"status":"RUNNING","secondsLeft":60}"#,
        );
        is_recorded(&Again::Said(true), "true");
        is_recorded(&Again::In { seconds: 7 }, r#"{"seconds":7}"#);
        is_recorded(&Checked::Running { seconds_left: 60 }, r#"{"running":{"secondsLeft":60}}"#);
        is_recorded(&Checked::Stopping, r#""stopping""#);
        is_recorded(&Checked::Stopped, r#""stopped""#);
        is_recorded(
            &Finished {
                status: Status::Failed,
                result: Some(Json::parse("[1.10]").unwrap()),
                error: Some(JobError::new(ErrorKind::ExitCode, "exited with code 3")),
                task_arn: Some("arn:task".into()),
                ..finished()
            },
            r#"{"executionId":"e1","status":"FAILED","result":[1.10],"error":{"type":"exit-code","message":"exited with code 3"},"taskArn":"arn:task"}"#,
        );
    }
}
