//! Responses of the API, named and formed as in its model
//! (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Types.html>).

#![expect(clippy::struct_field_names, reason = "the names are AWS's")]

use serde::Serialize;

use super::{
    request::DesiredStatus,
    shapes::{Tag, TaskDefinition, TaskOverride},
    task::{ContainerStatus, Status, StopCode},
};
use crate::wire::Seconds;

/// A list that is always empty here.
pub(super) type Nothing = [(); 0];

/// A task. `T` is the format of its times: [`Seconds`] in responses, a date in events.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Task<T> {
    pub(super) task_arn: String,
    pub(super) cluster_arn: String,
    pub(super) task_definition_arn: String,
    pub(super) group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_by: Option<String>,
    pub(super) launch_type: &'static str,
    pub(super) platform_version: &'static str,
    pub(super) platform_family: &'static str,
    pub(super) availability_zone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    pub(super) last_status: Status,
    pub(super) desired_status: DesiredStatus,
    pub(super) health_status: &'static str,
    pub(super) version: u64,
    pub(super) created_at: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_at: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_code: Option<StopCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopping_at: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) execution_stopped_at: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stopped_at: Option<T>,
    pub(super) containers: Vec<Container>,
    pub(super) overrides: TaskOverride,
    pub(super) tags: Vec<Tag>,
    pub(super) attachments: Nothing,
    pub(super) attributes: Nothing,
    pub(super) inference_accelerators: Nothing,
    pub(super) enable_execute_command: bool,
}

/// A container of a task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) container_arn: String,
    pub(super) task_arn: String,
    pub(super) name: String,
    pub(super) image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) runtime_id: Option<String>,
    pub(super) last_status: ContainerStatus,
    pub(super) health_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) network_bindings: Nothing,
    pub(super) network_interfaces: Nothing,
}

/// Why a requested item is missing from a response.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    arn: String,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Failure {
    /// The requested item does not exist.
    pub(super) fn missing(arn: String) -> Self {
        Self { arn, reason: "MISSING", detail: None }
    }

    /// There is no capacity for a task, with Fargate's message
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html>).
    pub(super) fn no_capacity(definition: String, why: String) -> Self {
        Self { arn: definition, reason: "Capacity is unavailable at this time", detail: Some(why) }
    }
}

/// `RunTask` and `DescribeTasks`.
#[derive(Debug, Serialize)]
pub(super) struct TasksResponse {
    pub(super) tasks: Vec<Task<Seconds>>,
    pub(super) failures: Vec<Failure>,
}

/// `StopTask`.
#[derive(Debug, Serialize)]
pub(super) struct StopTaskResponse {
    pub(super) task: Task<Seconds>,
}

/// `ListTasks`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListTasksResponse {
    pub(super) task_arns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// `ListTaskDefinitions`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListTaskDefinitionsResponse {
    pub(super) task_definition_arns: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// `DeregisterTaskDefinition`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeregisterTaskDefinitionResponse {
    pub(super) task_definition: TaskDefinition,
}

/// `DescribeClusters`.
#[derive(Debug, Serialize)]
pub(super) struct DescribeClustersResponse {
    pub(super) clusters: Vec<Cluster>,
    pub(super) failures: Vec<Failure>,
}

/// A cluster.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cluster {
    pub(super) cluster_arn: String,
    pub(super) cluster_name: String,
    pub(super) status: &'static str,
    pub(super) registered_container_instances_count: usize,
    pub(super) running_tasks_count: usize,
    pub(super) pending_tasks_count: usize,
    pub(super) active_services_count: usize,
    pub(super) statistics: Nothing,
    pub(super) tags: Nothing,
    pub(super) settings: Nothing,
    pub(super) capacity_providers: [&'static str; 1],
    pub(super) default_capacity_provider_strategy: Nothing,
}
