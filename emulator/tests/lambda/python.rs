//! Functions that use AWS's own Python SDK, run to their end through suspension and replay.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    emulator::{Emulator, PATIENCE, root},
    support::{Lambda, python, redacted},
};

/// How long functions pause. No test takes that long, so a pause ends only when the clock is moved forward.
const PAUSE: Duration = Duration::from_secs(200);

/// The file for tests in which no function waits for one.
const NO_FILE: &str = "/";

/// A function of `durable_functions.py` behind AWS's own runtime interface client.
fn option(name: &str, file: &str) -> String {
    let path = root().join("emulator/tests/python");
    format!(
        "{name}=env PYTHONPATH={} PAUSE_SECONDS={} WAIT_FOR_FILE={} {} -m awslambdaric durable_functions.{name}",
        path.display(),
        PAUSE.as_secs(),
        file,
        python()
    )
}

/// An emulator with durable functions, and with `plain`, which responds once its file exists.
async fn emulator(durable: &[&str], file: &str) -> (Emulator, Lambda) {
    let mut options = vec!["--movable-clock".to_owned(), "--function".to_owned(), option("plain", file)];
    options.extend(durable.iter().flat_map(|name| ["--durable-function".to_owned(), option(name, file)]));
    let emulator = Emulator::start(&options.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let lambda = Lambda::of(&emulator);
    (emulator, lambda)
}

/// Waits until a function has suspended this many times; `false` if its execution ended before that.
async fn suspended(lambda: &Lambda, arn: &str, times: usize) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = lambda.events(arn).await;
        if lambda.execution(arn).await["Status"] != "RUNNING" {
            return false;
        }
        if events.iter().filter(|event| event["EventType"] == "InvocationCompleted").count() >= times {
            return true;
        }
        assert!(Instant::now() < deadline, "{events:#?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

/// Runs a function to its end. The function suspends before any of its pauses has ended, so that its history is always the same.
async fn run(emulator: &Emulator, lambda: &Lambda, function: &str, payload: &str) -> String {
    let arn = lambda.start(function, payload).await;
    let mut times = 1;
    while suspended(lambda, &arn, times).await {
        emulator.forward(PAUSE).await;
        times += 1;
    }
    arn
}

/// The result of an execution that must succeed.
async fn result(lambda: &Lambda, arn: &str) -> Value {
    let ended = lambda.ended(arn).await;
    assert_eq!(ended["Status"], "SUCCEEDED", "{ended:#}\n{:#?}", lambda.events(arn).await);
    serde_json::from_str(ended["Result"].as_str().unwrap()).unwrap()
}

async fn snapshot(name: &str, lambda: &Lambda, arn: &str) {
    insta::assert_json_snapshot!(name, redacted(&lambda.events(arn).await));
}

#[tokio::test]
async fn a_python_function_completes_through_steps_waits_and_retries() {
    let (emulator, lambda) = emulator(&["steps", "retries", "fails"], NO_FILE).await;
    let steps = run(&emulator, &lambda, "steps:$LATEST", r#"{"n": 20}"#).await;
    let retried = run(&emulator, &lambda, "retries:1", r#"{"until": 2}"#).await;
    let gave_up = run(&emulator, &lambda, "retries:1", r#"{"until": 9}"#).await;
    let failed = run(&emulator, &lambda, "fails:1", "{}").await;
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
async fn a_callback_resumes_a_python_function_with_its_result_or_timeout() {
    let (_emulator, lambda) = emulator(&["callback", "wait_for_callback"], NO_FILE).await;
    let answered = lambda.start("callback:1", "{}").await;
    let waited = lambda.start("wait_for_callback:1", "{}").await;
    let late = lambda.start("callback:1", r#"{"timeout": 1}"#).await;
    for (arn, answer) in [(&answered, "\"yes\""), (&waited, "\"approved\"")] {
        let started = lambda.event(arn, "CallbackStarted").await;
        // Wait until the function has suspended, so that the history is always the same.
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
async fn child_contexts_and_conditions_return_their_results() {
    let (emulator, lambda) = emulator(&["wait_for_condition", "child", "parallel", "mapped"], NO_FILE).await;
    let polled = run(&emulator, &lambda, "wait_for_condition:1", "{}").await;
    let child = run(&emulator, &lambda, "child:1", "{}").await;
    let parallel = run(&emulator, &lambda, "parallel:1", "{}").await;
    let at_once = run(&emulator, &lambda, "parallel:1", r#"{"at_once": 2}"#).await;
    let mapped = run(&emulator, &lambda, "mapped:1", r#"{"items": [1, 2, 3]}"#).await;
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
async fn an_invoke_returns_the_result_or_the_error_of_the_invoked_function() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    let (emulator, lambda) = emulator(&["invoke", "steps", "fails"], &file.display().to_string()).await;
    let invoke = async |function: &str, payload: Value| {
        lambda.start("invoke:1", &json!({ "function": function, "payload": payload }).to_string()).await
    };
    let durable = invoke("steps:1", json!({ "n": 1 })).await;
    let plain = invoke("plain", json!("hello")).await;
    let refused = invoke("plain", json!("fail")).await;
    let failed = invoke("fails:1", json!({})).await;
    let missing = invoke("nobody", json!({})).await;
    // Let all callers suspend before any of them gets its response, so that their histories are always the same.
    for arn in [&durable, &plain, &refused] {
        assert!(suspended(&lambda, arn, 1).await);
    }
    let started = lambda.event(&durable, "ChainedInvokeStarted").await;
    let child = started["ChainedInvokeStartedDetails"]["DurableExecutionArn"].as_str().unwrap();
    assert!(suspended(&lambda, child, 1).await);
    std::fs::write(&file, "").unwrap();
    emulator.forward(PAUSE).await;
    assert_eq!(result(&lambda, &durable).await, 4);
    assert_eq!(result(&lambda, &plain).await, json!({ "plain": "hello" }));
    assert_eq!(result(&lambda, &refused).await, "ValueError: refused");
    assert_eq!(result(&lambda, &failed).await, "RuntimeError: no luck");
    let missing = result(&lambda, &missing).await;
    assert!(missing.as_str().unwrap().starts_with("ResourceNotFoundException"), "{missing}");
    snapshot("invoke-durable", &lambda, &durable).await;
    snapshot("invoke-plain", &lambda, &plain).await;
    // A synchronous invoke waits for the end of the whole execution.
    let payload = json!({ "function": "plain", "payload": 2 }).to_string();
    let response = lambda.invoke("invoke:1", "RequestResponse", &payload).send().await.unwrap();
    assert!(response.headers().contains_key("x-amz-durable-execution-arn"));
    assert_eq!(response.headers()["x-amz-executed-version"], "1");
    assert_eq!(response.text().await.unwrap(), r#"{"plain": 2}"#);
    let response = lambda.invoke("fails:1", "RequestResponse", "{}").send().await.unwrap();
    assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
    assert_eq!(response.json::<Value>().await.unwrap()["errorMessage"], "no luck");
}
