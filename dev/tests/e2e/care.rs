//! Nobody's executions: cancelled ones, ones whose task died, ones that nobody told us of.

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

/// A waiting workflow does not sleep until its next look, which comes after five minutes: nobody here waits for so long.
#[tokio::test]
async fn an_event_tells_of_the_end_of_a_task() {
    let gates = Gates::new();
    let stack = Stack::start(&["--job", &gates.job("gated")]).await;
    without_sweep(&stack).await;
    let id = started(&stack, "sync", "gated").await;
    stack.wait_for_sleep(stack.execution(&id).await["durableExecutionArn"].as_str().unwrap()).await;
    gates.open(&id);
    assert_eq!(done(&stack, &id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn a_running_execution_is_cancelled_once_its_task_has_stopped() {
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
            assert!(again.0.is_success(), "safe to repeat: {again:?}");
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
async fn an_execution_that_is_over_is_not_cancelled() {
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

/// Cancelled the moment it is accepted, whatever its workflow has done by then: it ends, and nothing is left running.
#[tokio::test]
async fn an_execution_is_cancelled_at_any_moment_of_its_beginning() {
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

/// The worker is killed with its task and says nothing any more.
#[tokio::test]
async fn a_task_that_dies_without_a_word_is_recorded() {
    let stack = Stack::start(&["--job", "suicide=kill -9 $PPID; sleep 300"]).await;
    without_sweep(&stack).await;
    for pattern in PATTERNS {
        let done = stack.run(pattern, json!({ "job": "suicide", "input": null })).await;
        assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(137)), "{pattern}: {done:#}");
    }
}

/// Takes away what would find an execution that nobody tells of, so that only an event can.
async fn without_sweep(stack: &Stack) {
    stack.call("AWSEvents.DisableRule", json!({ "Name": "longhaul-sweep" })).await;
}

/// The item says that its workflow is gone, and nothing is left running.
async fn assert_workflow_failed(stack: &Stack, id: &str) {
    let done = done(stack, id).await;
    assert_eq!((&done["status"], &done["error"]["type"]), (&json!("FAILED"), &json!("workflow-failed")), "{done:#}");
    stack.wait_for_tasks_to_stop(id).await;
}

#[tokio::test]
async fn an_event_tells_of_a_workflow_that_is_stopped() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    without_sweep(&stack).await;
    let id = started(&stack, "sync", "long").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().replace('/', "%2F");
    let stop = stack.post_to_aws(&format!("/2025-12-01/durable-executions/{arn}/stop"));
    assert_eq!(stop.json(&json!({ "ErrorMessage": "enough" })).send().await.unwrap().status(), StatusCode::OK);
    assert_workflow_failed(&stack, &id).await;
}

/// Its first process is killed while it waits, and no other one comes up when it has to look.
#[tokio::test]
async fn an_event_tells_of_a_workflow_that_fails_by_itself() {
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
async fn somebody_elses_stop_is_a_failure() {
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
async fn a_job_is_run_again() {
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

/// The second attempt's task ends before its start is recorded: what ECS says of the first one then is no news.
#[tokio::test]
async fn an_attempt_that_ends_before_its_start_is_recorded_is_seen() {
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
    eventually("the end of the second task", async || {
        let tasks = stack.tasks_of(&id).await;
        (tasks.len() == 2 && tasks.iter().all(|task| task["lastStatus"] == "STOPPED")).then_some(())
    })
    .await;
    stack.wait_for_hit(unwritten).await;
    stack.disarm(unwritten).await;
    let done = done(&stack, &id).await;
    assert_eq!((&done["status"], &done["attempt"]), (&json!("FAILED"), &json!(2)), "{done:#}");
}

/// A deployment no longer offers the job: who repeats a lost POST for it is told how it went all the same, and nobody starts it
/// anew.
#[tokio::test]
async fn what_was_accepted_is_repeated_when_its_job_is_gone() {
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

/// Its key stands for one request: not for the start that it repeats, and not for a rerun of something else.
#[tokio::test]
async fn a_rerun_is_another_request_than_what_it_runs_again() {
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

/// The first attempt fails, the second does not.
#[tokio::test]
async fn a_job_that_fails_is_tried_again() {
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
        let told: Vec<_> = done["timeline"].as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
        let expected = ["created", "workflowStarted", "taskStarted", "attemptFailed", "taskStarted", "ended"];
        assert_eq!(told, expected, "{pattern}");

        let done = stack.run(pattern, json!({ "job": "fails", "input": null, "retry": retry })).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("FAILED"), &json!(2)), "{pattern}: {done:#}");
        let done = stack.run(pattern, json!({ "job": "fails", "input": null })).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("FAILED"), &json!(1)), "{pattern}: {done:#}");
    }
}
