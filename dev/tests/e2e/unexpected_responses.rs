//! Unexpected responses of AWS, and payloads of callbacks that are not the reconciler's.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    aws_errors::wait_for_polls,
    aws_proxy::{Answer, AwsProxy, Rule},
    blocked_jobs::BlockedJobs,
    dead_workflows::{stop_workflow, without_events_and_sweeps},
    stack::{LONGHAUL, Stack, TABLE, eventually},
};

async fn arn_of(stack: &Stack, id: &str) -> String {
    stack.execution(id).await["durableExecutionArn"].as_str().unwrap().to_owned()
}

async fn end_of(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
}

/// Anyone who may answer callbacks can send any payload, and older versions of the reconciler send none.
#[tokio::test]
async fn a_workflow_polls_its_task_after_any_callback_payload() {
    let stack = Stack::start(&["--job", "waits=sleep 300"]).await;
    let id = stack.start_running("sync", "waits").await;
    let arn = arn_of(&stack, &id).await;
    for (number, payload) in ["", "hello", "[1]", "\"stopped\"", "{\"stopped\": 1}"].into_iter().enumerate() {
        stack.wait_for_sleep(&arn).await;
        assert_eq!(stack.wake(&id, payload).await, StatusCode::OK);
        wait_for_polls(&stack, &arn, number + 2).await;
        assert_eq!(stack.execution(&id).await["status"], "RUNNING", "after {payload:?}");
    }
}

/// The callback of a stopped workflow is refused with each possible error, and the reconciler records the outcome instead.
#[tokio::test]
async fn the_outcome_of_a_task_that_outlives_its_workflow_is_recorded() {
    let codes = ["ResourceNotFoundException", "CallbackTimeoutException", "InvalidParameterValueException"];
    let blocked = BlockedJobs::new();
    let tasks = [blocked.job("works"), blocked.job_then("fails", "exit 3")];
    let stack = Stack::start(&["--job", &tasks[0], "--job", &tasks[1]]).await;
    without_events_and_sweeps(&stack).await;
    let mut ids = Vec::new();
    for code in codes {
        for job in ["works", "fails"] {
            let id = stack.start_running("sync", job).await;
            let arn = arn_of(&stack, &id).await;
            stack.wait_for_sleep(&arn).await;
            stop_workflow(&stack, &arn).await;
            let on = "lambda:SendDurableExecutionCallbackSuccess";
            stack.arm(&json!({ "on": on, "execution": id, "does": { "refuse": code }, "times": "all" })).await;
            assert_eq!(stack.execution(&id).await["status"], "RUNNING", "the end of the workflow is not noticed yet");
            ids.push((job, id));
        }
    }
    for (job, id) in ids {
        blocked.release(&id);
        let done = end_of(&stack, &id).await;
        if job == "works" {
            assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{done:#}");
        } else {
            assert_eq!((&done["status"], &done["error"]["exitCode"]), (&json!("FAILED"), &json!(3)), "{done:#}");
        }
    }
}

/// The log cannot be read, and the worker cannot report. The outcome then follows from the exit code.
#[tokio::test]
async fn an_unreadable_log_does_not_delay_the_outcome() {
    let jobs = ["works=echo '[1]'", "fails=exit 3", "suicide=kill -9 $PPID; sleep 300"];
    let stack = Stack::start(&jobs.map(|job| ["--job", job]).concat()).await;
    // A permanent error. A denied permission would be retried for a day.
    let code = "InvalidParameterException";
    stack.arm(&json!({ "on": "logs:GetLogEvents", "does": { "refuse": code }, "times": "all" })).await;
    let denied = stack.deny_reports().await;
    for (pattern, job, kind, says) in [
        ("sync", "works", "result-unreadable", "logs:GetLogEvents was refused: InvalidParameterException"),
        ("sync", "fails", "exit-code", "exited with code 3"),
        ("callback", "suicide", "signal", "SIGKILL"),
    ] {
        if pattern == "callback" {
            stack.disarm(denied).await;
        }
        let body = json!({ "job": job, "input": null, "retry": { "maxAttempts": 2 } });
        let done = stack.run(pattern, body).await;
        assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!(kind)), "{done:#}");
        assert!(done["error"]["message"].as_str().unwrap().contains(says), "{done:#}");
        let attempts = if job == "works" { 1 } else { 2 };
        assert_eq!(done["attempt"], attempts, "a successful job is not run again: {done:#}");
    }
}

/// The worker was killed before it could record or report anything, and the read of its report is refused permanently. The result is in the
/// log.
#[tokio::test]
async fn an_unreadable_report_does_not_lose_the_result_in_the_log() {
    let blocked = BlockedJobs::new();
    let job = "echo '[1]'; until test -e $RELEASED; do sleep 0.05; done; kill -9 $PPID; sleep 300";
    let job = blocked.job_with_file("killed", job);
    let stack = Stack::start(&["--job", &job]).await;
    without_events_and_sweeps(&stack).await;
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-task-stopped" })).await;
    let id = stack.start_running("callback", "killed").await;
    eventually("the result to be in the log", async || {
        let log = stack.get(&format!("/executions/{id}/logs")).send().await.unwrap();
        log.text().await.unwrap().contains("[1]").then_some(())
    })
    .await;
    blocked.release(&id);
    stack.wait_for_tasks_to_stop(&id).await;
    // The first read is that of the execution.
    let refuse = json!({ "refuse": "ValidationException" });
    let refused =
        json!({ "on": "dynamodb:GetItem", "by": "longhaul-reconciler", "does": refuse, "skip": 1, "times": "all" });
    let refused = stack.arm(&refused).await;
    stack.reconcile(json!({ "visit": id })).await;
    assert_eq!(stack.fault(refused).await["hit"], 1);
    let done = stack.execution(&id).await;
    assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!("signal")), "{done:#}");
    assert_eq!((&done["result"], &done["resultSource"]), (&json!([1]), &json!("log")), "{done:#}");
}

/// This can happen when a deployment breaks the workflow's role and is rolled back.
#[tokio::test]
async fn a_temporarily_denied_call_is_retried_while_the_job_is_running() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job("works")]).await;
    let id = stack.start_running("sync", "works").await;
    let arn = arn_of(&stack, &id).await;
    stack.wait_for_sleep(&arn).await;
    let on = json!({ "on": "ecs:DescribeTasks", "by": "longhaul-sync", "does": { "refuse": "AccessDeniedException" } });
    let denied = stack.arm(&on).await;
    assert_eq!(stack.wake(&id, "").await, StatusCode::OK);
    wait_for_polls(&stack, &arn, 2).await;
    assert_eq!(stack.fault(denied).await["hit"], 1);
    blocked.release(&id);
    let done = end_of(&stack, &id).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
}

/// No job is running that would have to be stopped, so a missing permission is reported within minutes.
#[tokio::test]
async fn a_call_denied_before_the_job_is_running_fails_the_execution_soon() {
    let stack = Stack::start(&["--movable-clock"]).await;
    let on = json!({ "on": "dynamodb:PutItem", "by": "longhaul-sync", "does": { "refuse": "AccessDeniedException" }, "times": "all" });
    let denied = stack.arm(&on).await;
    let started = stack.start_execution("sync", &json!({ "input": null, "timeoutSeconds": 30 * 86_400 })).await;
    let done = stack.forward_to_the_end(started["executionId"].as_str().unwrap()).await;
    assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!("workflow-failed")), "{done:#}");
    assert!(done["error"]["message"].as_str().unwrap().contains("AccessDeniedException"), "{done:#}");
    // Ten attempts take eight minutes, with the waits between them.
    assert_eq!(stack.fault(denied).await["hit"], 10);
}

/// ECS reports a conflict of client tokens without naming the task.
#[tokio::test]
async fn a_task_is_found_after_a_token_conflict_whether_it_is_running_or_stopped() {
    fn conflict(answer: &mut Value) -> u16 {
        *answer = json!({ "__type": "ConflictException", "message": "Conflict with the existing token" });
        400
    }
    let blocked = BlockedJobs::new();
    let rule = |job| Rule { job, operation: "RunTask", calls: 1, answer: Answer::Did(conflict) };
    let proxy = AwsProxy::start(vec![rule("waits"), rule("quick")]).await;
    let sync = format!("longhaul-sync={}", proxy.command_of(LONGHAUL, "sync"));
    let jobs = ["--job", &blocked.job("waits"), "--job", "quick=echo '[1]'"];
    let stack = Stack::start(&[&jobs[..], &["--durable-function", &sync]].concat()).await;
    proxy.forward_to(&stack.aws);
    let waits = stack.start_running("sync", "waits").await;
    blocked.release(&waits);
    let quick = stack.start_execution("sync", &json!({ "job": "quick", "input": null })).await;
    for id in [&*waits, quick["executionId"].as_str().unwrap()] {
        let done = end_of(&stack, id).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("COMPLETED"), &json!(1)), "{done:#}");
        assert_eq!(stack.tasks_of(id).await.len(), 1);
    }
}

/// ECS refuses a `DescribeTasks` call for a whole page because of one task.
#[tokio::test]
async fn a_refused_describe_tasks_does_not_keep_the_sweep_from_other_executions() {
    let stack = Stack::start(&["--job", "waits=sleep 300", "--job", "quick=echo '[1]'"]).await;
    without_events_and_sweeps(&stack).await;
    let running = stack.start_running("callback", "waits").await;
    let of = |id: &str| json!({ "TableName": TABLE, "Key": { "executionId": { "S": id } } });
    let mut item = stack.call("DynamoDB_20120810.GetItem", of(&running)).await["Item"].clone();
    item["due"] = json!({ "N": "1" });
    let put = async |item: &Value| {
        stack.call("DynamoDB_20120810.PutItem", json!({ "TableName": TABLE, "Item": item })).await;
    };
    put(&item).await;
    // A second execution, in the same shard of the index.
    for attribute in ["run", "durableExecutionArn"] {
        item.as_object_mut().unwrap().remove(attribute);
    }
    for (name, value) in [("executionId", "not-started"), ("status", "PENDING"), ("job", "quick")] {
        item[name] = json!({ "S": value });
    }
    put(&item).await;
    let refused = json!({
        "on": "ecs:DescribeTasks", "by": "longhaul-reconciler", "times": "all",
        "does": { "refuse": "InvalidParameterException" },
    });
    stack.arm(&refused).await;
    stack.reconcile(json!({ "source": "aws.events", "detail-type": "Scheduled Event" })).await;
    let done = end_of(&stack, "not-started").await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    let due = &stack.call("DynamoDB_20120810.GetItem", of(&running)).await["Item"]["due"]["N"];
    assert_ne!(due, "1", "its next visit is due later");
}
