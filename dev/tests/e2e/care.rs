//! Cancels, retries and reruns, and executions whose task or workflow died.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    gates::Gates,
    stack::{LONGHAUL, Stack, eventually},
};

const PATTERNS: [&str; 2] = ["sync", "callback"];
const ECS: &str = "AmazonEC2ContainerServiceV20141113";

async fn started(stack: &Stack, pattern: &str, job: &str) -> String {
    let started = stack.start_execution(pattern, &json!({ "job": job, "input": null })).await;
    let id = started["executionId"].as_str().unwrap().to_owned();
    stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    id
}

async fn cancel(stack: &Stack, id: &str) -> (StatusCode, Value) {
    let response = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn done(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
}

/// The workflow's next poll would come after five minutes, which is longer than this test waits.
#[tokio::test]
async fn an_event_of_the_tasks_end_wakes_the_workflow() {
    let gates = Gates::new();
    let stack = Stack::start(&["--job", &gates.job("gated")]).await;
    without_sweep(&stack).await;
    let id = started(&stack, "sync", "gated").await;
    stack.wait_for_sleep(stack.execution(&id).await["durableExecutionArn"].as_str().unwrap()).await;
    gates.open(&id);
    assert_eq!(done(&stack, &id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn a_cancelled_execution_is_final_once_its_task_has_stopped() {
    let stack = Stack::start(&[
        "--job",
        "long=sleep 300",
        "--job",
        "polite=trap 'exit 0' TERM; for i in $(seq 3000); do sleep 0.1; done",
    ])
    .await;
    for pattern in PATTERNS {
        for task in ["long", "polite"] {
            let id = started(&stack, pattern, task).await;
            let (status, execution) = cancel(&stack, &id).await;
            assert_eq!((status, &execution["status"]), (StatusCode::ACCEPTED, &json!("CANCELLING")));
            let again = cancel(&stack, &id).await;
            assert!(again.0.is_success(), "a repeated cancel succeeds: {again:?}");
            let done = done(&stack, &id).await;
            assert_eq!(
                (&done["status"], &done["error"]["type"]),
                (&json!("CANCELLED"), &json!("cancelled")),
                "{done:#}"
            );
            let task = json!({ "cluster": "longhaul", "tasks": [done["taskArn"]] });
            let task = stack.call(&format!("{ECS}.DescribeTasks"), task).await;
            assert_eq!(task["tasks"][0]["lastStatus"], "STOPPED", "{pattern} {task}");
        }
    }
}

#[tokio::test]
async fn cancelling_a_finished_execution_changes_nothing() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let id = stack.run("callback", json!({ "job": "quick", "input": null })).await["executionId"]
        .as_str()
        .unwrap()
        .to_owned();
    let (status, execution) = cancel(&stack, &id).await;
    assert_eq!((status, &execution["status"]), (StatusCode::OK, &json!("COMPLETED")));
    let (status, problem) = cancel(&stack, "no-such-execution").await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("execution-not-found")));
}

/// The cancel comes at different points of the workflow's start. The execution ends, and no task is left running.
#[tokio::test]
async fn an_execution_can_be_cancelled_at_any_point_of_its_start() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    for pattern in PATTERNS {
        for wait in [0, 20, 40, 80, 160] {
            let started = stack.start_execution(pattern, &json!({ "job": "long", "input": null })).await;
            let id = started["executionId"].as_str().unwrap();
            tokio::time::sleep(Duration::from_millis(wait)).await;
            cancel(&stack, id).await;
            let done = done(&stack, id).await;
            assert_eq!(done["status"], "CANCELLED", "{pattern} after {wait} ms: {done:#}");
        }
    }
    let running = json!({ "cluster": "longhaul", "desiredStatus": "RUNNING" });
    let running = stack.call(&format!("{ECS}.ListTasks"), running).await;
    assert_eq!(running["taskArns"], json!([]), "a task is left running");
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

#[tokio::test]
async fn an_event_of_a_stopped_workflow_ends_its_execution() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    without_sweep(&stack).await;
    let id = started(&stack, "sync", "long").await;
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
    let id = started(&stack, "sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    stack.wait_for_sleep(&arn).await;
    let pid = std::fs::read_to_string(&first).unwrap();
    let killed = tokio::process::Command::new("kill").args(["-9", pid.trim()]).status().await.unwrap();
    assert!(killed.success());
    stack.forward(Duration::from_mins(5)).await;
    assert_workflow_failed(&stack, &id).await;
}

#[tokio::test]
async fn a_task_stopped_from_outside_fails_its_execution() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    for pattern in PATTERNS {
        let id = started(&stack, pattern, "long").await;
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
async fn a_rerun_starts_one_new_execution_with_the_same_input_and_tags() {
    let stack = Stack::start(&["--job", "echo=cat"]).await;
    for pattern in PATTERNS {
        let body = json!({ "job": "echo", "input": { "n": 1 }, "tags": { "team": "blue" } });
        let first = stack.run(pattern, body).await;
        let path = format!("/executions/{}/rerun", first["executionId"].as_str().unwrap());
        let post = || stack.post(&path).header("idempotency-key", format!("again-{pattern}")).send();
        let response = post().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let second: Value = response.json().await.unwrap();
        let repeat: Value = post().await.unwrap().json().await.unwrap();
        assert_eq!(repeat["executionId"], second["executionId"]);
        assert_ne!(second["executionId"], first["executionId"]);
        assert_eq!((&second["rerunOf"], &second["tags"]), (&first["executionId"], &first["tags"]));
        let done = done(&stack, second["executionId"].as_str().unwrap()).await;
        assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!({ "n": 1 })));
    }
}

/// The event of the second task's end arrives while the item still has the first task.
#[tokio::test]
async fn the_end_of_an_attempt_is_seen_even_if_its_start_is_not_yet_recorded() {
    let gates = Gates::new();
    let stack = Stack::start(&["--job", &gates.job_and("fails", "exit 3")]).await;
    without_sweep(&stack).await;
    let body = json!({ "job": "fails", "input": null, "retry": { "maxAttempts": 2 } });
    let id = stack.start_execution("sync", &body).await["executionId"].as_str().unwrap().to_owned();
    stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    let fault = |on: &str, does: &str| json!({ "on": on, "by": "longhaul-sync", "does": does, "times": "all" });
    let not_yet = stack.arm(&fault("ecs:RunTask", "hang")).await;
    gates.open(&id);
    stack.wait_for(&id, |execution| execution.to_string().contains("attemptFailed")).await;
    let unwritten = stack.arm(&fault("dynamodb:PutItem", "throttle")).await;
    stack.disarm(not_yet).await;
    gates.open_attempt(&id, 2);
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

/// After a deployment without the job, a repeated POST returns the execution, but a new one is refused.
#[tokio::test]
async fn a_repeated_post_returns_its_execution_even_if_the_job_was_removed() {
    let directory = tempfile::tempdir().unwrap();
    let body = json!({ "job": "echo", "input": 1 });
    let post = async |stack: &Stack, path: &str, key: &str| {
        let request = stack.post(path).header("idempotency-key", key);
        let request = if path == "/executions/sync" { request.json(&body) } else { request };
        let response = request.send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let mut stack = Stack::start_over(directory.path(), &["--job", "echo=cat"]).await;
    let (_, first) = post(&stack, "/executions/sync", "order").await;
    let id = first["executionId"].as_str().unwrap();
    let rerun = format!("/executions/{id}/rerun");
    let (_, second) = post(&stack, &rerun, "once more").await;
    done(&stack, id).await;
    done(&stack, second["executionId"].as_str().unwrap()).await;
    stack.process.kill().await.unwrap();
    let stack = Stack::start_over(directory.path(), &[]).await;
    for (path, key, accepted) in [("/executions/sync", "order", &first), (&rerun, "once more", &second)] {
        let (status, again) = post(&stack, path, key).await;
        assert_eq!((status, &again["executionId"]), (StatusCode::OK, &accepted["executionId"]), "{again:#}");
        let (status, other) = post(&stack, path, "another").await;
        assert_eq!((status, &other["errors"][0]["rule"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("unknown-job")));
    }
    let listed: Value = stack.get("/executions").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["executions"].as_array().unwrap().len(), 2, "{listed:#}");
}

/// The key of a start cannot be reused for its rerun, nor the key of a rerun for a rerun of another execution.
#[tokio::test]
async fn an_idempotency_key_is_not_shared_by_a_start_and_its_rerun() {
    let stack = Stack::start(&["--job", "echo=cat"]).await;
    let body = json!({ "job": "echo", "input": 1 });
    let start = async |key: &str| {
        let response = stack.post("/executions/sync").header("idempotency-key", key).json(&body).send().await.unwrap();
        let status = response.status();
        (status, response.json::<Value>().await.unwrap())
    };
    let rerun = async |of: &Value, key: &str| {
        let path = format!("/executions/{}/rerun", of["executionId"].as_str().unwrap());
        let response = stack.post(&path).header("idempotency-key", key).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let reused = |(status, answer): (StatusCode, Value)| {
        assert_eq!((status.as_u16(), &answer["code"]), (422, &json!("idempotency-key-reused")), "{answer:#}");
    };
    let ((_, one), (_, other)) = (start("one").await, start("other").await);
    reused(rerun(&one, "one").await);
    let (status, again) = rerun(&one, "again").await;
    assert!(status.is_success() && again["rerunOf"] == one["executionId"], "{again:#}");
    reused(rerun(&other, "again").await);
    reused(start("again").await);
    assert_eq!(rerun(&one, "again").await.1["executionId"], again["executionId"], "the same request");
}

#[tokio::test]
async fn a_failed_job_is_retried_up_to_max_attempts() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().display();
    let flaky = format!(
        "flaky=read name; test -e {mark}/$name || {{ touch {mark}/$name; echo not yet >&2; exit 3; }}; echo '[1]'"
    );
    let stack = Stack::start(&["--job", &flaky, "--job", "fails=exit 3"]).await;
    for (number, pattern) in PATTERNS.into_iter().enumerate() {
        let retry = json!({ "maxAttempts": 2 });
        let done = stack.run(pattern, json!({ "job": "flaky", "input": number, "retry": retry })).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("COMPLETED"), &json!(2)), "{pattern}: {done:#}");
        let timeline: Vec<_> = done["timeline"].as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
        let expected = ["created", "workflowStarted", "taskStarted", "attemptFailed", "taskStarted", "ended"];
        assert_eq!(timeline, expected, "{pattern}");

        let done = stack.run(pattern, json!({ "job": "fails", "input": null, "retry": retry })).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("FAILED"), &json!(2)), "{pattern}: {done:#}");
        let done = stack.run(pattern, json!({ "job": "fails", "input": null })).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("FAILED"), &json!(1)), "{pattern}: {done:#}");
    }
}
