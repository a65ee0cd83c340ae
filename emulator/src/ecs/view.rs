//! The responses of the API and the metadata endpoint.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    arn,
    task::{Container, Status, Task},
};
use crate::identity::REGION;

/// A time, as JSON 1.1 has it: seconds since the epoch
/// (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>).
pub(super) fn seconds(at: Timestamp) -> Value {
    at.as_duration().as_secs_f64().into()
}

/// A task as `DescribeTasks` shows it.
pub(super) fn task(task: &Task, cluster: &str, with_tags: bool) -> Value {
    let containers: Vec<_> = task.containers.iter().map(|one| container(task, one, cluster)).collect();
    let mut overrides = task.overrides.as_object().cloned().unwrap_or_default();
    overrides.entry("containerOverrides").or_insert_with(|| json!([]));
    overrides.entry("inferenceAcceleratorOverrides").or_insert_with(|| json!([]));
    let mut view = json!({
        "taskArn": arn::task(cluster, &task.id),
        "clusterArn": arn::cluster(cluster),
        "taskDefinitionArn": arn::definition(&task.family, task.revision),
        "group": task.group,
        "launchType": "FARGATE",
        "platformVersion": "1.4.0",
        "platformFamily": "Linux",
        "availabilityZone": zone(),
        "lastStatus": task.status,
        "desiredStatus": desired(task),
        "healthStatus": "UNKNOWN",
        "version": task.version,
        "createdAt": seconds(task.created_at),
        "containers": containers,
        "overrides": overrides,
        "tags": if with_tags { json!(task.tags) } else { json!([]) },
        "attachments": [],
        "attributes": [],
        "inferenceAccelerators": [],
        "enableExecuteCommand": false,
    });
    let ending = task.ending.as_ref();
    add(
        &mut view,
        [
            ("startedBy", task.started_by.as_ref().map(|by| json!(by))),
            ("cpu", task.cpu.as_ref().map(|cpu| json!(cpu))),
            ("memory", task.memory.as_ref().map(|memory| json!(memory))),
            ("startedAt", task.started_at.map(seconds)),
            ("stopCode", ending.map(|ending| json!(ending.code))),
            ("stoppedReason", ending.map(|ending| json!(ending.reason))),
            ("stoppingAt", ending.map(|ending| seconds(ending.at))),
            ("executionStoppedAt", task.execution_stopped_at.map(seconds)),
            ("stoppedAt", task.stopped_at.map(seconds)),
        ],
    );
    view
}

fn container(task: &Task, container: &Container, cluster: &str) -> Value {
    let mut view = json!({
        "containerArn": arn::container(cluster, &task.id, &container.name),
        "taskArn": arn::task(cluster, &task.id),
        "name": container.name,
        "image": container.image,
        "lastStatus": container.status,
        "healthStatus": "UNKNOWN",
        "networkBindings": [],
        "networkInterfaces": [],
    });
    add(
        &mut view,
        [
            ("runtimeId", container.process.as_ref().map(|_| json!(runtime_id(task, container)))),
            ("exitCode", container.exit_code.map(|code| json!(code))),
            ("reason", container.reason.as_ref().map(|why| json!(why))),
        ],
    );
    view
}

/// A task as the metadata endpoint shows it to its own containers.
pub(super) fn metadata(task: &Task, cluster: &str) -> Value {
    let containers = task.containers.iter().map(|container| {
        let mut view = json!({
            "DockerId": runtime_id(task, container),
            "Name": container.name,
            "DockerName": container.name,
            "Image": container.image,
            "DesiredStatus": desired(task),
            "KnownStatus": container.status,
            "Type": "NORMAL",
            "ContainerARN": arn::container(cluster, &task.id, &container.name),
        });
        add(&mut view, [("ExitCode", container.exit_code.map(|code| json!(code)))]);
        view
    });
    json!({
        "Cluster": arn::cluster(cluster),
        "TaskARN": arn::task(cluster, &task.id),
        "Family": task.family,
        // A string here; elsewhere in ECS, the revision is a number.
        "Revision": task.revision.to_string(),
        "DesiredStatus": desired(task),
        "KnownStatus": task.status,
        "LaunchType": "FARGATE",
        "AvailabilityZone": zone(),
        "Containers": containers.collect::<Vec<_>>(),
    })
}

/// The cluster as `DescribeClusters` shows it, with its tasks that are not stopped.
pub(super) fn cluster(name: &str, unstopped: &[Task]) -> Value {
    let count = |wanted: fn(Status) -> bool| unstopped.iter().filter(|task| wanted(task.status)).count();
    json!({
        "clusterArn": arn::cluster(name),
        "clusterName": name,
        "status": "ACTIVE",
        "registeredContainerInstancesCount": 0,
        "runningTasksCount": count(|status| status == Status::Running),
        "pendingTasksCount": count(|status| matches!(status, Status::Provisioning | Status::Pending)),
        "activeServicesCount": 0,
        "statistics": [],
        "tags": [],
        "settings": [],
        "capacityProviders": ["FARGATE"],
        "defaultCapacityProviderStrategy": [],
    })
}

/// The failure for something that does not exist.
pub(super) fn missing(arn: &str) -> Value {
    json!({ "arn": arn, "reason": "MISSING" })
}

/// The failure of a `RunTask` for which there is no capacity, with Fargate's message
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html>).
pub(super) fn no_capacity(definition: &str, why: &str) -> Value {
    json!({ "arn": definition, "reason": "Capacity is unavailable at this time", "detail": why })
}

/// One page of a list, and the token of the next page.
pub(super) fn page(member: &str, listed: &[String], next: Option<String>) -> Value {
    let mut view = json!({ member: listed });
    add(&mut view, [("nextToken", next.map(Value::from))]);
    view
}

/// A container's runtime id on Fargate: the task's id and a number
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>).
fn runtime_id(task: &Task, container: &Container) -> String {
    let place = task.containers.iter().position(|one| one.name == container.name).unwrap_or_default();
    format!("{}-{place:010}", task.id)
}

fn desired(task: &Task) -> &'static str {
    if task.ending.is_some() { "STOPPED" } else { "RUNNING" }
}

fn zone() -> String {
    format!("{REGION}a")
}

/// Adds the members that have a value: the API leaves the others out.
fn add<const N: usize>(view: &mut Value, members: [(&str, Option<Value>); N]) {
    let view: Option<&mut Map<String, Value>> = view.as_object_mut();
    if let Some(view) = view {
        view.extend(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
}
