//! The written form of what an item consists of, apart from its outcome.

use domain::{
    Attempt, Denied, Entry, FailedAttempts, JobError, JobLog, Moment, StartedTask, Timeline, Unknown, Waiting,
    task::{Container, Task},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::written::{self, Written, in_form};

in_form! {
    StartedTask => StartedTaskForm,
    JobLog => LogForm,
    FailedAttempts => FailedForm,
    Waiting => WaitingForm,
    Denied => DeniedForm,
    Entry => EntryForm,
    Task => TaskForm,
    Container => ContainerForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StartedTask", rename_all = "camelCase")]
struct StartedTaskForm {
    #[serde(with = "written")]
    attempt: Attempt,
    task_arn: String,
    started_at: Timestamp,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    log: Option<JobLog>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "JobLog", rename_all = "camelCase")]
struct LogForm {
    group: String,
    stream_prefix: String,
    container: String,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "FailedAttempts")]
struct FailedForm {
    // Written even if it is `null`, as the first version did.
    #[serde(with = "written", default)]
    last: Option<Attempt>,
    excused: u32,
    /// Absent in data of older versions.
    #[serde(default, skip_serializing_if = "is_zero")]
    retired: u32,
    /// Absent in data of older versions.
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    error: Option<JobError>,
    #[serde(default, rename = "exitCode", skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks in this way")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Waiting")]
struct WaitingForm {
    #[serde(with = "written")]
    attempt: Attempt,
    until: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    denied: Option<Denied>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Denied")]
struct DeniedForm {
    since: Timestamp,
    why: String,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Entry")]
struct EntryForm {
    at: Timestamp,
    #[serde(with = "written")]
    what: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

/// Written as the list of its entries.
impl Written for Timeline {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.entries().iter().map(written::AsRef))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Entry>::read(deserializer).map(Self::from)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Task", rename_all = "camelCase")]
struct TaskForm {
    arn: String,
    stopped: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_at: Option<Timestamp>,
    #[serde(with = "written")]
    containers: Vec<Container>,
    /// Not needed once the task is over.
    #[serde(skip)]
    environment: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Container", rename_all = "camelCase")]
struct ContainerForm {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::As;

    /// Items of older versions have neither of these two members.
    #[test]
    fn failed_attempts_without_retirements_and_error_are_read_and_written_unchanged() {
        let written = r#"{"last":2,"excused":1}"#;
        let failed: As<FailedAttempts> = serde_json::from_str(written).unwrap();
        assert_eq!((failed.0.last.map(Attempt::get), failed.0.excused, failed.0.retired), (Some(2), 1, 0));
        assert_eq!(serde_json::to_string(&failed).unwrap(), written);
    }
}
