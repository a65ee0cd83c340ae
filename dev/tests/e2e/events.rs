//! Executions end as soon as an event reports the end of their task or workflow, even if the task or the workflow died.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    blocked_jobs::BlockedJobs,
    stack::{LONGHAUL, Stack, eventually},
};

const PATTERNS: [&str; 2] = ["sync", "callback"];
const ECS: &str = "AmazonEC2ContainerServiceV20141113";

async fn done(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
}

/// Turns off the sweep, so that only events make progress.
async fn without_sweep(stack: &Stack) {
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
}

/// The execution failed because its workflow did, and no task is left running.
async fn assert_workflow_failed(stack: &Stack, id: &str) {
    let done = done(stack, id).await;
    assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!("workflow-failed")), "{done:#}");
    stack.wait_for_tasks_to_stop(id).await;
}

/// The workflow's next poll would come after five minutes, which is longer than this test waits.
#[tokio::test]
async fn an_event_of_the_tasks_end_wakes_the_workflow() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job("blocked")]).await;
    without_sweep(&stack).await;
    let id = stack.start_running("sync", "blocked").await;
    stack.wait_for_sleep(stack.execution(&id).await["durableExecutionArn"].as_str().unwrap()).await;
    blocked.release(&id);
    assert_eq!(done(&stack, &id).await["status"], "COMPLETED");
}

/// The event of the second task's end arrives while the item still has the first task.
#[tokio::test]
async fn the_end_of_an_attempt_is_seen_even_if_its_start_is_not_yet_recorded() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job_then("fails", "exit 3")]).await;
    without_sweep(&stack).await;
    let body = json!({ "job": "fails", "input": null, "retry": { "maxAttempts": 2 } });
    let id = stack.start_execution("sync", &body).await["executionId"].as_str().unwrap().to_owned();
    stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    let fault = |on: &str, does: &str| json!({ "on": on, "by": "longhaul-sync", "does": does, "times": "all" });
    let not_yet = stack.arm(&fault("ecs:RunTask", "hang")).await;
    blocked.release(&id);
    stack.wait_for(&id, |execution| execution.to_string().contains("attemptFailed")).await;
    let unwritten = stack.arm(&fault("dynamodb:PutItem", "throttle")).await;
    stack.disarm(not_yet).await;
    blocked.release_attempt(&id, 2);
    eventually("the second task to stop", async || {
        let tasks = stack.tasks_of(&id).await;
        (tasks.len() == 2 && tasks.iter().all(|task| task["lastStatus"] == "STOPPED")).then_some(())
    })
    .await;
    stack.wait_for_hit(unwritten).await;
    stack.disarm(unwritten).await;
    let done = done(&stack, &id).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("FAILED"), &json!(2)), "{done:#}");
}

/// The worker is killed together with its task.
#[tokio::test]
async fn the_end_of_a_task_whose_worker_cannot_report_it_is_recorded() {
    let stack = Stack::start(&["--job", "suicide=kill -9 $PPID; sleep 300"]).await;
    without_sweep(&stack).await;
    for pattern in PATTERNS {
        let done = stack.run(pattern, json!({ "job": "suicide", "input": null })).await;
        assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(137)), "{pattern}: {done:#}");
    }
}

#[tokio::test]
async fn a_task_stopped_from_outside_fails_its_execution() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    for pattern in PATTERNS {
        let id = stack.start_running(pattern, "long").await;
        let task = stack.execution(&id).await["taskArn"].clone();
        stack
            .call(&format!("{ECS}.StopTask"), json!({ "cluster": "longhaul", "task": task, "reason": "maintenance" }))
            .await;
        let done = done(&stack, &id).await;
        assert_eq!(
            (&done["status"], &done["error"]["type"]),
            (&json!("FAILED"), &json!("stopped")),
            "{pattern}: {done:#}"
        );
    }
}

#[tokio::test]
async fn an_event_of_a_stopped_workflow_ends_its_execution() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    without_sweep(&stack).await;
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().replace('/', "%2F");
    let stop = stack.post_to_aws(&format!("/2025-12-01/durable-executions/{arn}/stop"));
    assert_eq!(stop.json(&json!({ "ErrorMessage": "enough" })).send().await.unwrap().status(), StatusCode::OK);
    assert_workflow_failed(&stack, &id).await;
}

/// The workflow's first process is killed while it waits, and every later process exits at its start.
#[tokio::test]
async fn an_event_of_a_failed_workflow_ends_its_execution() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("sync.sh");
    let first = directory.path().join("first");
    let text = format!("test -e {0} && exit 1\necho $$ > {0}\nexec {LONGHAUL} function sync\n", first.display());
    std::fs::write(&script, text).unwrap();
    let function = format!("longhaul-sync=sh {}", script.display());
    let stack = Stack::start(&["--movable-clock", "--job", "long=sleep 300", "--durable-function", &function]).await;
    without_sweep(&stack).await;
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    let pid = std::fs::read_to_string(&first).unwrap();
    let killed = tokio::process::Command::new("kill").args(["-9", pid.trim()]).status().await.unwrap();
    assert!(killed.success());
    stack.forward(Duration::from_mins(5)).await;
    assert_workflow_failed(&stack, &id).await;
}
