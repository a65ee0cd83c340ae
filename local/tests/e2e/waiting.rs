//! `Prefer: wait`, long polls, and requests that are only checked.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    gates::Gates,
    stack::{Stack, eventually, header},
};

/// Sends a request, and says how long its answer took.
async fn timed(request: RequestBuilder) -> (Response, Duration) {
    let began = Instant::now();
    (request.send().await.unwrap(), began.elapsed())
}

/// The answer that was held until what is asked for was there: on a busy machine the wait may be over before that, and is asked
/// for again.
async fn held(ask: impl Fn() -> RequestBuilder) -> Response {
    eventually("an answer before the wait is over", async || {
        let (response, took) = timed(ask()).await;
        assert_eq!(applied(&response), Some("wait=25"), "a wait has its limit");
        let enough = response.status() == StatusCode::OK;
        assert!(enough || took >= Duration::from_secs(25), "{} after {took:?}", response.status());
        enough.then_some(response)
    })
    .await
}

fn applied(response: &Response) -> Option<&str> {
    response.headers().get("preference-applied").map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_start_is_held_until_the_execution_is_final_or_the_wait_is_over() {
    let stack = Stack::start(&["--task", "quick=echo '[1]'", "--task", "long=sleep 300"]).await;
    for pattern in ["sync", "callback"] {
        let start = |task: &str, wait: &str| {
            let post = stack.post(&format!("/executions/{pattern}")).header("prefer", wait);
            post.json(&json!({ "task": task, "input": null }))
        };
        let response = held(|| start("quick", "wait=25")).await;
        assert!(response.headers().get("retry-after").is_none(), "nothing is left to wait for");
        assert!(header(&response, "location").starts_with("/executions/"));
        let execution: Value = response.json().await.unwrap();
        assert_eq!((&execution["status"], &execution["result"]), (&json!("COMPLETED"), &json!([1])));

        let (response, took) = timed(start("long", "respond-async, wait=1")).await;
        assert_eq!((response.status(), applied(&response)), (StatusCode::ACCEPTED, Some("wait=1")));
        assert!(took >= Duration::from_secs(1), "{took:?}");
        assert_eq!(header(&response, "retry-after"), "1");
        let execution: Value = response.json().await.unwrap();
        assert_eq!(execution["done"], false);

        let cancel = format!("/executions/{}/cancel", execution["executionId"].as_str().unwrap());
        let response = held(|| stack.post(&cancel).header("prefer", "wait=100")).await;
        assert_eq!(response.json::<Value>().await.unwrap()["status"], "CANCELLED");
    }
    for ignored in ["wait=soon", "wait=-1", "wait", "handling=strict"] {
        let post = stack.post("/executions/sync").header("prefer", ignored);
        let (response, _) = timed(post.json(&json!({ "task": "long", "input": null }))).await;
        assert_eq!((response.status(), applied(&response)), (StatusCode::ACCEPTED, None), "{ignored}");
    }
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_change() {
    let gates = Gates::new();
    let stack = Stack::start(&["--task", &gates.job("gated")]).await;
    let started = stack.start_execution("callback", &json!({ "task": "gated", "input": null })).await;
    let id = started["executionId"].as_str().unwrap();
    stack
        .wait_for(id, |execution| execution["status"] == "RUNNING" && execution["durableExecutionArn"].is_string())
        .await;

    let get = |wait: &str| stack.get(&format!("/executions/{id}")).header("prefer", wait);
    let (response, took) = timed(get("wait=1")).await;
    assert_eq!((response.status(), applied(&response)), (StatusCode::OK, Some("wait=1")));
    assert!(took >= Duration::from_secs(1), "without a tag it waits for the end: {took:?}");
    let etag = header(&response, "etag").to_owned();

    let (response, _) = timed(get("wait=25").header("if-none-match", "\"other\"")).await;
    assert_eq!(response.status(), StatusCode::OK, "it has changed already");
    let two_lines = get("wait=1").header("if-none-match", "\"other\"").header("if-none-match", &etag);
    let (response, took) = timed(two_lines).await;
    assert_eq!((response.status(), applied(&response)), (StatusCode::NOT_MODIFIED, Some("wait=1")));
    assert_eq!(header(&response, "etag"), etag);
    assert!(took >= Duration::from_secs(1), "{took:?}");

    let poll = held(|| get("wait=25").header("if-none-match", &etag));
    let (response, ()) = tokio::join!(poll, async { gates.open(id) });
    let etag = header(&response, "etag").to_owned();
    assert_eq!(response.json::<Value>().await.unwrap()["status"], "COMPLETED");
    let (response, took) = timed(get("wait=25").header("if-none-match", &etag)).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert!(took < Duration::from_secs(25), "what is final will not change: {took:?}");
}

/// What nobody sees is no change: a waiting workflow notes which callback wakes it. Here the test notes another.
#[tokio::test]
async fn a_long_poll_does_not_end_with_what_is_not_shown() {
    let stack = Stack::start(&["--task", "long=sleep 300"]).await;
    let started = stack.start_execution("sync", &json!({ "task": "long", "input": null })).await;
    let id = started["executionId"].as_str().unwrap();
    stack.wait_for(id, |execution| execution["status"] == "RUNNING").await;
    let get = || stack.get(&format!("/executions/{id}"));
    let etag = header(&get().send().await.unwrap(), "etag").to_owned();
    let note = json!({
        "TableName": "longhaul-executions", "Key": { "executionId": { "S": id } },
        "UpdateExpression": "SET wake = :other ADD version :one",
        "ExpressionAttributeValues": { ":other": { "S": "other" }, ":one": { "N": "1" } },
    });
    let poll = timed(get().header("prefer", "wait=3").header("if-none-match", &etag));
    let ((response, took), _) = tokio::join!(poll, stack.call("DynamoDB_20120810.UpdateItem", note));
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert!(took >= Duration::from_secs(3), "it was held to the end: {took:?}");
}

#[tokio::test]
async fn a_request_that_is_only_checked_leaves_nothing_behind() {
    let stack = Stack::start(&["--task", "quick=echo '[1]'"]).await;
    for pattern in ["sync", "callback"] {
        let check = |rest: &str, body: Value| stack.post(&format!("/executions/{pattern}{rest}")).json(&body);
        let body = json!({ "task": "quick", "input": { "n": 1 }, "retry": { "maxAttempts": 2 }, "tags": { "a": "b" } });
        let response = check("/validate", body.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("location").is_none());
        let checked: Value = response.json().await.unwrap();
        let expected = json!({
            "pattern": pattern, "task": "quick", "input": { "n": 1 }, "timeoutSeconds": 86_400,
            "retry": { "maxAttempts": 2 }, "tags": { "a": "b" }, "replay": false,
        });
        assert_eq!(checked, expected);
        let bad = check("/validate", json!({ "input": 1, "task": "none" })).send().await.unwrap();
        assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
        for rest in ["?validateOnly=true", "/validate?x=1"] {
            let response = check(rest, body.clone()).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{rest}");
            assert_eq!(response.json::<Value>().await.unwrap()["code"], "invalid-parameter", "{rest}");
        }
        assert_eq!(stack.items().await, 0, "nothing is left behind");
    }

    let keyed = |rest: &str, input: u32| {
        let post = stack.post(&format!("/executions/sync{rest}")).header("idempotency-key", "k");
        post.json(&json!({ "task": "quick", "input": input }))
    };
    let before: Value = keyed("/validate", 1).send().await.unwrap().json().await.unwrap();
    let started: Value = keyed("", 1).send().await.unwrap().json().await.unwrap();
    let after: Value = keyed("/validate", 1).send().await.unwrap().json().await.unwrap();
    assert_eq!((&before["replay"], &after["replay"]), (&json!(false), &json!(true)));
    assert_eq!((&before["executionId"], &after["executionId"]), (&started["executionId"], &started["executionId"]));
    let other = keyed("/validate", 2).send().await.unwrap();
    assert_eq!(other.json::<Value>().await.unwrap()["code"], "idempotency-key-reused");
}
