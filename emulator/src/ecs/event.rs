//! The events about tasks that ECS sends to EventBridge
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>).

use jiff::Timestamp;

use super::{answers, arn, task::Task, view};

/// The event's detail: a task as in `DescribeTasks`, with times as ISO 8601.
pub(super) fn detail(task: &Task, cluster: &str) -> answers::Task<Timestamp> {
    view::task(task, cluster, false)
}

/// The event's resource: the ARN of the task.
pub(super) fn resource(task: &Task, cluster: &str) -> String {
    arn::task(cluster, &task.id)
}
