//! Tasks and the cluster, as the API shows them.

use jiff::Timestamp;

use super::{
    answers::{self, Cluster},
    arn,
    request::DesiredStatus,
    task::{Container, Status, Task},
};
use crate::identity::REGION;

/// A task as `DescribeTasks` shows it.
pub(super) fn task<T: From<Timestamp>>(task: &Task, cluster: &str, with_tags: bool) -> answers::Task<T> {
    let ending = task.ending.as_ref();
    answers::Task {
        task_arn: arn::task(cluster, &task.id),
        cluster_arn: arn::cluster(cluster),
        task_definition_arn: arn::definition(&task.family, task.revision),
        group: task.group.clone(),
        started_by: task.started_by.clone(),
        launch_type: "FARGATE",
        platform_version: "1.4.0",
        platform_family: "Linux",
        availability_zone: zone(),
        cpu: task.cpu.clone(),
        memory: task.memory.clone(),
        last_status: task.status,
        desired_status: desired(task),
        health_status: "UNKNOWN",
        version: task.version,
        created_at: task.created_at.into(),
        started_at: task.started_at.map(T::from),
        stop_code: ending.map(|ending| ending.code),
        stopped_reason: ending.map(|ending| ending.reason.clone()),
        stopping_at: ending.map(|ending| ending.at.into()),
        execution_stopped_at: task.execution_stopped_at.map(T::from),
        stopped_at: task.stopped_at.map(T::from),
        containers: task.containers.iter().map(|one| container(task, one, cluster)).collect(),
        overrides: task.overrides.clone(),
        tags: if with_tags { task.tags.clone() } else { Vec::new() },
        attachments: [],
        attributes: [],
        inference_accelerators: [],
        enable_execute_command: false,
    }
}

fn container(task: &Task, container: &Container, cluster: &str) -> answers::Container {
    answers::Container {
        container_arn: arn::container(cluster, &task.id, &container.name),
        task_arn: arn::task(cluster, &task.id),
        name: container.name.clone(),
        image: container.image.clone(),
        runtime_id: container.process.as_ref().map(|_| runtime_id(task, container)),
        last_status: container.status,
        health_status: "UNKNOWN",
        exit_code: container.exit_code,
        reason: container.reason.clone(),
        network_bindings: [],
        network_interfaces: [],
    }
}

/// The cluster as `DescribeClusters` shows it, with its tasks that are not stopped.
pub(super) fn cluster(name: &str, unstopped: &[Task]) -> Cluster {
    let count = |wanted: fn(Status) -> bool| unstopped.iter().filter(|task| wanted(task.status)).count();
    Cluster {
        cluster_arn: arn::cluster(name),
        cluster_name: name.to_owned(),
        status: "ACTIVE",
        registered_container_instances_count: 0,
        running_tasks_count: count(|status| status == Status::Running),
        pending_tasks_count: count(|status| matches!(status, Status::Provisioning | Status::Pending)),
        active_services_count: 0,
        statistics: [],
        tags: [],
        settings: [],
        capacity_providers: ["FARGATE"],
        default_capacity_provider_strategy: [],
    }
}

/// A container's runtime id on Fargate: the task's id and a number
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>).
pub(super) fn runtime_id(task: &Task, container: &Container) -> String {
    let place = task.containers.iter().position(|one| one.name == container.name).unwrap_or_default();
    format!("{}-{place:010}", task.id)
}

/// Whether a task should run.
pub(super) fn desired(task: &Task) -> DesiredStatus {
    if task.ending.is_some() { DesiredStatus::Stopped } else { DesiredStatus::Running }
}

/// The availability zone of all tasks.
pub(super) fn zone() -> String {
    format!("{REGION}a")
}
