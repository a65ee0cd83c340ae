//! What AWS refuses for good, and records that come too late, or not at all.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    front::{Answer, Front, Rule},
    gates::Gates,
    stack::{LONGHAUL, PATIENCE, Stack, TABLE, eventually, signing},
};

async fn started(stack: &Stack, pattern: &str, body: Value) -> String {
    stack.start_execution(pattern, &body).await["executionId"].as_str().unwrap().to_owned()
}

async fn done(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
}

/// What is stored is accepted, though its function is not there: it starts when that is, and if that is never, its deadline
/// ends it.
#[tokio::test]
async fn a_workflow_that_cannot_be_started_is_accepted_and_times_out() {
    let stack = Stack::start(&["--task", "quick=echo '[1]'"]).await;
    for pattern in ["sync", "callback"] {
        let alias = format!("2015-03-31/functions/longhaul-{pattern}/aliases/live");
        let gone = signing().build().unwrap().request(Method::DELETE, format!("{}/{alias}", stack.aws));
        assert_eq!(gone.send().await.unwrap().status(), StatusCode::NO_CONTENT);
        let body = json!({ "task": "quick", "input": null, "timeoutSeconds": 2 });
        let id = started(&stack, pattern, body).await;
        let execution = eventually("it times out", async || {
            // Refused as long as it may yet be started: the notice is tried again.
            stack.reconcile(json!({ "visit": id })).await;
            let execution = stack.execution(&id).await;
            (execution["status"] != "PENDING").then_some(execution)
        })
        .await;
        let told = (&execution["status"], &execution["error"]["type"]);
        assert_eq!(told, (&json!("TIMED_OUT"), &json!("timed-out")), "{execution:#}");
        assert_eq!(stack.tasks_of(&id).await, Vec::<Value>::new());
    }
}

/// It is cancelled before its task is started, and AWS refuses to say whether it has one all the same: it is asked for some
/// minutes, and then that is all that is known.
#[tokio::test]
async fn a_cancel_before_the_start_is_one_whatever_can_be_seen() {
    let answer = Answer::Refuses(400, "AccessDeniedException", "not authorized to perform: ecs:ListTasks");
    let front = Front::start(vec![Rule { job: "", operation: "ListTasks", calls: usize::MAX, answer }]).await;
    let sync = format!("longhaul-sync={}", front.before(LONGHAUL, "sync"));
    let options = ["--movable-clock", "--task", "long=sleep 300", "--durable-function", &sync];
    let stack = Stack::start(&options).await;
    front.stand_before(&stack.aws);
    // The workflow has accepted it by then: a cancel before that ends it at once.
    let busy =
        json!({ "on": "dynamodb:GetItem", "by": "longhaul-sync", "does": "throttle", "skip": 1, "times": "all" });
    let busy = stack.arm(&busy).await;
    let id = started(&stack, "sync", json!({ "task": "long", "input": null })).await;
    stack.wait_for_hit(busy).await;
    let cancelled = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    assert_eq!(cancelled.status(), StatusCode::ACCEPTED);
    stack.disarm(busy).await;
    let execution = stack.forward_to_the_end(&id).await;
    let told = (&execution["status"], &execution["error"]["type"]);
    assert_eq!(told, (&json!("CANCELLED"), &json!("cancelled")), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await, Vec::<Value>::new());
}

/// AWS refuses to show the task, and then to stop it. The workflow gives up and is over; what it left running is stopped by
/// the next look.
#[tokio::test]
async fn a_task_that_could_not_be_stopped_at_the_end_is_stopped_later() {
    let refused = Answer::Refuses(400, "ClientException", "it is not to be");
    let rule = |operation| Rule { job: "long", operation, calls: usize::MAX, answer: refused };
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
    assert!(execution["error"]["message"].as_str().unwrap().contains("ClientException"), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await[0]["desiredStatus"], "RUNNING", "its workflow may not stop it");
    stack.reconcile(json!({ "visit": id })).await;
    stack.wait_for_tasks_to_stop(&id).await;
    assert_eq!(stack.execution(&id).await["error"], execution["error"], "an end stays");
}

/// The status of a durable execution once it is over.
async fn over(stack: &Stack, arn: &str) -> Value {
    eventually("its workflow is over", async || {
        let status = stack.durable_execution(arn).await["Status"].take();
        (status != "RUNNING").then_some(status)
    })
    .await
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
    assert_eq!(over(&stack, &arn).await, "FAILED");
    stack.wait_for_tasks_to_stop(&id).await;
}

/// The calls of a function hang until they are made again after this is disarmed. The SDK makes a call again after 5 s, and
/// gives it up after 20.
async fn hang(stack: &Stack, on: &str, by: &str) -> u64 {
    stack.arm(&json!({ "on": on, "by": by, "does": "hang", "times": "all" })).await
}

/// The reconciler looks after an execution, and asks for its workflow. It has its answer when that has started its task, which
/// was `held` until then, and is over.
async fn ends_while_it_is_looked_after(stack: &Stack, id: &str, workflow: &str, held: u64) {
    let asked = hang(stack, "lambda:GetDurableExecution", "longhaul-reconciler").await;
    let ends = async {
        stack.wait_for_hit(asked).await;
        stack.disarm(held).await;
        eventually("its workflow is over", async || {
            let named = stack.durable_executions("callback", workflow).await;
            named.iter().any(|one| one["Status"] == "SUCCEEDED").then_some(())
        })
        .await;
        stack.disarm(asked).await;
    };
    tokio::join!(stack.reconcile(json!({ "visit": id })), ends);
}

/// The reconciler read PENDING; while it asks for the workflow, that starts its task and is over, as a callback's is. That
/// is no failure.
#[tokio::test]
async fn a_workflow_that_ends_while_it_is_looked_after_has_not_failed() {
    let gates = Gates::new();
    let stack = Stack::start(&["--task", &gates.job("gated")]).await;
    let held = hang(&stack, "ecs:RunTask", "longhaul-callback").await;
    let id = started(&stack, "callback", json!({ "task": "gated", "input": null })).await;
    let pending = stack.wait_for(&id, |execution| execution.get("durableExecutionArn").is_some()).await;
    assert_eq!(pending["status"], "PENDING", "{pending:#}");
    ends_while_it_is_looked_after(&stack, &id, &id, held).await;
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
    gates.open(&id);
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!([1])), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await.len(), 1);
}

/// The reconciler read that the first attempt has failed; while it asks for the second one's workflow, that starts its task and
/// is over, as a callback's is. That is no failure.
#[tokio::test]
async fn an_attempt_that_starts_while_the_one_before_is_looked_after_has_not_failed() {
    let gates = Gates::new();
    let flaky = gates.job_and("flaky", "test $EXECUTION_ATTEMPT = 2 || exit 3; echo '[1]'");
    let stack = Stack::start(&["--task", &flaky]).await;
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
    let body = json!({ "task": "flaky", "input": null, "retry": { "maxAttempts": 2 } });
    let id = started(&stack, "callback", body).await;
    stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    let held = hang(&stack, "ecs:RunTask", "longhaul-callback").await;
    gates.open(&id);
    stack.wait_for(&id, |execution| execution.to_string().contains("attemptFailed")).await;
    ends_while_it_is_looked_after(&stack, &id, &format!("{id}-2"), held).await;
    let again = stack.execution(&id).await;
    assert_eq!((&again["status"], &again["attempt"]), (&json!("RUNNING"), &json!(2)), "{again:#}");
    gates.open_attempt(&id, 2);
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!([1])), "{execution:#}");
    assert_eq!(stack.tasks_of(&id).await.len(), 2, "one for each attempt");
}

/// Waits until a workflow has looked at its task so many times.
pub(crate) async fn wait_for_looks(stack: &Stack, arn: &str, looks: usize) {
    eventually("it looks again", async || {
        let history = stack.of_durable_execution(arn, "/history?MaxItems=1000").await;
        let looked = |event: &&Value| event["EventType"] == "StepSucceeded" && event["Name"] == "check-task";
        (history["Events"].as_array().unwrap().iter().filter(looked).count() >= looks).then_some(())
    })
    .await;
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
    stack.forward(Duration::from_mins(5)).await;
    wait_for_looks(&stack, &arn, 2).await;
    assert_eq!(stack.execution(&id).await["status"], "RUNNING", "ECS may be behind");
    stack.forward(Duration::from_mins(10)).await;
    let execution = done(&stack, &id).await;
    let error = &execution["error"];
    assert_eq!((&execution["status"], &error["type"]), (&json!("FAILED"), &json!("task-lost")), "{execution:#}");
}

/// Whoever may answer callbacks can say that a task has stopped. It is asked for then, and its end is waited for.
#[tokio::test]
async fn a_task_that_is_said_to_have_stopped_and_works_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let end = directory.path().join("end");
    let job = format!("waits=echo 0; until test -e {}; do sleep 0.05; done; echo '[1]'", end.display());
    let stack = Stack::start(&["--task", &job]).await;
    let id = stack.start_running("sync", "waits").await;
    eventually("what could be taken for its result", async || {
        let log = stack.get(&format!("/executions/{id}/logs")).send().await.unwrap();
        log.text().await.unwrap().contains("\"0\"").then_some(())
    })
    .await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    assert_eq!(stack.wake(&id, r#"{"stopped":true}"#).await, StatusCode::OK);
    wait_for_looks(&stack, &arn, 2).await;
    assert_eq!(stack.execution(&id).await["status"], "RUNNING");
    std::fs::write(&end, "").unwrap();
    let execution = done(&stack, &id).await;
    assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!([1])), "{execution:#}");
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
    assert_eq!(cancelled.status(), StatusCode::OK);
    let output = worker(&id).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("began"), "its job began: {said}");
    assert_eq!(stack.execution(&id).await["status"], "CANCELLED");
}
