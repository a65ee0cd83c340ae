//! The main use: POST an execution, poll it, read its result.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::stack::{Stack, header};

fn hello() -> Value {
    json!({ "input": { "message": "Hello", "processingTime": 1.5 } })
}

#[tokio::test]
async fn both_patterns_go_from_pending_to_completed() {
    let stack = Stack::start(&[]).await;
    for pattern in ["sync", "callback"] {
        let response = stack.post(&format!("/executions/{pattern}")).json(&hello()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let location = header(&response, "location").to_owned();
        assert_eq!(header(&response, "retry-after"), "1");
        let started: Value = response.json().await.unwrap();
        let id = started["executionId"].as_str().unwrap();
        assert_eq!((&started["status"], &started["done"]), (&json!("PENDING"), &json!(false)));
        assert_eq!(location, format!("/executions/{id}"));

        // On a slow machine it may already be completed.
        let running = stack.wait_for(id, |execution| execution["status"] != "PENDING").await;
        assert!(["RUNNING", "COMPLETED"].contains(&running["status"].as_str().unwrap()), "{running:#}");
        assert!(running["taskArn"].as_str().unwrap().starts_with("arn:aws:ecs:"));

        let done = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!(done["status"], "COMPLETED", "{done:#}");
        assert_eq!((&done["result"]["message"], &done["exitCode"]), (&json!("Hello"), &json!(0)));
        assert_eq!((&done["taskArn"], &done["attempt"]), (&running["taskArn"], &json!(1)));
        assert_eq!(done["input"], hello()["input"]);
        let times = ["createdAt", "startedAt", "finishedAt"].map(|name| done[name].as_str().unwrap().to_owned());
        assert!(times.is_sorted(), "{times:?}");
        let timeline: Vec<_> = done["timeline"].as_array().unwrap().iter().map(|entry| entry["what"].clone()).collect();
        assert_eq!(timeline, ["created", "workflowStarted", "taskStarted", "ended"]);
    }
}

#[tokio::test]
async fn an_unchanged_execution_is_answered_with_304() {
    let stack = Stack::start(&[]).await;
    let done = stack.run("callback", json!({ "input": {} })).await;
    let path = done["links"]["self"].as_str().unwrap();
    let response = stack.get(path).send().await.unwrap();
    assert!(response.headers().get("retry-after").is_none(), "a finished execution need not be polled again");
    let etag = header(&response, "etag").to_owned();
    let again = stack.get(path).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!((again.status(), again.text().await.unwrap()), (StatusCode::NOT_MODIFIED, String::new()));
}

#[tokio::test]
async fn an_idempotency_key_starts_one_execution() {
    let stack = Stack::start(&[]).await;
    let post = |pattern: &str, body: Value| {
        let request = stack.post(&format!("/executions/{pattern}")).header("idempotency-key", "order-17");
        request.json(&body).send()
    };
    // Eight concurrent requests.
    let posts = (0..8).map(|_| post("sync", hello()));
    let mut ids = Vec::new();
    for response in futures_of(posts).await {
        // The execution may have ended before the last of them.
        assert!([StatusCode::ACCEPTED, StatusCode::OK].contains(&response.status()), "{response:?}");
        ids.push(response.json::<Value>().await.unwrap()["executionId"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "one key, one execution");
    let id = ids[0].as_str().unwrap();
    stack.wait_for(id, |execution| execution["done"] == true).await;

    let replay = post("sync", hello()).await.unwrap();
    assert_eq!((replay.status(), header(&replay, "idempotent-replayed")), (StatusCode::OK, "true"));
    assert_eq!(replay.json::<Value>().await.unwrap()["status"], "COMPLETED");
    for (pattern, body) in [("sync", json!({ "input": "another" })), ("callback", hello())] {
        let reused = post(pattern, body).await.unwrap();
        assert_eq!(reused.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(reused.json::<Value>().await.unwrap()["code"], "idempotency-key-reused");
    }
    assert_eq!(stack.items().await, 1);
    let tasks = stack.call(
        "AmazonEC2ContainerServiceV20141113.ListTasks",
        json!({ "cluster": "longhaul", "desiredStatus": "STOPPED" }),
    );
    assert_eq!(tasks.await["taskArns"].as_array().unwrap().len(), 1, "one execution, one task");
}

/// Sends all requests concurrently.
async fn futures_of<T: Send + 'static>(
    requests: impl Iterator<Item = impl Future<Output = reqwest::Result<T>> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = requests.map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in running {
        done.push(task.await.unwrap().unwrap());
    }
    done
}

#[tokio::test]
async fn input_and_result_are_returned_byte_for_byte() {
    let stack = Stack::start(&["--job", "echo=cat"]).await;
    let input = r#"{"z": 1.10, "a": [12345678901234567890123, "\u00e4ä"], "z2": {} }"#;
    for pattern in ["sync", "callback"] {
        let request = stack.post(&format!("/executions/{pattern}")).header("content-type", "application/json");
        let response = request.body(format!(r#"{{"job": "echo", "input": {input}}}"#)).send().await.unwrap();
        let started: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let id = started["executionId"].as_str().unwrap();
        stack.wait_for(id, |execution| execution["done"] == true).await;
        let text = stack.get(&format!("/executions/{id}")).send().await.unwrap().text().await.unwrap();
        assert!(text.contains(&format!(r#""input":{input}"#)), "{text}");
        assert!(text.contains(&format!(r#""result":{input}"#)), "{text}");
    }
}
