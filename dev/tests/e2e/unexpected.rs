//! What AWS may say, and nobody hopes for.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    front::{Answer, Front, Rule},
    gates::Gates,
    gone::{stop_workflow, without_events_and_sweeps},
    refused::wait_for_looks,
    stack::{LONGHAUL, Stack, TABLE, eventually},
};

async fn arn_of(stack: &Stack, id: &str) -> String {
    stack.execution(id).await["durableExecutionArn"].as_str().unwrap().to_owned()
}

async fn end_of(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
}

/// Whoever may answer a callback may write anything, and older versions of the reconciler write nothing.
#[tokio::test]
async fn whatever_wakes_a_workflow_it_looks_again() {
    let stack = Stack::start(&["--task", "waits=sleep 300"]).await;
    let id = stack.start_running("sync", "waits").await;
    let arn = arn_of(&stack, &id).await;
    for (said, word) in ["", "hello", "[1]", "\"stopped\"", "{\"stopped\": 1}"].into_iter().enumerate() {
        stack.wait_for_sleep(&arn).await;
        assert_eq!(stack.wake(&id, word).await, StatusCode::OK);
        wait_for_looks(&stack, &arn, said + 2).await;
        assert_eq!(stack.execution(&id).await["status"], "RUNNING", "after {word:?}");
    }
}

/// In whatever way a callback is refused that nobody waits for: its task's end is recorded by whoever was told of it.
#[tokio::test]
async fn a_task_outlives_its_workflow_and_its_end_is_recorded() {
    let codes = ["ResourceNotFoundException", "CallbackTimeoutException", "InvalidParameterValueException"];
    let gates = Gates::new();
    let tasks = [gates.job("works"), gates.job_and("fails", "exit 3")];
    let stack = Stack::start(&["--task", &tasks[0], "--task", &tasks[1]]).await;
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
            assert_eq!(stack.execution(&id).await["status"], "RUNNING", "nobody knows yet");
            ids.push((job, id));
        }
    }
    for (job, id) in ids {
        gates.open(&id);
        let done = end_of(&stack, &id).await;
        if job == "works" {
            assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{done:#}");
        } else {
            assert_eq!((&done["status"], &done["error"]["exitCode"]), (&json!("FAILED"), &json!(3)), "{done:#}");
        }
    }
}

/// A job's own log that is not to be read, and a worker that cannot report: the exit code tells what it can.
#[tokio::test]
async fn a_log_that_is_not_to_be_read_holds_up_no_end() {
    let tasks = ["works=echo '[1]'", "fails=exit 3", "suicide=kill -9 $PPID; sleep 300"];
    let stack = Stack::start(&tasks.map(|task| ["--task", task]).concat()).await;
    // Asked for a day where it is denied; this is for good.
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
        let body = json!({ "task": job, "input": null, "retry": { "maxAttempts": 2 } });
        let done = stack.run(pattern, body).await;
        assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!(kind)), "{done:#}");
        assert!(done["error"]["message"].as_str().unwrap().contains(says), "{done:#}");
        let attempts = if job == "works" { 1 } else { 2 };
        assert_eq!(done["attempt"], attempts, "what worked is not run again: {done:#}");
    }
}

/// The worker was killed before it could record or report anything, and the read of its report is refused for good. The result is in
/// the log.
#[tokio::test]
async fn a_report_that_cannot_be_read_does_not_cost_the_result_in_the_log() {
    let gates = Gates::new();
    let job = "echo '[1]'; until test -e $GATE; do sleep 0.05; done; kill -9 $PPID; sleep 300";
    let job = gates.job_with_gate("killed", job);
    let stack = Stack::start(&["--task", &job]).await;
    without_events_and_sweeps(&stack).await;
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-task-stopped" })).await;
    let id = stack.start_running("callback", "killed").await;
    eventually("the result is in the log", async || {
        let log = stack.get(&format!("/executions/{id}/logs")).send().await.unwrap();
        log.text().await.unwrap().contains("[1]").then_some(())
    })
    .await;
    gates.open(&id);
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

/// A deployment broke the workflow's role, and was rolled back: no job is stopped for that.
#[tokio::test]
async fn what_is_denied_for_a_while_is_tried_again() {
    let gates = Gates::new();
    let stack = Stack::start(&["--task", &gates.job("works")]).await;
    let id = stack.start_running("sync", "works").await;
    let arn = arn_of(&stack, &id).await;
    stack.wait_for_sleep(&arn).await;
    let on = json!({ "on": "ecs:DescribeTasks", "by": "longhaul-sync", "does": { "refuse": "AccessDeniedException" } });
    let denied = stack.arm(&on).await;
    assert_eq!(stack.wake(&id, "").await, StatusCode::OK);
    wait_for_looks(&stack, &arn, 2).await;
    assert_eq!(stack.fault(denied).await["hit"], 1);
    gates.open(&id);
    let done = end_of(&stack, &id).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
}

/// Nothing works yet that would have to be stopped: who has not given a role its permissions is told so within minutes.
#[tokio::test]
async fn what_is_denied_before_a_job_works_is_told_soon() {
    let stack = Stack::start(&["--movable-clock"]).await;
    let on = json!({ "on": "dynamodb:PutItem", "by": "longhaul-sync", "does": { "refuse": "AccessDeniedException" }, "times": "all" });
    let denied = stack.arm(&on).await;
    let started = stack.start_execution("sync", &json!({ "input": null, "timeoutSeconds": 30 * 86_400 })).await;
    let done = stack.forward_to_the_end(started["executionId"].as_str().unwrap()).await;
    assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!("workflow-failed")), "{done:#}");
    assert!(done["error"]["message"].as_str().unwrap().contains("AccessDeniedException"), "{done:#}");
    // With the waits between them, eight minutes.
    assert_eq!(stack.fault(denied).await["hit"], 10);
}

/// ECS says that the token is taken, and not by which task: the one that was started is found, whether it runs or has ended.
#[tokio::test]
async fn a_token_that_is_taken_by_nobody_in_particular() {
    fn conflict(answer: &mut Value) -> u16 {
        *answer = json!({ "__type": "ConflictException", "message": "Conflict with the existing token" });
        400
    }
    let gates = Gates::new();
    let rule = |job| Rule { job, operation: "RunTask", calls: 1, answer: Answer::Did(conflict) };
    let front = Front::start(vec![rule("waits"), rule("quick")]).await;
    let sync = format!("longhaul-sync={}", front.before(LONGHAUL, "sync"));
    let tasks = ["--task", &gates.job("waits"), "--task", "quick=echo '[1]'"];
    let stack = Stack::start(&[&tasks[..], &["--durable-function", &sync]].concat()).await;
    front.stand_before(&stack.aws);
    let waits = stack.start_running("sync", "waits").await;
    gates.open(&waits);
    let quick = stack.start_execution("sync", &json!({ "task": "quick", "input": null })).await;
    for id in [&*waits, quick["executionId"].as_str().unwrap()] {
        let done = end_of(&stack, id).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("COMPLETED"), &json!(1)), "{done:#}");
        assert_eq!(stack.tasks_of(id).await.len(), 1);
    }
}

/// One execution's task is none that ECS wants to be asked about: it refuses the question about all of the page.
#[tokio::test]
async fn a_task_that_ecs_refuses_to_be_asked_about_holds_up_nothing() {
    let stack = Stack::start(&["--task", "waits=sleep 300", "--task", "quick=echo '[1]'"]).await;
    without_events_and_sweeps(&stack).await;
    let running = stack.start_running("callback", "waits").await;
    let of = |id: &str| json!({ "TableName": TABLE, "Key": { "executionId": { "S": id } } });
    let mut item = stack.call("DynamoDB_20120810.GetItem", of(&running)).await["Item"].clone();
    item["due"] = json!({ "N": "1" });
    let put = async |item: &Value| {
        stack.call("DynamoDB_20120810.PutItem", json!({ "TableName": TABLE, "Item": item })).await;
    };
    put(&item).await;
    // In the same part of the index.
    for attribute in ["run", "durableExecutionArn"] {
        item.as_object_mut().unwrap().remove(attribute);
    }
    for (name, value) in [("executionId", "forgotten"), ("status", "PENDING"), ("task", "quick")] {
        item[name] = json!({ "S": value });
    }
    put(&item).await;
    let refused = json!({
        "on": "ecs:DescribeTasks", "by": "longhaul-reconciler", "times": "all",
        "does": { "refuse": "InvalidParameterException" },
    });
    stack.arm(&refused).await;
    stack.reconcile(json!({ "source": "aws.events", "detail-type": "Scheduled Event" })).await;
    let done = end_of(&stack, "forgotten").await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    let due = &stack.call("DynamoDB_20120810.GetItem", of(&running)).await["Item"]["due"]["N"];
    assert_ne!(due, "1", "it was put off");
}
