//! The reconciler's input: AWS's events, one at a time or in a queue's batches, and requests to visit an execution.

use contract::messages::{StoredStart, Visit};
use domain::{
    ExecutionId,
    task::{Container, Task},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The source and the type of the event of a task that has changed.
const TASK_CHANGED: (&str, &str) = ("aws.ecs", "ECS Task State Change");

/// The same for a durable execution.
const WORKFLOW_CHANGED: (&str, &str) = ("aws.lambda", "Durable Execution Status Change");

/// The `lastStatus` of a task that has stopped.
const STOPPED: &str = "STOPPED";

/// The final statuses of a workflow that may not have recorded its execution's outcome.
const FAILURES: [&str; 3] = ["FAILED", "STOPPED", "TIMED_OUT"];

/// The event patterns of the rules that send events to the reconciler, for every cluster and every function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventPatterns {
    /// A task has stopped.
    pub task_stopped: Value,
    /// A durable execution has ended without success.
    pub workflow_ended: Value,
}

impl EventPatterns {
    /// The patterns.
    #[must_use]
    pub fn facts() -> Self {
        let pattern = |(source, kind): (&str, &str), detail: Value| json!({ "source": [source], "detail-type": [kind], "detail": detail });
        Self {
            task_stopped: pattern(TASK_CHANGED, json!({ "lastStatus": [STOPPED] })),
            workflow_ended: pattern(WORKFLOW_CHANGED, json!({ "status": FAILURES })),
        }
    }
}

/// What an event requires.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A task of this execution has stopped.
    TaskStopped {
        /// The execution that started it.
        execution: ExecutionId,
        /// The task as the event describes it.
        task: Box<Task>,
    },
    /// Something may have happened to one of these executions.
    Visit(Vec<ExecutionId>),
    /// It is time to sweep.
    Sweep,
}

impl Event {
    /// What an event means; `None` if it is irrelevant: tasks that are not ours, states that need no action.
    pub(crate) fn of(event: &Value) -> Option<Self> {
        if let Ok(Visit { visit }) = Visit::deserialize(event) {
            return Some(Self::Visit(vec![visit]));
        }
        let detail = &event["detail"];
        match (event["source"].as_str()?, event["detail-type"].as_str()?) {
            TASK_CHANGED => task_stopped(detail),
            WORKFLOW_CHANGED => {
                let over = detail["status"].as_str()? != "RUNNING";
                let executions = StoredStart::executions_of(detail["durableExecutionName"].as_str()?);
                (over && !executions.is_empty()).then_some(Self::Visit(executions))
            }
            // A rule of EventBridge sends `aws.events`. EventBridge Scheduler sends `aws.scheduler`, unless it is configured to send
            // something else.
            ("aws.events" | "aws.scheduler", _) => Some(Self::Sweep),
            _ => None,
        }
    }
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html>
fn task_stopped(detail: &Value) -> Option<Event> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Detail {
        task_arn: String,
        last_status: String,
        started_by: String,
        stop_code: Option<String>,
        stopped_reason: Option<String>,
        started_at: Option<Timestamp>,
        stopped_at: Option<Timestamp>,
        #[serde(default)]
        containers: Vec<DetailContainer>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct DetailContainer {
        name: String,
        exit_code: Option<i32>,
        reason: Option<String>,
    }
    let detail = Detail::deserialize(detail).ok().filter(|detail| detail.last_status == STOPPED)?;
    // `startedBy` of tasks that are not ours may not be an id.
    let execution: ExecutionId = detail.started_by.parse().ok()?;
    let container =
        |seen: DetailContainer| Container { name: seen.name, exit_code: seen.exit_code, reason: seen.reason };
    let task = Task {
        arn: detail.task_arn,
        stopped: true,
        started_at: detail.started_at,
        stop_code: detail.stop_code,
        stopped_reason: detail.stopped_reason,
        stopped_at: detail.stopped_at,
        containers: detail.containers.into_iter().map(container).collect(),
        environment: Vec::new(),
    };
    Some(Event::TaskStopped { execution, task: Box::new(task) })
}

/// Messages of a queue, each with an event in its body
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
pub(crate) struct Batch {
    /// Id and event of each message. A body that is not an event is ignored, and is not delivered again.
    pub(crate) records: Vec<(String, Value)>,
}

impl Batch {
    /// The batch, if the event is one.
    pub(crate) fn of(event: &Value) -> Option<Self> {
        let records = event["Records"].as_array()?.iter().filter_map(|record| {
            let body = serde_json::from_str(record["body"].as_str()?).unwrap_or_default();
            Some((record["messageId"].as_str()?.to_owned(), body))
        });
        Some(Self { records: records.collect() })
    }

    /// The response that names the messages to deliver again.
    pub(crate) fn answer(failed: Vec<String>) -> Value {
        let failures: Vec<_> = failed.into_iter().map(|id| json!({ "itemIdentifier": id })).collect();
        json!({ "batchItemFailures": failures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopped(started_by: &str, last_status: &str) -> Value {
        json!({
            "source": "aws.ecs",
            "detail-type": "ECS Task State Change",
            "detail": {
                "taskArn": "arn:task", "lastStatus": last_status, "startedBy": started_by, "version": 5,
                "stopCode": "EssentialContainerExited", "startedAt": "2026-01-01T00:00:00Z",
                "stoppedAt": "2026-01-01T00:00:00.5Z",
                "containers": [{ "name": "job", "exitCode": 3 }, { "name": "other" }],
            },
        })
    }

    #[test]
    fn a_task_event_gives_the_execution_and_how_the_task_ended() {
        let Some(Event::TaskStopped { execution, task }) = Event::of(&stopped("e1", "STOPPED")) else { panic!() };
        assert_eq!((execution.as_str(), task.containers[0].exit_code), ("e1", Some(3)));
        assert_eq!(task.started_at.unwrap().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(task.stopped_at.unwrap().to_string(), "2026-01-01T00:00:00.5Z");
    }

    #[test]
    fn irrelevant_events_are_ignored() {
        assert_eq!(Event::of(&stopped("e1", "RUNNING")), None);
        assert_eq!(Event::of(&stopped("ecs-svc/1234", "STOPPED")), None, "a service's task");
        let status = |name: &str, status: &str| {
            json!({ "source": "aws.lambda", "detail-type": "Durable Execution Status Change",
                "detail": { "durableExecutionName": name, "status": status } })
        };
        let visit = |ids: &[&str]| Some(Event::Visit(ids.iter().map(|id| id.parse().unwrap()).collect()));
        assert_eq!(Event::of(&status("e1", "RUNNING")), None);
        assert_eq!(Event::of(&status("e1", "FAILED")), visit(&["e1"]));
        assert_eq!(Event::of(&status("e1-2", "FAILED")), visit(&["e1-2", "e1"]), "a later attempt's");
        assert_eq!(Event::of(&status("not an id", "FAILED")), None);
        assert_eq!(Event::of(&json!({ "source": "aws.events", "detail-type": "Scheduled Event" })), Some(Event::Sweep));
        assert_eq!(Event::of(&json!({ "visit": "e1" })), visit(&["e1"]));
        assert_eq!(Event::of(&json!("rubbish")), None);
    }

    #[test]
    fn a_batch_response_names_the_failed_messages() {
        let batch = Batch::of(&json!({ "Records": [
            { "messageId": "m1", "body": "{\"visit\":\"e1\"}" },
            { "messageId": "m2", "body": "rubbish" },
        ] }));
        let records = batch.unwrap().records;
        assert_eq!(records, [("m1".to_owned(), json!({ "visit": "e1" })), ("m2".to_owned(), Value::Null)]);
        assert_eq!(Batch::answer(vec!["m1".into()]), json!({ "batchItemFailures": [{ "itemIdentifier": "m1" }] }));
    }
}
