//! The AWS calls that each request to the API makes.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use reqwest::{Method, Request, RequestBuilder};
use serde_json::{Value, json};

use crate::stack::Stack;

fn id(execution: &Value) -> &str {
    execution["executionId"].as_str().unwrap()
}

/// If a request takes less than this, the SDK has not repeated any call: it does so after 2 s without a connection, or 3 s without a
/// response.
const NO_RETRY: Duration = Duration::from_secs(2);

#[tokio::test]
async fn each_request_makes_only_the_expected_aws_calls() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'", "--job", "long=sleep 300"]).await;
    let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    let long = stack.start_execution("callback", &json!({ "job": "long", "input": null })).await;
    stack.wait_for(id(&long), |execution| execution["status"] == "RUNNING").await;
    let later = json!({ "job": "quick", "input": null, "delaySeconds": 3_600 });
    let later = stack.start_execution("sync", &later).await;
    let change = |changes: Value| stack.patch(&format!("/executions/{}", id(&later))).json(&changes);
    let body = json!({ "job": "quick", "input": null });
    let post = |path: &str| stack.post(path).json(&body);
    let missing = format!("35-{}", "0".repeat(32));
    let post_upload =
        |path: &str| stack.post(path).json(&json!({ "job": "quick", "input": null, "inputUpload": missing }));
    let rule = json!({ "cron": "0 0 1 1 *", "pattern": "sync", "start": { "job": "quick", "input": null } });
    let schedule = |method: Method, rest: &str, body: Option<&Value>| {
        let request = reqwest::Client::new().request(method, format!("{}/schedules/s{rest}", stack.api));
        body.into_iter().fold(request, RequestBuilder::json)
    };
    let batched = || stack.post("/batches").json(&json!({ "executions": [body] }));
    let batch: Value = batched().send().await.unwrap().json().await.unwrap();
    let batch_id = batch["batchId"].as_str().unwrap();
    let path = |rest: &str| format!("/executions/{}{rest}", id(&done));
    let (get, put, invoke) = ("dynamodb:GetItem", "dynamodb:PutItem", "lambda:Invoke");
    let (query, batch) = ("dynamodb:Query", "dynamodb:BatchGetItem");
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let mut requested = BTreeSet::new();
    for (what, request, mut expected) in [
        ("start", post("/executions/sync"), vec![put, invoke]),
        ("start by key", post("/executions/callback").header("idempotency-key", "k"), vec![put, invoke]),
        (
            "start far ahead",
            stack.post("/executions/sync").json(&json!({ "input": null, "delaySeconds": 3_600 })),
            vec![put],
        ),
        ("later start", change(json!({ "startAt": "2000-01-01T00:00:00Z", "tags": {} })), vec![get, put, invoke]),
        ("callback start", post("/executions/callback"), vec![put, invoke]),
        ("check", post("/executions/sync/validate"), vec![]),
        ("callback check", post("/executions/callback/validate"), vec![]),
        ("check by key", post("/executions/sync/validate").header("idempotency-key", "k2"), vec![get]),
        ("poll", stack.get(&path("")), vec![get]),
        ("poll, unchanged", stack.get(&path("")).header("if-none-match", "*"), vec![get]),
        ("poll of a finished execution, with a wait", stack.get(&path("")).header("prefer", "wait=5"), vec![get]),
        ("list", stack.get("/executions"), vec![query; 4]),
        ("filtered list", stack.get("/executions?status=FAILED"), vec![query; 4]),
        ("list with results", stack.get("/executions?include=result"), vec![query, query, query, query, batch]),
        ("list with errors", stack.get("/executions?include=error&status=COMPLETED"), vec![query; 4]),
        ("logs", stack.get(&path("/logs")), vec![get, "dynamodb:UpdateItem", "logs:GetLogEvents"]),
        ("history", stack.get(&path("/history")), vec![get, "lambda:GetDurableExecutionHistory"]),
        ("rerun", stack.post(&path("/rerun")), vec![get, put, invoke]),
        ("cancel of a finished execution", stack.post(&path("/cancel")), vec![get]),
        ("cancel", stack.post(&format!("/executions/{}/cancel", id(&long))), vec![get, put, invoke]),
        ("batch", batched(), vec![put, put, invoke, put]),
        ("batch by key", batched().header("idempotency-key", "k"), vec![put, put, invoke, put]),
        ("repeated batch", batched().header("idempotency-key", "k"), vec![put]),
        ("poll of a batch", stack.get(&format!("/batches/{batch_id}")), vec![get, query]),
        ("list of a batch", stack.get(&format!("/executions?batch={batch_id}")), vec![query]),
        ("unknown batch", stack.get("/batches/none"), vec![]),
        ("invalid batch", stack.post("/batches").json(&json!({ "executions": [{}] })), vec![]),
        ("upload", stack.post("/uploads").json(&json!({ "bytes": 1, "sha256": "0".repeat(64) })), vec![]),
        ("start with an upload", post_upload("/executions/sync"), vec!["s3:HeadObject"]),
        ("schedule", schedule(Method::PUT, "", Some(&rule)), vec![get, query, put]),
        ("schedule, unchanged", schedule(Method::PUT, "", Some(&rule)), vec![get]),
        ("get a schedule", schedule(Method::GET, "", None), vec![get]),
        ("list schedules", stack.get("/schedules"), vec![query]),
        ("pause", schedule(Method::POST, "/pause", None), vec![get, put]),
        ("resume", schedule(Method::POST, "/resume", None), vec![get, put]),
        ("trigger", schedule(Method::POST, "/trigger", None), vec![get, put, invoke, put]),
        ("get a schedule that has started something", schedule(Method::GET, "", None), vec![get, get]),
        ("delete a schedule", schedule(Method::DELETE, "", None), vec![get, put]),
        ("jobs", stack.get("/jobs"), vec![]),
        ("health", stack.get("/healthz"), vec![]),
        ("invalid start", post("/executions/sync?x=1"), vec![]),
        ("unknown execution", stack.get("/executions/none"), vec![get]),
        ("invalid execution id", stack.get("/executions/a.b"), vec![]),
    ] {
        let watch = stack.arm(&json!({ "on": "*", "does": "watch", "by": "api", "times": "all" })).await;
        let (client, request) = request.build_split();
        let request = request.unwrap();
        requested.extend(operation(&document, &request));
        let began = Instant::now();
        client.execute(request).await.unwrap();
        let took = began.elapsed();
        let watched = stack.fault(watch).await;
        stack.disarm(watch).await;
        let mut calls: Vec<_> =
            watched["calls"].as_array().unwrap().iter().map(|call| call["call"].as_str().unwrap()).collect();
        println!("{what:36} {}", calls.join(", "));
        if took >= NO_RETRY {
            calls.dedup();
            expected.dedup();
        }
        assert_eq!(calls, expected, "{what} took {took:?}");
    }
    let documented =
        document["paths"].as_object().unwrap().values().flat_map(|path| path.as_object().unwrap().values());
    let documented: BTreeSet<_> =
        documented.map(|operation| operation["operationId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(requested, documented, "this test requests every operation of the document");
}

/// The id of the operation in the document that a request is for.
fn operation(document: &Value, request: &Request) -> Option<String> {
    let asked: Vec<_> = request.url().path().split('/').collect();
    let matches = |path: &str| {
        let parts: Vec<_> = path.split('/').collect();
        parts.len() == asked.len()
            && parts.iter().zip(&asked).all(|(part, asked)| part == asked || part.starts_with('{'))
    };
    let paths = document["paths"].as_object().unwrap();
    // A path without a variable takes precedence.
    let (_, path) = paths.iter().filter(|(path, _)| matches(path)).min_by_key(|(path, _)| path.contains('{'))?;
    Some(path[request.method().as_str().to_lowercase()]["operationId"].as_str()?.to_owned())
}
