//! The events about tasks that ECS sends to EventBridge
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>).

use serde_json::{Value, json};

use super::{arn, task::Task, view};

/// The event's detail: a task as in `DescribeTasks`, with times as ISO 8601.
pub(super) fn detail(task: &Task, cluster: &str) -> Value {
    let mut detail = view::task(task, cluster, false);
    let times = [
        ("createdAt", Some(task.created_at)),
        ("startedAt", task.started_at),
        ("stoppingAt", task.ending.as_ref().map(|ending| ending.at)),
        ("executionStoppedAt", task.execution_stopped_at),
        ("stoppedAt", task.stopped_at),
    ];
    if let Some(detail) = detail.as_object_mut() {
        for (name, time) in times.into_iter().filter_map(|(name, time)| Some((name, time?))) {
            detail.insert(name.to_owned(), json!(time));
        }
    }
    detail
}

/// The event's resource: the ARN of the task.
pub(super) fn resource(task: &Task, cluster: &str) -> String {
    arn::task(cluster, &task.id)
}
