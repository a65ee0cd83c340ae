//! The events about tasks that ECS sends to EventBridge
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>).

use serde_json::{Value, json};

use super::{arn, task::Task, view};

/// A task as the event shows it: as `DescribeTasks` does, with its times in words.
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

/// The ARN that the event is about.
pub(super) fn resource(task: &Task, cluster: &str) -> String {
    arn::task(cluster, &task.id)
}
