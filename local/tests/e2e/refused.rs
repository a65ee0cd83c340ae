//! What AWS refuses for good, and records that come too late, or not at all.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    front::{Answer, Front, Rule},
    stack::{LONGHAUL, PATIENCE, Stack, TABLE},
};

async fn started(stack: &Stack, pattern: &str, body: Value) -> String {
    stack.start_execution(pattern, &body).await["executionId"].as_str().unwrap().to_owned()
}

async fn done(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
}

/// Waits until a fault has been hit.
async fn hit(stack: &Stack, fault: u64) {
    let deadline = Instant::now() + PATIENCE;
    while stack.fault(fault).await["hit"] == 0 {
        assert!(Instant::now() < deadline, "nobody makes that call");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is stored is accepted, though its function is not there: it starts when that is, and if that is never, its deadline
/// ends it.
#[tokio::test]
async fn a_workflow_that_cannot_be_started_is_accepted_and_times_out() {
    let stack = Stack::start(&["--task", "quick=echo 1"]).await;
    for pattern in ["sync", "callback"] {
        let alias = format!("2015-03-31/functions/longhaul-{pattern}/aliases/live");
        let gone = reqwest::Client::new().request(Method::DELETE, format!("{}/{alias}", stack.aws));
        assert_eq!(gone.send().await.unwrap().status(), StatusCode::NO_CONTENT);
        let body = json!({ "task": "quick", "input": null, "timeoutSeconds": 2 });
        let id = started(&stack, pattern, body).await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Refused as long as it may yet be started: the notice is tried again.
            let attend = stack.post_to_aws("/2015-03-31/functions/longhaul-reconciler/invocations");
            attend.json(&json!({ "attend": id })).send().await.unwrap();
            let execution = stack.execution(&id).await;
            if execution["done"] == true {
                assert_eq!(
                    (&execution["status"], &execution["error"]["type"]),
                    (&json!("TIMED_OUT"), &json!("timed-out")),
                    "{execution:#}"
                );
                break;
            }
            assert_eq!(execution["status"], "PENDING");
            assert!(Instant::now() < deadline, "it is stuck: {execution:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(stack.tasks_of(&id).await, Vec::<Value>::new());
    }
}

/// It is cancelled before its task is started, and AWS refuses to say whether it has one all the same.
#[tokio::test]
async fn a_cancel_before_the_start_is_one_whatever_can_be_seen() {
    let answer = Answer::Refuses(400, "AccessDeniedException", "not authorized to perform: ecs:ListTasks");
    let front = Front::start(vec![Rule { job: "", operation: "ListTasks", calls: usize::MAX, answer }]).await;
    let sync = format!("longhaul-sync={}", front.before(LONGHAUL, "sync"));
    let stack = Stack::start(&["--task", "long=sleep 300", "--durable-function", &sync]).await;
    front.stand_before(&stack.aws);
    let slow = json!({ "on": "dynamodb:GetItem", "by": "longhaul-sync", "does": { "delay": 3 } });
    let slow = stack.arm(&slow).await;
    let id = started(&stack, "sync", json!({ "task": "long", "input": null })).await;
    hit(&stack, slow).await;
    let cancelled = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    let execution = done(&stack, &id).await;
    let told = (&execution["status"], &execution["error"]["type"]);
    assert_eq!(told, (&json!("CANCELLED"), &json!("cancelled")), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await, Vec::<Value>::new());
}

/// AWS refuses to show the task, and then to stop it. The workflow gives up and is over; what it left running is stopped by
/// the next look.
#[tokio::test]
async fn a_task_that_could_not_be_stopped_at_the_end_is_stopped_later() {
    let denied = Answer::Refuses(400, "AccessDeniedException", "not authorized to perform: ecs");
    let rule = |operation| Rule { job: "long", operation, calls: usize::MAX, answer: denied };
    let front = Front::start(vec![rule("DescribeTasks"), rule("StopTask")]).await;
    let sync = format!("longhaul-sync={}", front.before(LONGHAUL, "sync"));
    let options = ["--movable-clock", "--task", "long=sleep 300", "--durable-function", &sync];
    let stack = Stack::start(&options).await;
    front.stand_before(&stack.aws);
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-workflow-ended" })).await;
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    stack.forward(Duration::from_mins(5)).await;
    let execution = done(&stack, &id).await;
    assert_eq!(execution["error"]["type"], "workflow-failed", "{execution:#}");
    assert!(execution["error"]["message"].as_str().unwrap().contains("AccessDenied"), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await[0]["desiredStatus"], "RUNNING", "its workflow may not stop it");
    stack.reconcile(json!({ "attend": id })).await;
    stack.wait_for_tasks_to_stop(&id).await;
    assert_eq!(stack.execution(&id).await["error"], execution["error"], "an end stays");
}

/// There is nothing left to record an end in: what runs is stopped all the same, and the durable execution tells.
#[tokio::test]
async fn a_task_whose_execution_was_deleted_is_stopped() {
    let stack = Stack::start(&["--movable-clock", "--task", "long=sleep 300"]).await;
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    let key = json!({ "TableName": TABLE, "Key": { "executionId": { "S": id } } });
    stack.call("DynamoDB_20120810.DeleteItem", key).await;
    stack.forward(Duration::from_mins(5)).await;
    let deadline = Instant::now() + PATIENCE;
    while stack.durable_execution(&arn).await["Status"] == "RUNNING" {
        assert!(Instant::now() < deadline, "its workflow goes on");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(stack.durable_execution(&arn).await["Status"], "FAILED");
    stack.wait_for_tasks_to_stop(&id).await;
}

/// The reconciler read PENDING; while it asks for the workflow, that starts its task and is over, as a callback's is. That
/// is no failure.
#[tokio::test]
async fn a_workflow_that_ends_while_it_is_looked_after_has_not_failed() {
    let stack = Stack::start(&["--task", "nap=sleep 6; echo 1"]).await;
    let slow = |on: &str, by: &str, seconds: u64| json!({ "on": on, "by": by, "does": { "delay": seconds } });
    stack.arm(&slow("ecs:RunTask", "longhaul-callback", 5)).await;
    let asked = stack.arm(&slow("lambda:GetDurableExecution", "longhaul-reconciler", 8)).await;
    let id = started(&stack, "callback", json!({ "task": "nap", "input": null })).await;
    let pending = stack.wait_for(&id, |execution| execution.get("durableExecutionArn").is_some()).await;
    assert_eq!(pending["status"], "PENDING", "{pending:#}");
    stack.reconcile(json!({ "attend": id })).await;
    hit(&stack, asked).await;
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!(1)), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await.len(), 1);
}

/// The reconciler read that the first attempt has failed; while it asks for the second one's workflow, that starts its task and
/// is over, as a callback's is. That is no failure.
#[tokio::test]
async fn an_attempt_that_starts_while_the_one_before_is_looked_after_has_not_failed() {
    let stack = Stack::start(&["--task", "flaky=test $EXECUTION_ATTEMPT = 2 || exit 3; sleep 8; echo 1"]).await;
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
    let body = json!({ "task": "flaky", "input": null, "retry": { "maxAttempts": 2 } });
    let id = started(&stack, "callback", body).await;
    stack.wait_for(&id, |execution| execution.to_string().contains("attemptFailed")).await;
    // The second attempt begins five seconds after the first has failed. A call is given up after five: twice is ten, and the
    // answer then comes while the second attempt works.
    let slow =
        json!({ "on": "lambda:GetDurableExecution", "by": "longhaul-reconciler", "does": { "delay": 8 }, "times": 2 });
    let slow = stack.arm(&slow).await;
    stack.reconcile(json!({ "attend": id })).await;
    hit(&stack, slow).await;
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!(1)), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await.len(), 2, "one for each attempt");
}

/// How often a workflow has looked at its task.
pub(crate) async fn looks(stack: &Stack, arn: &str) -> usize {
    let history = stack.of_durable_execution(arn, "/history?MaxItems=1000").await;
    let looked = |event: &&Value| event["EventType"] == "StepSucceeded" && event["Name"] == "check-task";
    history["Events"].as_array().unwrap().iter().filter(looked).count()
}

/// ECS does not know the task: for ten minutes it may be behind, and then the task is gone, with whatever it came to.
#[tokio::test]
async fn a_task_that_is_missing_for_good_is_lost() {
    let missing = || json!({ "tasks": [], "failures": [{ "arn": "arn", "reason": "MISSING" }] });
    let rule = Rule { job: "long", operation: "DescribeTasks", calls: usize::MAX, answer: Answer::Says(missing) };
    let front = Front::start(vec![rule]).await;
    let sync = format!("longhaul-sync={}", front.before(LONGHAUL, "sync"));
    let options = ["--movable-clock", "--task", "long=sleep 300", "--durable-function", &sync];
    let stack = Stack::start(&options).await;
    front.stand_before(&stack.aws);
    let id = stack.start_running("sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    // Its worker may be ahead of it: a wait that has not begun is not shortened by the clock.
    stack.wait_for_sleep(&arn).await;
    stack.forward(Duration::from_mins(9)).await;
    let deadline = Instant::now() + PATIENCE;
    while looks(&stack, &arn).await < 2 {
        assert!(Instant::now() < deadline, "it does not look again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stack.execution(&id).await["status"], "RUNNING", "ECS may be behind");
    stack.forward(Duration::from_mins(10)).await;
    let execution = done(&stack, &id).await;
    let error = &execution["error"];
    assert_eq!((&execution["status"], &error["type"]), (&json!("FAILED"), &json!("task-lost")), "{execution:#}");
}

/// While a deployment goes on, a reconciler of before may wake a workflow of now: without a word.
#[tokio::test]
async fn a_workflow_that_is_woken_without_a_word_looks_again() {
    let stack = Stack::start(&["--task", "waits=sleep 300"]).await;
    let id = stack.start_running("sync", "waits").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    assert_eq!(stack.wake(&id, "").await, StatusCode::OK);
    let deadline = Instant::now() + PATIENCE;
    while looks(&stack, &arn).await < 2 {
        assert!(Instant::now() < deadline, "it does not look again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
}

/// Whoever may answer callbacks can say that a task has stopped. It is asked for then, and its end is waited for.
#[tokio::test]
async fn a_task_that_is_said_to_have_stopped_and_works_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let end = directory.path().join("end");
    let job = format!("waits=echo 0; until test -e {}; do sleep 0.05; done; echo 1", end.display());
    let stack = Stack::start(&["--task", &job]).await;
    let id = stack.start_running("sync", "waits").await;
    let deadline = Instant::now() + PATIENCE;
    // What could be taken for its result is there.
    while !stack.get(&format!("/executions/{id}/logs")).send().await.unwrap().text().await.unwrap().contains("\"0\"") {
        assert!(Instant::now() < deadline, "it prints nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    assert_eq!(stack.wake(&id, r#"{"stopped":true}"#).await, StatusCode::OK);
    let deadline = Instant::now() + PATIENCE;
    while looks(&stack, &arn).await < 2 {
        assert!(Instant::now() < deadline, "it does not go back to waiting");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
    std::fs::write(&end, "").unwrap();
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!(1)), "{execution:#}");
}

/// A worker that cannot learn which task it is: it works and records the end, and does not begin what nobody wants.
#[tokio::test]
async fn a_worker_without_metadata_records_its_end_and_obeys_a_cancel() {
    // Workflows that never begin: the item is the worker's alone.
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
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    let output = worker(&id).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("began"), "its job began: {said}");
    assert_eq!(stack.execution(&id).await["status"], "CANCELLING");
}
