//! Calls inside the stack that hang do not delay others.

use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stack::{Stack, eventually};

/// Much less than the 75 s after which an invocation of the reconciler times out, and than the time until the next sweep.
const NO_DELAY: Duration = Duration::from_secs(30);

/// Starts two jobs, each of which ends when its file exists.
async fn start_with_blocked_jobs(directory: &std::path::Path, pattern: &str) -> (Stack, [String; 2]) {
    let job = |name: &str| {
        let file = directory.join(name).display().to_string();
        format!("{name}=until test -e {file}; do sleep 0.05; done; echo '{{\"n\": 1}}'")
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
async fn a_hanging_invocation_of_the_reconciler_does_not_delay_other_events() {
    let directory = tempfile::tempdir().unwrap();
    let (stack, [first, second]) = start_with_blocked_jobs(directory.path(), "sync").await;
    let open = |name: &str| std::fs::write(directory.path().join(name), "").unwrap();
    let fault = stack.arm(&json!({ "on": "lambda:Invoke", "does": "hang" })).await;
    open("first");
    stack.wait_for_hit(fault).await;
    open("second");
    completes_within(&stack, &second, NO_DELAY).await;
    assert_eq!(stack.execution(&first).await["done"], false, "its event is in the hanging invocation");
    stack.disarm(fault).await;
    completes_within(&stack, &first, NO_DELAY).await;
}

/// This also protects the sweeps: the rule that starts them has a function as its target.
#[tokio::test]
async fn a_hanging_invocation_of_a_target_does_not_delay_other_events() {
    // It is enough that the invocation is accepted. The function never runs.
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
    eventually("the second event to be delivered", async || {
        (stack.fault(arrives).await["seen"].as_u64().unwrap() >= 2).then_some(())
    })
    .await;
    // The hanging invocation times out after 30 s. If the second event had to wait for it, it would arrive only then.
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn clearing_a_fault_releases_the_calls_that_it_holds() {
    let stack = Stack::start(&[]).await;
    let list = || stack.request("AmazonEC2ContainerServiceV20141113.ListTasks", &json!({ "cluster": "longhaul" }));
    for (does, answered) in [(json!("hang"), false), (json!({ "delay": 3_600 }), true)] {
        let fault = stack.arm(&json!({ "on": "ecs:ListTasks", "does": does })).await;
        let call = tokio::spawn(list().send());
        stack.wait_for_hit(fault).await;
        assert!(!call.is_finished(), "{does}");
        stack.disarm(fault).await;
        let response = tokio::time::timeout(NO_DELAY, call).await.expect("the call is still held").unwrap();
        assert_eq!(response.is_ok_and(|response| response.status() == 200), answered, "{does}");
    }
}

/// If the API took longer, Lambda would end its function after 29 s, and API Gateway would return an error without a problem.
#[tokio::test]
async fn a_hanging_aws_call_is_answered_with_a_problem_within_29_seconds() {
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
    for (request, detail) in requests {
        answers.spawn(assert_problem(request, detail));
    }
    answers.join_all().await;
}

async fn assert_problem(request: RequestBuilder, detail: &str) {
    let began = Instant::now();
    let response = request.send().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(29), "{:?}", began.elapsed());
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    assert_eq!((status, &problem["code"]), (503, &json!("aws-unavailable")), "{problem:#}");
    assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem:#}");
}
