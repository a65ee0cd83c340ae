//! Workflows that fail permanently at different points, and executions that only the sweep can finish.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    blocked_jobs::BlockedJobs,
    stack::{Stack, TABLE, eventually},
};

const PATTERNS: [&str; 2] = ["sync", "callback"];

/// Waits for the durable execution with this name, and returns its ARN.
async fn workflow(stack: &Stack, pattern: &str, name: &str) -> String {
    eventually(&format!("a durable execution named {name}"), async || {
        let named = stack.durable_executions(pattern, name).await;
        Some(named.first()?["DurableExecutionArn"].as_str().unwrap().to_owned())
    })
    .await
}

/// Stops the workflow, as an operator can. The workflow does not notice.
pub(crate) async fn stop_workflow(stack: &Stack, arn: &str) {
    let path = format!("/2025-12-01/durable-executions/{}/stop", arn.replace(':', "%3A").replace('/', "%2F"));
    let response = stack.post_to_aws(&path).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{}", response.text().await.unwrap());
}

async fn started(stack: &Stack, pattern: &str, body: Value) -> String {
    stack.start_execution(pattern, &body).await["executionId"].as_str().unwrap().to_owned()
}

/// Has the reconciler look at the execution. It must have failed because of its workflow, and no task may be left running.
async fn assert_failed_with_its_workflow(stack: &Stack, id: &str) -> Value {
    stack.reconcile(json!({ "visit": id })).await;
    let done = stack.execution(id).await;
    assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!("workflow-failed")), "{done:#}");
    stack.wait_for_tasks_to_stop(id).await;
    done
}

/// The item does not contain the workflow's ARN. The reconciler starts the workflow again by its name, and gets the ARN of the stopped one.
#[tokio::test]
async fn a_workflow_that_died_before_it_recorded_anything_fails_its_execution() {
    // These functions never poll for invocations.
    let functions =
        ["--durable-function", "longhaul-sync=sleep 900", "--durable-function", "longhaul-callback=sleep 900"];
    let stack = Stack::start(&functions).await;
    for pattern in PATTERNS {
        let id = started(&stack, pattern, json!({ "input": null })).await;
        stack.reconcile(json!({ "visit": id })).await;
        assert_eq!(stack.execution(&id).await["status"], "PENDING", "its workflow may still start");
        stop_workflow(&stack, &workflow(&stack, pattern, &id).await).await;
        assert_failed_with_its_workflow(&stack, &id).await;
    }
}

/// The first attempt failed. The workflow of the second died before it started a task.
#[tokio::test]
async fn a_workflow_that_died_before_a_retry_fails_its_execution() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job_then("fails", "exit 3")]).await;
    let id = started(&stack, "callback", json!({ "job": "fails", "input": null, "retry": { "maxAttempts": 3 } })).await;
    stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    stack.arm(&json!({ "on": "ecs:RunTask", "by": "longhaul-callback", "does": "hang", "times": "all" })).await;
    blocked.release(&id);
    stop_workflow(&stack, &workflow(&stack, "callback", &format!("{id}-2")).await).await;
    let done = assert_failed_with_its_workflow(&stack, &id).await;
    assert_eq!((&done["attempt"], stack.tasks_of(&id).await.len()), (&json!(1), 1), "{done:#}");
}

/// The reply to the reconciler's write is lost. The reconciler reads the item, recognizes its own write and continues.
#[tokio::test]
async fn a_workflow_that_died_while_its_task_runs_fails_its_execution() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    without_events_and_sweeps(&stack).await;
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    stop_workflow(&stack, &arn).await;
    let lost = json!({ "on": "dynamodb:PutItem", "by": "longhaul-reconciler", "does": "cutAfter" });
    let lost = stack.arm(&lost).await;
    assert_failed_with_its_workflow(&stack, &id).await;
    assert_eq!(stack.fault(lost).await["hit"], 1);
}

/// The second visit is needed because a task of the execution might still be running.
#[tokio::test]
async fn an_execution_that_a_sweep_finished_is_visited_once_more() {
    let stack = Stack::start(&["--movable-clock", "--durable-function", "longhaul-sync=sleep 900"]).await;
    without_events_and_sweeps(&stack).await;
    let id = started(&stack, "sync", json!({ "input": null })).await;
    stop_workflow(&stack, &workflow(&stack, "sync", &id).await).await;
    let sweep = async || {
        stack.forward(Duration::from_secs(62)).await;
        stack.reconcile(json!({ "source": "aws.events", "detail-type": "Scheduled Event" })).await;
        let item = stack.item(&id).await;
        (item["status"]["S"].clone(), item.get("due").is_some())
    };
    assert_eq!(sweep().await, (json!("FAILED"), true));
    assert_eq!(sweep().await, (json!("FAILED"), false));
}

/// Lambda allows few calls about workflows per second, and a sweep may need thousands. After a throttled call, the sweep makes no more
/// of them, but still visits every execution. The next sweep makes the calls.
#[tokio::test]
async fn a_throttled_sweep_stops_calling_lambda_but_visits_every_execution() {
    const COUNT: u64 = 20;
    let stack = Stack::start(&["--movable-clock", "--durable-function", "longhaul-sync=sleep 900"]).await;
    without_events_and_sweeps(&stack).await;
    let mut ids = Vec::new();
    for number in 0..COUNT {
        ids.push(started(&stack, "sync", json!({ "input": number })).await);
    }
    let due = async || {
        let mut due = Vec::new();
        for id in &ids {
            due.push(stack.item(id).await["due"]["N"].as_str().unwrap().parse::<i64>().unwrap());
        }
        due
    };
    let sweep = async |does: &str| {
        stack.forward(Duration::from_secs(62)).await;
        let on = "lambda:GetDurableExecution";
        let calls = json!({ "on": on, "by": "longhaul-reconciler", "does": does, "times": "all" });
        let calls = stack.arm(&calls).await;
        stack.reconcile(json!({ "source": "aws.events", "detail-type": "Scheduled Event" })).await;
        let seen = stack.fault(calls).await["seen"].as_u64().unwrap();
        stack.disarm(calls).await;
        seen
    };
    let before = due().await;
    let seen = sweep("throttle").await;
    assert!((1..=4).contains(&seen), "one call, and the SDK's retries of it: {seen}");
    assert!(before.iter().zip(due().await).all(|(before, after)| *before < after), "all were visited");
    assert_eq!(sweep("watch").await, COUNT);
}

/// Turns off the sweep and the events of workflows, so that only the test and the events of tasks invoke the reconciler.
pub(crate) async fn without_events_and_sweeps(stack: &Stack) {
    for rule in ["longhaul-workflow-ended", "longhaul-sweep"] {
        stack.call("AWSEvents.DisableRule", json!({ "Name": rule })).await;
    }
}

/// The API recorded an execution, and crashed before it started the workflow. Many damaged items are due earlier.
#[tokio::test]
async fn damaged_items_do_not_keep_the_sweep_from_other_executions() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let done = stack.run("callback", json!({ "job": "quick", "input": null })).await;
    let mut item = stack.item(done["executionId"].as_str().unwrap()).await;
    for attribute in ["run", "result", "exitCode", "finishedAt", "durableExecutionArn"] {
        item.as_object_mut().unwrap().remove(attribute);
    }
    for (name, value) in [("status", json!({ "S": "PENDING" })), ("activeShard", json!({ "S": "0" }))] {
        item[name] = value;
    }
    let put = async |id: &str, due: u32, status: &str| {
        let mut item = item.clone();
        for (name, value) in [("executionId", id), ("status", status)] {
            item[name] = json!({ "S": value });
        }
        item["due"] = json!({ "N": due.to_string() });
        stack.call("DynamoDB_20120810.PutItem", json!({ "TableName": TABLE, "Item": item })).await;
    };
    // FAILED without an error: more items than a page has, all due before the execution that can be repaired.
    for number in 0..120 {
        put(&format!("damaged-{number}"), 1, "FAILED").await;
    }
    put("not-started", 2, "PENDING").await;
    stack.reconcile(json!({ "source": "aws.events", "detail-type": "Scheduled Event" })).await;
    let done = stack.wait_for("not-started", |execution| execution["done"] == true).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
}

/// The worker sees only a SIGTERM, and does not know its cause. The interrupted attempt does not count toward `maxAttempts`.
#[tokio::test]
async fn a_callback_execution_is_retried_after_a_spot_interruption() {
    let stack = Stack::start(&["--job", "polite=trap 'exit 0' TERM; for i in $(seq 3000); do sleep 0.1; done"]).await;
    let id = started(&stack, "callback", json!({ "job": "polite", "input": null })).await;
    let running = stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    let task = running["taskArn"].clone();
    let event = json!({
        "source": "aws.ecs",
        "detail-type": "ECS Task State Change",
        "detail": {
            "taskArn": task, "lastStatus": "STOPPED", "startedBy": id, "stopCode": "SpotInterruption",
            "stoppedReason": "Your Spot Task was interrupted.", "stoppedAt": "2026-01-01T00:00:00Z",
            "containers": [{ "name": "job", "exitCode": 0 }],
        },
    });
    // Twice, because EventBridge may deliver an event twice.
    stack.reconcile(event.clone()).await;
    stack.reconcile(event).await;
    let again = stack.wait_for(&id, |execution| execution["attempt"] == 2).await;
    assert_eq!((&again["status"], &again["maxAttempts"]), (&json!("RUNNING"), &json!(1)), "{again:#}");
    assert!(again["timeline"].to_string().contains("attempt 1: stopped (not counted)"), "{again:#}");
    assert_eq!(stack.tasks_of(&id).await.len(), 2, "one task for each attempt");
}
