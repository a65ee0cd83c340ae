//! The task metadata endpoint: a task as it is shown to its own containers
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>).

use serde::Serialize;

use super::{
    arn,
    request::DesiredStatus,
    task::{Container, ContainerStatus, Status, Task},
    view,
};

/// The response of `/task`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TaskMetadata {
    cluster: String,
    #[serde(rename = "TaskARN")]
    task_arn: String,
    family: String,
    /// A string here; elsewhere in ECS, the revision is a number.
    revision: String,
    desired_status: DesiredStatus,
    known_status: Status,
    launch_type: &'static str,
    availability_zone: String,
    containers: Vec<ContainerMetadata>,
}

/// A container of the task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerMetadata {
    docker_id: String,
    name: String,
    docker_name: String,
    image: String,
    desired_status: DesiredStatus,
    known_status: ContainerStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "ContainerARN")]
    container_arn: String,
}

/// A task of the cluster.
pub(super) fn of(task: &Task, cluster: &str) -> TaskMetadata {
    let container = |container: &Container| ContainerMetadata {
        docker_id: view::runtime_id(task, container),
        name: container.name.clone(),
        docker_name: container.name.clone(),
        image: container.image.clone(),
        desired_status: view::desired(task),
        known_status: container.status,
        exit_code: container.exit_code,
        kind: "NORMAL",
        container_arn: arn::container(cluster, &task.id, &container.name),
    };
    TaskMetadata {
        cluster: arn::cluster(cluster),
        task_arn: arn::task(cluster, &task.id),
        family: task.family.clone(),
        revision: task.revision.to_string(),
        desired_status: view::desired(task),
        known_status: task.status,
        launch_type: "FARGATE",
        availability_zone: view::zone(),
        containers: task.containers.iter().map(container).collect(),
    }
}
