//! Functions on AWS's own Python SDK, run to the end through suspension and replay.

use serde_json::{Value, json};

use crate::{
    stack::{Stack, root},
    support::{Lambda, python, redacted},
};

/// A function of `durable_functions.py` behind AWS's own runtime interface client.
fn option(name: &str, handler: &str) -> String {
    let path = root().join("local/tests/python");
    format!("{name}=env PYTHONPATH={} {} -m awslambdaric durable_functions.{handler}", path.display(), python())
}

async fn stack(durable: &[&str], plain: &[&str]) -> (Stack, Lambda) {
    let mut options = vec![];
    for (kind, names) in [("--durable-function", durable), ("--function", plain)] {
        options.extend(names.iter().flat_map(|name| [kind.to_owned(), option(name, name)]));
    }
    let stack = Stack::start(&options.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let lambda = Lambda::of(&stack);
    (stack, lambda)
}

/// The result of an execution that has to succeed.
async fn result(lambda: &Lambda, arn: &str) -> Value {
    let ended = lambda.ended(arn).await;
    assert_eq!(ended["Status"], "SUCCEEDED", "{ended:#}\n{:#?}", lambda.events(arn).await);
    serde_json::from_str(ended["Result"].as_str().unwrap()).unwrap()
}

async fn snapshot(name: &str, lambda: &Lambda, arn: &str) {
    insta::assert_json_snapshot!(name, redacted(&lambda.events(arn).await));
}

#[tokio::test]
async fn steps_waits_and_retries() {
    let (_stack, lambda) = stack(&["steps", "retries", "fails"], &[]).await;
    let steps = lambda.start("steps:$LATEST", r#"{"n": 20}"#).await;
    let retried = lambda.start("retries:1", r#"{"until": 2}"#).await;
    let gave_up = lambda.start("retries:1", r#"{"until": 9}"#).await;
    let failed = lambda.start("fails:1", "{}").await;
    assert_eq!(result(&lambda, &steps).await, 42);
    assert_eq!(result(&lambda, &retried).await, 2);
    assert_eq!(result(&lambda, &gave_up).await, "gave up: attempt 3");
    let ended = lambda.ended(&failed).await;
    assert_eq!((&ended["Status"], &ended["Error"]["ErrorType"]), (&json!("FAILED"), &json!("RuntimeError")));
    snapshot("steps", &lambda, &steps).await;
    snapshot("retries", &lambda, &retried).await;
    snapshot("fails", &lambda, &failed).await;
}

#[tokio::test]
async fn callbacks() {
    let (_stack, lambda) = stack(&["callback", "wait_for_callback"], &[]).await;
    let answered = lambda.start("callback:1", "{}").await;
    let waited = lambda.start("wait_for_callback:1", "{}").await;
    let late = lambda.start("callback:1", r#"{"timeout": 1}"#).await;
    for (arn, answer) in [(&answered, "\"yes\""), (&waited, "\"approved\"")] {
        let started = lambda.event(arn, "CallbackStarted").await;
        // Only once the function sleeps: the history is then the same every time.
        lambda.event(arn, "InvocationCompleted").await;
        let id = started["CallbackStartedDetails"]["CallbackId"].as_str().unwrap();
        assert_eq!(lambda.call_back(id, "succeed", answer).await.0.as_u16(), 200);
    }
    assert_eq!(
        result(&lambda, &answered).await,
        "\"yes\"",
        "a callback's result is not parsed unless the function says how"
    );
    result(&lambda, &waited).await;
    assert_eq!(result(&lambda, &late).await, "CallbackTimeoutError: Callback timed out");
    snapshot("callback", &lambda, &answered).await;
    snapshot("wait_for_callback", &lambda, &waited).await;
}

#[tokio::test]
async fn contexts_and_conditions() {
    let (_stack, lambda) = stack(&["wait_for_condition", "child", "parallel", "mapped"], &[]).await;
    let polled = lambda.start("wait_for_condition:1", "{}").await;
    let child = lambda.start("child:1", "{}").await;
    let parallel = lambda.start("parallel:1", "{}").await;
    let at_once = lambda.start("parallel:1", r#"{"at_once": 2}"#).await;
    let mapped = lambda.start("mapped:1", r#"{"items": [1, 2, 3]}"#).await;
    assert_eq!(result(&lambda, &polled).await, 3);
    assert_eq!(result(&lambda, &child).await, "deep");
    assert_eq!(result(&lambda, &parallel).await, json!(["a", "b"]));
    assert_eq!(result(&lambda, &at_once).await, json!(["a", "b"]));
    assert_eq!(result(&lambda, &mapped).await, json!([1, 4, 9]));
    snapshot("wait_for_condition", &lambda, &polled).await;
    snapshot("child", &lambda, &child).await;
    snapshot("parallel", &lambda, &parallel).await;
    snapshot("mapped", &lambda, &mapped).await;
}

#[tokio::test]
async fn functions_invoke_each_other() {
    let (_stack, lambda) = stack(&["invoke", "steps", "fails"], &["plain"]).await;
    let invoke = async |function: &str, payload: Value| {
        lambda.start("invoke:1", &json!({ "function": function, "payload": payload }).to_string()).await
    };
    let durable = invoke("steps:1", json!({ "n": 1 })).await;
    let plain = invoke("plain", json!("hello")).await;
    let refused = invoke("plain", json!("fail")).await;
    let failed = invoke("fails:1", json!({})).await;
    let missing = invoke("nobody", json!({})).await;
    assert_eq!(result(&lambda, &durable).await, 4);
    assert_eq!(result(&lambda, &plain).await, json!({ "plain": "hello" }));
    assert_eq!(result(&lambda, &refused).await, "ValueError: refused");
    assert_eq!(result(&lambda, &failed).await, "RuntimeError: no luck");
    let missing = result(&lambda, &missing).await;
    assert!(missing.as_str().unwrap().starts_with("ResourceNotFoundException"), "{missing}");
    snapshot("invoke-durable", &lambda, &durable).await;
    snapshot("invoke-plain", &lambda, &plain).await;
    // A synchronous invoke waits for all of it.
    let response = lambda.invoke("steps:1", "RequestResponse", r#"{"n": 2}"#).send().await.unwrap();
    assert!(response.headers().contains_key("x-amz-durable-execution-arn"));
    assert_eq!(response.headers()["x-amz-executed-version"], "1");
    assert_eq!(response.text().await.unwrap(), "6");
    let response = lambda.invoke("fails:1", "RequestResponse", "{}").send().await.unwrap();
    assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
    assert_eq!(response.json::<Value>().await.unwrap()["errorMessage"], "no luck");
}
