//! `Prefer: wait`, long polls, and validation without starting.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    blocked_jobs::BlockedJobs,
    stack::{Stack, eventually, header},
};

/// Sends a request, and returns the response and its duration.
async fn timed(request: RequestBuilder) -> (Response, Duration) {
    let began = Instant::now();
    (request.send().await.unwrap(), began.elapsed())
}

/// Sends a request that is held until the execution is in the expected state. On a busy machine the wait may end before that, and the
/// request is repeated.
async fn held(ask: impl Fn() -> RequestBuilder) -> Response {
    eventually("a response before the end of the wait", async || {
        let (response, took) = timed(ask()).await;
        assert_eq!(applied(&response), Some("wait=25"), "the wait must be limited to 25 s");
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
async fn a_start_with_a_wait_is_held_until_the_execution_has_ended_or_the_wait_is_over() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'", "--job", "long=sleep 300"]).await;
    for pattern in ["sync", "callback"] {
        let start = |job: &str, wait: &str| {
            let post = stack.post(&format!("/executions/{pattern}")).header("prefer", wait);
            post.json(&json!({ "job": job, "input": null }))
        };
        let response = held(|| start("quick", "wait=25")).await;
        assert!(response.headers().get("retry-after").is_none(), "a finished execution need not be polled");
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
        let (response, _) = timed(post.json(&json!({ "job": "long", "input": null }))).await;
        assert_eq!((response.status(), applied(&response)), (StatusCode::ACCEPTED, None), "{ignored}");
    }
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_change() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job("blocked")]).await;
    let started = stack.start_execution("callback", &json!({ "job": "blocked", "input": null })).await;
    let id = started["executionId"].as_str().unwrap();
    stack
        .wait_for(id, |execution| execution["status"] == "RUNNING" && execution["durableExecutionArn"].is_string())
        .await;

    let get = |wait: &str| stack.get(&format!("/executions/{id}")).header("prefer", wait);
    let (response, took) = timed(get("wait=1")).await;
    assert_eq!((response.status(), applied(&response)), (StatusCode::OK, Some("wait=1")));
    assert!(took >= Duration::from_secs(1), "without an ETag it waits for the end: {took:?}");
    let etag = header(&response, "etag").to_owned();

    let (response, _) = timed(get("wait=25").header("if-none-match", "\"other\"")).await;
    assert_eq!(response.status(), StatusCode::OK, "the ETag does not match, so it returns at once");
    let two_lines = get("wait=1").header("if-none-match", "\"other\"").header("if-none-match", &etag);
    let (response, took) = timed(two_lines).await;
    assert_eq!((response.status(), applied(&response)), (StatusCode::NOT_MODIFIED, Some("wait=1")));
    assert_eq!(header(&response, "etag"), etag);
    assert!(took >= Duration::from_secs(1), "{took:?}");

    let poll = held(|| get("wait=25").header("if-none-match", &etag));
    let (response, ()) = tokio::join!(poll, async { blocked.release(id) });
    let etag = header(&response, "etag").to_owned();
    assert_eq!(response.json::<Value>().await.unwrap()["status"], "COMPLETED");
    let (response, took) = timed(get("wait=25").header("if-none-match", &etag)).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert!(took < Duration::from_secs(25), "a final state will not change, so it returns at once: {took:?}");
}

/// Responses do not show, for example, which callback wakes a waiting workflow. The test changes that attribute.
#[tokio::test]
async fn a_long_poll_does_not_end_with_a_change_that_is_not_shown() {
    let stack = Stack::start(&["--job", "long=sleep 300"]).await;
    let started = stack.start_execution("sync", &json!({ "job": "long", "input": null })).await;
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
    assert!(took >= Duration::from_secs(3), "it must be held until the end of the wait: {took:?}");
}

#[tokio::test]
async fn a_request_that_is_only_validated_creates_no_execution() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    for pattern in ["sync", "callback"] {
        let check = |rest: &str, body: Value| stack.post(&format!("/executions/{pattern}{rest}")).json(&body);
        let body = json!({ "job": "quick", "input": { "n": 1 }, "retry": { "maxAttempts": 2 }, "tags": { "a": "b" } });
        let response = check("/validate", body.clone()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.headers().get("location").is_none());
        let checked: Value = response.json().await.unwrap();
        let expected = json!({
            "pattern": pattern, "job": "quick", "input": { "n": 1 }, "timeoutSeconds": 86_400,
            "retry": { "maxAttempts": 2 }, "tags": { "a": "b" }, "replay": false,
        });
        assert_eq!(checked, expected);
        let bad = check("/validate", json!({ "input": 1, "job": "none" })).send().await.unwrap();
        assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
        for rest in ["?validateOnly=true", "/validate?x=1"] {
            let response = check(rest, body.clone()).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{rest}");
            assert_eq!(response.json::<Value>().await.unwrap()["code"], "invalid-parameter", "{rest}");
        }
        assert_eq!(stack.items().await, 0, "no execution was created");
    }

    let keyed = |rest: &str, input: u32| {
        let post = stack.post(&format!("/executions/sync{rest}")).header("idempotency-key", "k");
        post.json(&json!({ "job": "quick", "input": input }))
    };
    let before: Value = keyed("/validate", 1).send().await.unwrap().json().await.unwrap();
    let started: Value = keyed("", 1).send().await.unwrap().json().await.unwrap();
    let after: Value = keyed("/validate", 1).send().await.unwrap().json().await.unwrap();
    assert_eq!((&before["replay"], &after["replay"]), (&json!(false), &json!(true)));
    assert_eq!((&before["executionId"], &after["executionId"]), (&started["executionId"], &started["executionId"]));
    let other = keyed("/validate", 2).send().await.unwrap();
    assert_eq!(other.json::<Value>().await.unwrap()["code"], "idempotency-key-reused");
}

const TABLE: &str = "longhaul-executions";

/// Occupies a caller's places until this time.
async fn take_places(stack: &Stack, count: u32, until: Timestamp) {
    for number in 0..count {
        let item = json!({
            "executionId": { "S": format!("place/{number}/local") },
            "holder": { "S": "a function that died" },
            "until": { "N": until.as_millisecond().to_string() },
            "expiresAt": { "N": (until.as_second() + 1).to_string() },
        });
        stack.call("DynamoDB_20120810.PutItem", json!({ "TableName": TABLE, "Item": item })).await;
    }
}

/// Each held request occupies an instance of the function. Requests beyond the limit are answered at once.
#[tokio::test]
async fn the_held_requests_of_each_caller_are_limited() {
    const PLACES: usize = 3;
    let stack = Stack::start(&["--job", "long=sleep 300", "--held-requests", "3", "--owner-header", "x-owner"]).await;
    let start = |owner: &str| {
        let post = stack.post("/executions/callback").header("x-owner", owner);
        post.json(&json!({ "job": "long", "input": null }))
    };
    let started: Value = start("ada").send().await.unwrap().json().await.unwrap();
    let get = |wait: &str| {
        let get = stack.get(&format!("/executions/{}", started["executionId"].as_str().unwrap()));
        timed(get.header("x-owner", "ada").header("prefer", wait))
    };
    let mut many = JoinSet::new();
    for _ in 0..8 {
        many.spawn(get("wait=10"));
    }
    let held = async {
        let mut held = 0;
        for (response, took) in many.join_all().await {
            assert_eq!(response.status(), StatusCode::OK);
            match applied(&response) {
                Some("wait=10") => {
                    assert!(took >= Duration::from_secs(10), "{took:?}");
                    held += 1;
                }
                Some("wait=0") => {
                    assert!(took < Duration::from_secs(10), "{took:?}");
                    assert_eq!(header(&response, "retry-after"), "1");
                }
                other => panic!("{other:?}"),
            }
        }
        held
    };
    let others = async {
        // Wait until all requests have arrived.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (response, _) = get("wait=10").await;
        assert_eq!(applied(&response), Some("wait=0"), "all places are taken");
        let (response, took) = get("wait=1").await;
        assert_eq!(applied(&response), Some("wait=1"), "a wait of a second needs no place");
        assert!(took >= Duration::from_secs(1), "{took:?}");
        let (response, _) = timed(start("eve").header("prefer", "wait=2")).await;
        assert_eq!(applied(&response), Some("wait=2"), "another caller has its own places");
    };
    let (held, ()) = tokio::join!(held, others);
    assert_eq!(held, PLACES);
    // Places are released at the end of the waits.
    let (response, _) = get("wait=2").await;
    assert_eq!(applied(&response), Some("wait=2"));
}

/// The place of a function that died stays occupied until the end of its wait. If DynamoDB fails and no place can be taken,
/// requests are answered at once.
#[tokio::test]
async fn the_place_of_a_dead_request_is_free_after_its_wait() {
    let stack = Stack::start(&["--job", "long=sleep 300", "--job", "quick=echo '[1]'"]).await;
    let id = stack.start_running("callback", "long").await;
    let get = || timed(stack.get(&format!("/executions/{id}")).header("prefer", "wait=2"));
    let now: Timestamp = stack.local("clock").await["now"].as_str().unwrap().parse().unwrap();
    take_places(&stack, 20, now + Duration::from_mins(10)).await;
    let (response, _) = get().await;
    assert_eq!((response.status(), applied(&response)), (StatusCode::OK, Some("wait=0")));
    let post = stack.post("/executions/sync").header("prefer", "wait=10");
    let (response, _) = timed(post.json(&json!({ "job": "long", "input": null }))).await;
    assert_eq!((response.status(), applied(&response)), (StatusCode::ACCEPTED, Some("wait=0")));
    // Places are not executions, so they are not listed and cannot be polled.
    let listed: Value = stack.get("/executions").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["executions"].as_array().unwrap().len(), 2);
    let place = stack.get("/executions/place%2F1%2Flocal").send().await.unwrap();
    assert_eq!(place.status(), StatusCode::NOT_FOUND);

    take_places(&stack, 20, now - Duration::from_secs(1)).await;
    let (response, took) = get().await;
    assert_eq!(applied(&response), Some("wait=2"));
    assert!(took >= Duration::from_secs(2), "{took:?}");

    for does in ["throttle", "fail", "cutAfter"] {
        let fault = json!({ "on": "dynamodb:PutItem", "by": "api", "does": does, "times": "all" });
        let fault = stack.arm(&fault).await;
        let (response, _) = get().await;
        assert_eq!((response.status(), applied(&response)), (StatusCode::OK, Some("wait=0")), "{does}");
        stack.disarm(fault).await;
    }
    // If the reply is lost, the API recognizes the place as its own.
    take_places(&stack, 20, now - Duration::from_secs(1)).await;
    stack.arm(&json!({ "on": "dynamodb:PutItem", "by": "api", "does": "cutAfter" })).await;
    let (response, _) = get().await;
    assert_eq!(applied(&response), Some("wait=2"));
}
