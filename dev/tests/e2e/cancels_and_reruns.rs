//! Cancels, retries, reruns and repeated starts.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::stack::Stack;

const PATTERNS: [&str; 2] = ["sync", "callback"];
const ECS: &str = "AmazonEC2ContainerServiceV20141113";

async fn cancel(stack: &Stack, id: &str) -> (StatusCode, Value) {
    let response = stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

async fn done(stack: &Stack, id: &str) -> Value {
    stack.wait_for(id, |execution| execution["done"] == true).await
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
            let id = stack.start_running(pattern, task).await;
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
