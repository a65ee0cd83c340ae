//! Requests to the API: their members, and the checks that need no state.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shapes::{Registration, Tag, TaskOverride};
use crate::wire::AwsError;

/// Limits of `RunTask` (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>).
const MAX_COUNT: usize = 10;
const MAX_STARTED_BY_CHARS: usize = 128;
const MAX_CLIENT_TOKEN_CHARS: usize = 64;
const MAX_OVERRIDES_CHARS: usize = 8192;
const MAX_TAGS: usize = 50;

/// Reads a request, or a part of one, that was already parsed as JSON.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a Value) -> Result<T, AwsError> {
    T::deserialize(json).map_err(|why| AwsError::bad_request("SerializationException", why.to_string()))
}

/// A mistake in a parameter.
pub(super) fn invalid(why: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidParameterException", why)
}

/// `RunTask`, as far as it is emulated.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RunTask {
    pub(super) task_definition: String,
    pub(super) cluster: Option<String>,
    count: Option<i64>,
    pub(super) group: Option<String>,
    pub(super) started_by: Option<String>,
    pub(super) client_token: Option<String>,
    /// Not parsed yet, because its size is limited.
    overrides: Option<Value>,
    pub(super) tags: Option<Vec<Tag>>,
    pub(super) propagate_tags: Option<String>,
}

impl RunTask {
    /// Checks the request, and returns how many tasks to start.
    pub(super) fn check(&self) -> Result<usize, AwsError> {
        let count = usize::try_from(self.count.unwrap_or(1)).unwrap_or_default();
        if !(1..=MAX_COUNT).contains(&count) {
            return Err(invalid(format!("Task count should be between 1 and {MAX_COUNT}.")));
        }
        at_most("startedBy", MAX_STARTED_BY_CHARS, self.started_by.as_deref())?;
        at_most("clientToken", MAX_CLIENT_TOKEN_CHARS, self.client_token.as_deref())?;
        let overrides = self.overrides.as_ref().map(Value::to_string);
        at_most("Container Overrides", MAX_OVERRIDES_CHARS, overrides.as_deref())?;
        if self.tags.as_ref().is_some_and(|tags| tags.len() > MAX_TAGS) {
            return Err(invalid(format!("Number of tags should be at most {MAX_TAGS}.")));
        }
        Ok(count)
    }

    /// The values that replace those of the task definition.
    pub(super) fn overrides(&self) -> Result<TaskOverride, AwsError> {
        self.overrides.as_ref().map_or_else(|| Ok(TaskOverride::default()), read)
    }
}

fn at_most(what: &str, limit: usize, text: Option<&str>) -> Result<(), AwsError> {
    if text.is_some_and(|text| text.chars().count() > limit) {
        return Err(invalid(format!("{what} length must be at most {limit}")));
    }
    Ok(())
}

/// What a request with a `clientToken` must have in common with the first one with that token: everything except the token itself and
/// the cluster, which can be named in different ways.
pub(super) fn fingerprint(request: &Value) -> Value {
    let mut members = request.as_object().cloned().unwrap_or_default();
    members.remove("clientToken");
    members.remove("cluster");
    members.retain(|_, value| !value.is_null());
    members.entry("count").or_insert_with(|| 1.into());
    Value::Object(members)
}

/// `DescribeTasks`.
#[derive(Debug, Deserialize)]
pub(super) struct DescribeTasks {
    pub(super) cluster: Option<String>,
    pub(super) tasks: Vec<String>,
    #[serde(default)]
    pub(super) include: Vec<String>,
}

/// `ListTasks`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListTasks {
    pub(super) cluster: Option<String>,
    pub(super) container_instance: Option<String>,
    pub(super) desired_status: Option<DesiredStatus>,
    pub(super) family: Option<String>,
    pub(super) launch_type: Option<String>,
    pub(super) max_results: Option<usize>,
    pub(super) next_token: Option<String>,
    pub(super) service_name: Option<String>,
    pub(super) started_by: Option<String>,
}

/// The desired status of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum DesiredStatus {
    /// It should run.
    #[default]
    Running,
    /// "Amazon ECS never sets the desired status of a task to that value"
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html>).
    Pending,
    /// It should end.
    Stopped,
}

/// `StopTask`.
#[derive(Debug, Deserialize)]
pub(super) struct StopTask {
    pub(super) cluster: Option<String>,
    pub(super) task: String,
    pub(super) reason: Option<String>,
}

/// `DescribeClusters`.
#[derive(Debug, Deserialize)]
pub(super) struct DescribeClusters {
    pub(super) clusters: Option<Vec<String>>,
}

/// `RegisterTaskDefinition`.
#[derive(Debug, Deserialize)]
pub(super) struct RegisterTaskDefinition {
    pub(super) tags: Option<Vec<Tag>>,
    #[serde(flatten)]
    pub(super) registration: Registration,
}

/// `DescribeTaskDefinition`, and `DeregisterTaskDefinition`, which has no `include`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DescribeTaskDefinition {
    pub(super) task_definition: String,
    #[serde(default)]
    pub(super) include: Vec<String>,
}

/// `ListTaskDefinitions`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListTaskDefinitions {
    pub(super) family_prefix: Option<String>,
    pub(super) status: Option<String>,
    pub(super) sort: Option<String>,
    pub(super) max_results: Option<usize>,
    pub(super) next_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_repeated_request_is_equal_by_any_form_of_its_names() {
        let first = json!({ "taskDefinition": "f", "clientToken": "a", "cluster": "jobs", "group": null });
        let again = json!({ "clientToken": "a", "cluster": "arn:…/jobs", "count": 1, "taskDefinition": "f" });
        assert_eq!(fingerprint(&first), fingerprint(&again));
        let other = json!({ "taskDefinition": "f", "clientToken": "a", "startedBy": "me" });
        assert_ne!(fingerprint(&first), fingerprint(&other));
    }

    #[test]
    fn every_limit_of_run_task_is_checked() {
        let check = |request: Value| serde_json::from_value::<RunTask>(request).unwrap().check();
        let with = |name: &str, value: Value| json!({ "taskDefinition": "f", name: value });
        let overrides = |length: usize| json!({ "containerOverrides": [], "cpu": "x".repeat(length) });
        let tags = |count: usize| json!(vec![json!({ "key": "k" }); count]);
        let around = overrides(0).to_string().len();
        for (name, most, too_much) in [
            ("count", json!(10), json!(11)),
            ("count", json!(1), json!(0)),
            ("count", json!(1), json!(-1)),
            ("startedBy", json!("x".repeat(128)), json!("x".repeat(129))),
            ("clientToken", json!("é".repeat(64)), json!("x".repeat(65))),
            ("overrides", overrides(8192 - around), overrides(8193 - around)),
            ("tags", tags(50), tags(51)),
        ] {
            assert!(check(with(name, most)).is_ok(), "{name}");
            assert_eq!(check(with(name, too_much)).unwrap_err().code, "InvalidParameterException", "{name}");
        }
    }
}
