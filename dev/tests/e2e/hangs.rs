//! Calls of the stack's own that hang: nothing else waits for them.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stack::{Stack, eventually};

/// Far less than the deadline of what hangs, and than the time to the next sweep.
const SOON: Duration = Duration::from_secs(30);

/// Runs jobs that end when their gate opens.
async fn gated(directory: &std::path::Path, pattern: &str) -> (Stack, [String; 2]) {
    let job = |name: &str| {
        let gate = directory.join(name).display().to_string();
        format!("{name}=until test -e {gate}; do sleep 0.05; done; echo '{{\"n\": 1}}'")
    };
    let stack = Stack::start(&["--job", &job("first"), "--job", &job("second")]).await;
    let ids = [stack.start_running(pattern, "first").await, stack.start_running(pattern, "second").await];
    (stack, ids)
}

async fn completes_within(stack: &Stack, id: &str, limit: Duration) {
    let began = Instant::now();
    let done = stack.wait_for(id, |execution| execution["done"] == true).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
    assert!(began.elapsed() < limit, "{:?}: {done:#}", began.elapsed());
}

#[tokio::test]
async fn an_invocation_of_the_reconciler_that_hangs_holds_up_no_other_event() {
    let directory = tempfile::tempdir().unwrap();
    let (stack, [first, second]) = gated(directory.path(), "sync").await;
    let open = |name: &str| std::fs::write(directory.path().join(name), "").unwrap();
    let fault = stack.arm(&json!({ "on": "lambda:Invoke", "does": "hang" })).await;
    open("first");
    stack.wait_for_hit(fault).await;
    open("second");
    completes_within(&stack, &second, SOON).await;
    assert_eq!(stack.execution(&first).await["done"], false, "what it was told hangs");
    stack.disarm(fault).await;
    completes_within(&stack, &first, SOON).await;
}

/// The sweep's timer is such a rule, and its function is invoked so.
#[tokio::test]
async fn a_target_whose_invocation_hangs_holds_up_no_other_target() {
    // That an invocation is accepted is enough: it is never made.
    let stack = Stack::start(&["--function", "note=sleep 1000"]).await;
    let events = |operation: &str, body: Value| {
        let target = format!("AWSEvents.{operation}");
        let stack = &stack;
        async move { stack.call(&target, body).await }
    };
    let pattern = json!({ "source": ["test"] }).to_string();
    events("PutRule", json!({ "Name": "r", "EventPattern": pattern })).await;
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:note";
    events("PutTargets", json!({ "Rule": "r", "Targets": [{ "Id": "1", "Arn": arn }] })).await;
    let hangs = stack.arm(&json!({ "on": "lambda:Invoke", "does": "hang", "by": "events" })).await;
    let arrives = stack.arm(&json!({ "on": "lambda:Invoke", "does": "watch", "by": "events", "times": "all" })).await;
    let entry = json!({ "Source": "test", "DetailType": "d", "Detail": "{}" });
    events("PutEvents", json!({ "Entries": [entry, entry] })).await;
    stack.wait_for_hit(hangs).await;
    let began = Instant::now();
    eventually("the second event is brought too", async || {
        (stack.fault(arrives).await["seen"].as_u64().unwrap() >= 2).then_some(())
    })
    .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn clearing_a_fault_frees_the_calls_that_it_holds() {
    let stack = Stack::start(&[]).await;
    let list = || stack.request("AmazonEC2ContainerServiceV20141113.ListTasks", &json!({ "cluster": "longhaul" }));
    for (does, answered) in [(json!("hang"), false), (json!({ "delay": 3_600 }), true)] {
        let fault = stack.arm(&json!({ "on": "ecs:ListTasks", "does": does })).await;
        let call = tokio::spawn(list().send());
        stack.wait_for_hit(fault).await;
        assert!(!call.is_finished(), "{does}");
        stack.disarm(fault).await;
        let response = tokio::time::timeout(SOON, call).await.expect("it is freed").unwrap();
        assert_eq!(response.is_ok_and(|response| response.status() == 200), answered, "{does}");
    }
}

/// API Gateway gives up after 30 s, and Lambda ends the function after 29 s, both without a word.
#[tokio::test]
async fn a_call_that_hangs_is_answered_before_the_api_s_function_is_ended() {
    let stack = Stack::start(&[]).await;
    let started = stack.start_execution("sync", &json!({ "input": null })).await;
    let id = started["executionId"].as_str().unwrap();
    let all = |call: &str| json!({ "on": call, "by": "api", "does": "hang", "times": "all" });
    for call in ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Query", "lambda:Invoke"] {
        stack.arm(&all(call)).await;
    }
    let start = || stack.post("/executions/callback").json(&json!({ "input": null }));
    let requests = [
        (stack.get(&format!("/executions/{id}")), "repeat the request"),
        (stack.get("/executions"), "repeat the request"),
        (stack.post(&format!("/executions/{id}/cancel")), "repeat the request"),
        (start().header("idempotency-key", "k"), "repeat the request"),
        (start(), "may have been accepted"),
    ];
    let mut answers = JoinSet::new();
    for (request, told) in requests {
        answers.spawn(answers_with_a_problem(request, told));
    }
    answers.join_all().await;
}

async fn answers_with_a_problem(request: RequestBuilder, told: &str) {
    let began = Instant::now();
    let response = request.send().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(29), "{:?}", began.elapsed());
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("aws-unavailable")), "{problem:#}");
    assert!(problem["detail"].as_str().unwrap().contains(told), "{problem:#}");
}
