//! The AWS calls that each request to the API makes.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stack::Stack;

fn id(execution: &Value) -> &str {
    execution["executionId"].as_str().unwrap()
}

/// If a request takes less than this, the SDK has repeated no call: it waits 2 s for a connection, and 5 s for a response.
const NO_RETRY: Duration = Duration::from_secs(2);

#[tokio::test]
async fn each_request_makes_only_the_expected_aws_calls() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'", "--job", "long=sleep 300"]).await;
    let done = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    let long = stack.start_execution("callback", &json!({ "job": "long", "input": null })).await;
    stack.wait_for(id(&long), |execution| execution["status"] == "RUNNING").await;
    let body = json!({ "job": "quick", "input": null });
    let post = |path: &str| stack.post(path).json(&body);
    let path = |rest: &str| format!("/executions/{}{rest}", id(&done));
    let (get, put, invoke) = ("dynamodb:GetItem", "dynamodb:PutItem", "lambda:Invoke");
    let (query, batch) = ("dynamodb:Query", "dynamodb:BatchGetItem");
    for (what, request, mut expected) in [
        ("start", post("/executions/sync"), vec![put, invoke]),
        ("start by key", post("/executions/callback").header("idempotency-key", "k"), vec![put, invoke]),
        ("check", post("/executions/sync/validate"), vec![]),
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
        ("jobs", stack.get("/jobs"), vec![]),
        ("health", stack.get("/healthz"), vec![]),
        ("invalid start", post("/executions/sync?x=1"), vec![]),
        ("unknown execution", stack.get("/executions/none"), vec![get]),
        ("invalid execution id", stack.get("/executions/a.b"), vec![]),
    ] {
        let watch = stack.arm(&json!({ "on": "*", "does": "watch", "by": "api", "times": "all" })).await;
        let began = Instant::now();
        request.send().await.unwrap();
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
}
