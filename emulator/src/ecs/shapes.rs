//! The shapes that requests and responses of the API share. They are also stored. They are named and formed as in its model
//! (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Types.html>). Members that have no effect here are kept in `more`, and
//! shown as they were sent.

#![expect(clippy::struct_field_names, reason = "the names are AWS's")]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::wire::Seconds;

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tag {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

/// A variable of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyValuePair {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<String>,
}

/// The values that replace those of a task's definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TaskOverride {
    pub(super) container_overrides: Vec<ContainerOverride>,
    pub(super) inference_accelerator_overrides: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// The values that replace those of a container's definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ContainerOverride {
    #[serde(default)]
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<Vec<KeyValuePair>>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// A container of a task definition. A member that a request omits has ECS's default value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerDefinition {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) image: String,
    #[serde(default)]
    cpu: i64,
    #[serde(default = "yes")]
    pub(super) essential: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) entry_point: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) command: Option<Vec<String>>,
    #[serde(default)]
    pub(super) environment: Vec<KeyValuePair>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) secrets: Vec<Secret>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) depends_on: Vec<Dependency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stop_timeout: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) log_configuration: Option<LogConfiguration>,
    #[serde(default)]
    mount_points: Vec<Value>,
    #[serde(default)]
    port_mappings: Vec<Value>,
    #[serde(default)]
    volumes_from: Vec<Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// A variable of a container whose value is kept elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Secret {
    pub(super) name: String,
    /// The name or ARN of a parameter, or the ARN of a secret.
    pub(super) value_from: String,
}

/// What has to happen to another container of the task before a container is started
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html>).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    pub(super) container_name: String,
    pub(super) condition: String,
}

fn yes() -> bool {
    true
}

/// Where the output of a container goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LogConfiguration {
    pub(super) log_driver: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl LogConfiguration {
    /// Group and stream prefix of the `awslogs` driver; Fargate requires both.
    pub(super) fn awslogs(&self) -> Option<(&str, &str)> {
        let option = |name| self.options.as_ref()?.get(name).map(String::as_str);
        Some((option("awslogs-group")?, option("awslogs-stream-prefix")?)).filter(|_| self.log_driver == "awslogs")
    }
}

/// What a registration says about a task definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registration {
    #[serde(default)]
    pub(super) family: String,
    #[serde(default)]
    pub(super) container_definitions: Vec<ContainerDefinition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    #[serde(default)]
    volumes: Vec<Value>,
    #[serde(default)]
    placement_constraints: Vec<Value>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// A revision of a task definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TaskDefinition {
    pub(super) task_definition_arn: String,
    pub(super) revision: i64,
    pub(super) status: DefinitionStatus,
    pub(super) compatibilities: Vec<String>,
    pub(super) registered_at: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deregistered_at: Option<Seconds>,
    #[serde(flatten)]
    pub(super) registration: Registration,
}

/// The status of a revision: active until it is deregistered
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeregisterTaskDefinition.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum DefinitionStatus {
    /// New tasks can be started.
    Active,
    /// No new tasks can be started.
    Inactive,
}

/// A revision as it is stored, which is also the response of `RegisterTaskDefinition` and `DescribeTaskDefinition`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Definition {
    pub(super) task_definition: TaskDefinition,
    #[serde(default)]
    pub(super) tags: Vec<Tag>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_definition_of_an_older_stack_is_read_and_written_without_changes() {
        let row = json!({
            "tags": [{ "key": "k", "value": "v" }],
            "taskDefinition": {
                "family": "f", "revision": 3, "status": "INACTIVE", "compatibilities": ["EC2", "FARGATE"],
                "taskDefinitionArn": "arn:aws:ecs:us-east-1:000000000000:task-definition/f:3",
                "registeredAt": 1_764_281_566.5, "deregisteredAt": 1_764_281_567.0,
                "networkMode": "awsvpc", "volumes": [{ "name": "v" }], "placementConstraints": [], "cpu": "256",
                "containerDefinitions": [{
                    "name": "job", "image": "i", "cpu": 1, "essential": true, "command": ["run"],
                    "environment": [{ "name": "A", "value": "b" }],
                    "dependsOn": [{ "containerName": "other", "condition": "START" }], "mountPoints": [{ "sourceVolume": "v" }],
                    "portMappings": [], "volumesFrom": [], "healthCheck": { "command": ["true"] },
                    "logConfiguration": { "logDriver": "awslogs", "options": { "a": "b" }, "secretOptions": [] },
                }],
            },
        });
        let definition: Definition = serde_json::from_value(row.clone()).unwrap();
        assert_eq!(serde_json::to_value(definition).unwrap(), row);
    }
}
