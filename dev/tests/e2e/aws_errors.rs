//! Permanent errors of AWS, and records that are written late or never.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    aws_proxy::{Answer, AwsProxy, Rule},
    blocked_jobs::BlockedJobs,
    stack::{LONGHAUL, PATIENCE, Stack, TABLE, eventually, signing},
};

async fn started(stack: &Stack, pattern: &str, body: Value) -> String {
    stack.start_execution(pattern, &body).await["executionId"].as_str().unwrap().to_owned()
}

async fn done(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
}

/// The workflow's function is missing. An execution is accepted once its item is stored, and starts when the function exists.
#[tokio::test]
async fn an_execution_whose_workflow_cannot_start_is_accepted_and_times_out() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    for pattern in ["sync", "callback"] {
        let alias = format!("2015-03-31/functions/longhaul-{pattern}/aliases/live");
        let gone = signing().build().unwrap().request(Method::DELETE, format!("{}/{alias}", stack.aws));
        assert_eq!(gone.send().await.unwrap().status(), StatusCode::NO_CONTENT);
        let body = json!({ "job": "quick", "input": null, "timeoutSeconds": 2 });
        let id = started(&stack, pattern, body).await;
        let execution = eventually("the execution to time out", async || {
            // Until the deadline, a visit that cannot start the workflow fails, so that it is retried.
            stack.reconcile(json!({ "visit": id })).await;
            let execution = stack.execution(&id).await;
            (execution["status"] != "PENDING").then_some(execution)
        })
        .await;
        let outcome = (&execution["status"], &execution["error"]["type"]);
        assert_eq!(outcome, (&json!("TIMED_OUT"), &json!("timed-out")), "{execution:#}");
        assert_eq!(stack.tasks_of(&id).await, Vec::<Value>::new());
    }
}

/// The execution is cancelled before its task starts. `ListTasks` is denied, so after some minutes of retries the workflow assumes that
/// there is no task.
#[tokio::test]
async fn a_cancel_before_the_task_starts_succeeds_even_if_tasks_cannot_be_listed() {
    let answer = Answer::Refuses(400, "AccessDeniedException", "not authorized to perform: ecs:ListTasks");
    let proxy = AwsProxy::start(vec![Rule { job: "", operation: "ListTasks", calls: usize::MAX, answer }]).await;
    let sync = format!("longhaul-sync={}", proxy.command_of(LONGHAUL, "sync"));
    let options = ["--movable-clock", "--job", "long=sleep 300", "--durable-function", &sync];
    let stack = Stack::start(&options).await;
    proxy.forward_to(&stack.aws);
    // Wait until the workflow has accepted the execution. A cancel before that would end it at once.
    let busy =
        json!({ "on": "dynamodb:GetItem", "by": "longhaul-sync", "does": "throttle", "skip": 1, "times": "all" });
    let busy = stack.arm(&busy).await;
    let id = started(&stack, "sync", json!({ "job": "long", "input": null })).await;
    stack.wait_for_hit(busy).await;
    let cancelled = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    stack.disarm(busy).await;
    let execution = stack.forward_to_the_end(&id).await;
    let outcome = (&execution["status"], &execution["error"]["type"]);
    assert_eq!(outcome, (&json!("CANCELLED"), &json!("cancelled")), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await, Vec::<Value>::new());
}

/// ECS refuses to describe the task, and then to stop it. The workflow gives up, and the reconciler stops the task later.
#[tokio::test]
async fn a_task_that_its_workflow_could_not_stop_is_stopped_by_the_reconciler() {
    let refused = Answer::Refuses(400, "ClientException", "refused by the test");
    let rule = |operation| Rule { job: "long", operation, calls: usize::MAX, answer: refused };
    let proxy = AwsProxy::start(vec![rule("DescribeTasks"), rule("StopTask")]).await;
    let sync = format!("longhaul-sync={}", proxy.command_of(LONGHAUL, "sync"));
    let options = ["--movable-clock", "--job", "long=sleep 300", "--durable-function", &sync];
    let stack = Stack::start(&options).await;
    proxy.forward_to(&stack.aws);
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-workflow-ended" })).await;
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    stack.forward(Duration::from_mins(5)).await;
    let execution = done(&stack, &id).await;
    assert_eq!(execution["error"]["type"], "workflow-failed", "{execution:#}");
    assert!(execution["error"]["message"].as_str().unwrap().contains("ClientException"), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await[0]["desiredStatus"], "RUNNING", "the workflow could not stop it");
    stack.reconcile(json!({ "visit": id })).await;
    stack.wait_for_tasks_to_stop(&id).await;
    assert_eq!(stack.execution(&id).await["error"], execution["error"], "a final state never changes");
}

/// Waits for the end of a durable execution, and returns its status.
async fn over(stack: &Stack, arn: &str) -> Value {
    eventually("the workflow to end", async || {
        let status = stack.durable_execution(arn).await["Status"].take();
        (status != "RUNNING").then_some(status)
    })
    .await
}

/// There is no item to record the outcome in, so the durable execution fails.
#[tokio::test]
async fn the_task_of_a_deleted_execution_is_stopped() {
    let stack = Stack::start(&["--movable-clock", "--job", "long=sleep 300"]).await;
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    let key = json!({ "TableName": TABLE, "Key": { "executionId": { "S": id } } });
    stack.call("DynamoDB_20120810.DeleteItem", key).await;
    stack.forward(Duration::from_mins(5)).await;
    assert_eq!(over(&stack, &arn).await, "FAILED");
    stack.wait_for_tasks_to_stop(&id).await;
}

/// Makes the calls of a function hang until the fault is disarmed and the SDK repeats them. The SDK repeats a call after 5 s, and gives
/// up after 20 s.
async fn hang(stack: &Stack, on: &str, by: &str) -> u64 {
    stack.arm(&json!({ "on": on, "by": by, "does": "hang", "times": "all" })).await
}

/// Invokes the reconciler for an execution. While its call about the workflow hangs, the workflow starts its task, which was `held`
/// until then, and ends.
async fn reconcile_while_the_workflow_ends(stack: &Stack, id: &str, workflow: &str, held: u64) {
    let asked = hang(stack, "lambda:GetDurableExecution", "longhaul-reconciler").await;
    let ends = async {
        stack.wait_for_hit(asked).await;
        stack.disarm(held).await;
        eventually("the workflow to end", async || {
            let named = stack.durable_executions("callback", workflow).await;
            named.iter().any(|one| one["Status"] == "SUCCEEDED").then_some(())
        })
        .await;
        stack.disarm(asked).await;
    };
    tokio::join!(stack.reconcile(json!({ "visit": id })), ends);
}

/// The reconciler has read PENDING. While it calls Lambda about the workflow, the workflow starts its task and succeeds: the workflow of a
/// callback execution ends once its task is started.
#[tokio::test]
async fn a_workflow_that_ends_while_the_reconciler_visits_it_has_not_failed() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job("blocked")]).await;
    let held = hang(&stack, "ecs:RunTask", "longhaul-callback").await;
    let id = started(&stack, "callback", json!({ "job": "blocked", "input": null })).await;
    let pending = stack.wait_for(&id, |execution| execution.get("durableExecutionArn").is_some()).await;
    assert_eq!(pending["status"], "PENDING", "{pending:#}");
    reconcile_while_the_workflow_ends(&stack, &id, &id, held).await;
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
    blocked.release(&id);
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!([1])), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await.len(), 1);
}

/// The reconciler has read that the first attempt failed. While it calls Lambda about the second attempt's workflow, that workflow
/// starts its task and succeeds.
#[tokio::test]
async fn an_attempt_that_starts_while_the_reconciler_visits_it_has_not_failed() {
    let blocked = BlockedJobs::new();
    let flaky = blocked.job_then("flaky", "test $EXECUTION_ATTEMPT = 2 || exit 3; echo '[1]'");
    let stack = Stack::start(&["--job", &flaky]).await;
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
    let body = json!({ "job": "flaky", "input": null, "retry": { "maxAttempts": 2 } });
    let id = started(&stack, "callback", body).await;
    stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    let held = hang(&stack, "ecs:RunTask", "longhaul-callback").await;
    blocked.release(&id);
    stack.wait_for(&id, |execution| execution.to_string().contains("attemptFailed")).await;
    reconcile_while_the_workflow_ends(&stack, &id, &format!("{id}-2"), held).await;
    let again = stack.execution(&id).await;
    assert_eq!((&again["status"], &again["attempt"]), (&json!("RUNNING"), &json!(2)), "{again:#}");
    blocked.release_attempt(&id, 2);
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!([1])), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await.len(), 2, "one task for each attempt");
}

/// Waits until a workflow has polled its task this many times.
pub(crate) async fn wait_for_polls(stack: &Stack, arn: &str, polls: usize) {
    eventually("the workflow to poll its task", async || {
        let history = stack.of_durable_execution(arn, "/history?MaxItems=1000").await;
        let is_poll = |event: &&Value| event["EventType"] == "StepSucceeded" && event["Name"] == "check-task";
        (history["Events"].as_array().unwrap().iter().filter(is_poll).count() >= polls).then_some(())
    })
    .await;
}

/// ECS is eventually consistent, so a missing task may still appear. After ten minutes it is considered lost.
#[tokio::test]
async fn a_task_that_stays_missing_is_lost() {
    let missing = || json!({ "tasks": [], "failures": [{ "arn": "arn", "reason": "MISSING" }] });
    let rule = Rule { job: "long", operation: "DescribeTasks", calls: usize::MAX, answer: Answer::Says(missing) };
    let proxy = AwsProxy::start(vec![rule]).await;
    let sync = format!("longhaul-sync={}", proxy.command_of(LONGHAUL, "sync"));
    let options = ["--movable-clock", "--job", "long=sleep 300", "--durable-function", &sync];
    let stack = Stack::start(&options).await;
    proxy.forward_to(&stack.aws);
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    // The worker may be ahead of the workflow. Moving the clock shortens only waits that have begun.
    stack.wait_for_sleep(&arn).await;
    stack.forward(Duration::from_mins(5)).await;
    wait_for_polls(&stack, &arn, 2).await;
    assert_eq!(stack.execution(&id).await["status"], "RUNNING", "the task may still appear");
    stack.forward(Duration::from_mins(10)).await;
    let execution = done(&stack, &id).await;
    let error = &execution["error"];
    assert_eq!((&execution["status"], &error["type"]), (&json!("FAILED"), &json!("task-lost")), "{execution:#}");
}

/// Anyone who may answer callbacks can claim that a task has stopped, so the workflow verifies it with ECS.
#[tokio::test]
async fn a_workflow_keeps_waiting_for_a_task_that_is_wrongly_reported_as_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let end = directory.path().join("end");
    let job = format!("waits=echo 0; until test -e {}; do sleep 0.05; done; echo '[1]'", end.display());
    let stack = Stack::start(&["--job", &job]).await;
    let id = stack.start_running("sync", "waits").await;
    eventually("a line that could be taken for the result", async || {
        let log = stack.get(&format!("/executions/{id}/logs")).send().await.unwrap();
        log.text().await.unwrap().contains("\"0\"").then_some(())
    })
    .await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    assert_eq!(stack.wake(&id, r#"{"stopped":true}"#).await, StatusCode::OK);
    wait_for_polls(&stack, &arn, 2).await;
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
    std::fs::write(&end, "").unwrap();
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!([1])), "{execution:#}");
}

/// Without the metadata endpoint, the worker does not know which task it runs in.
#[tokio::test]
async fn a_worker_without_metadata_records_the_outcome_and_does_not_start_a_cancelled_job() {
    // The workflow never starts, so only the worker writes the item.
    let stack = Stack::start(&["--durable-function", "longhaul-callback=sleep 900"]).await;
    let worker = async |id: &str| {
        let mut worker = Command::new(LONGHAUL);
        worker.args(["worker", "--", "sh", "-c", "echo '{\"began\": true}'"]).kill_on_drop(true);
        worker.env("AWS_ENDPOINT_URL", &stack.aws).env("AWS_REGION", "us-east-1");
        worker.env("AWS_ACCESS_KEY_ID", "any").env("AWS_SECRET_ACCESS_KEY", "any");
        worker.env("EXECUTIONS_TABLE", TABLE).env("EXECUTION_ID", id).env("EXECUTION_INPUT", "null");
        tokio::time::timeout(PATIENCE, worker.output()).await.expect("the worker hangs").unwrap()
    };
    let id = started(&stack, "callback", json!({ "input": null })).await;
    assert_eq!(worker(&id).await.status.code(), Some(0));
    let execution = stack.execution(&id).await;
    assert_eq!(
        (&execution["status"], &execution["result"]),
        (&json!("COMPLETED"), &json!({ "began": true })),
        "{execution:#}"
    );

    let id = started(&stack, "callback", json!({ "input": null })).await;
    let cancelled = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::OK);
    let output = worker(&id).await;
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(!stdout.contains("began"), "the job started: {stdout}");
    assert_eq!(stack.execution(&id).await["status"], "CANCELLED");
}
