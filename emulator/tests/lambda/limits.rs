//! The limits of a durable execution.

use serde_json::json;

use crate::{
    manual_runtime::ManualRuntime,
    support::{INVALID, encoded, refusal},
};

#[tokio::test]
async fn an_execution_is_limited_to_3000_operations_including_retries() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin("{}").await;
    let step = |id: String, action: &str| json!({ "Id": id, "Type": "STEP", "Action": action });
    // The start counts as one operation, and so does each step and each further attempt.
    for batch in 0..11 {
        let many: Vec<_> = (0..250).map(|n| step(format!("{batch}-{n}"), "SUCCEED")).collect();
        runtime.record(&mut invocation, json!(many)).await;
    }
    let rest: Vec<_> = (0..247).map(|n| step(format!("rest-{n}"), "SUCCEED")).collect();
    runtime.record(&mut invocation, json!(rest)).await;
    let mut retry = step("last".into(), "RETRY");
    retry["StepOptions"] = json!({ "NextAttemptDelaySeconds": 600 });
    runtime.record(&mut invocation, json!([retry])).await;
    let one_more = runtime.checkpoint(&mut invocation, json!([step("more".into(), "START")])).await;
    assert_eq!(refusal(&one_more), INVALID, "{one_more:?}");
    assert!(one_more.1["message"].as_str().unwrap().contains("3000"));
    // The execution may still end.
    runtime.record(&mut invocation, json!([{ "Id": "e", "Type": "EXECUTION", "Action": "SUCCEED" }])).await;
    assert_eq!(runtime.lambda.ended(&arn).await["Status"], "SUCCEEDED");
}

#[tokio::test]
async fn a_payload_is_limited_to_6_megabytes() {
    let runtime = ManualRuntime::open().await;
    let (_, mut invocation) = runtime.begin("{}").await;
    let payload = "x".repeat(6 * 1024 * 1024);
    let step = |payload: &str| json!([{ "Id": "s", "Type": "STEP", "Action": "SUCCEED", "Payload": payload }]);
    let too_large = runtime.checkpoint(&mut invocation, step(&format!("{payload}x"))).await;
    assert_eq!(refusal(&too_large), INVALID);
    runtime.record(&mut invocation, step(&payload)).await;
}

#[tokio::test]
async fn names_payloads_and_configurations_have_limits() {
    let runtime = ManualRuntime::open().await;
    let lambda = &runtime.lambda;
    for name in ["a".repeat(65), "a b".into(), "ä".into()] {
        let request = lambda.invoke("manual:1", "Event", "{}").header("x-amz-durable-execution-name", name.as_bytes());
        assert_eq!(request.send().await.unwrap().status().as_u16(), if name == "ä" { 202 } else { 400 }, "{name}");
    }
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    let response = lambda.invoke("manual:1", "Event", &large).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-amzn-errortype"]),
        (413, &"RequestTooLargeException".parse().unwrap())
    );
    let larger = format!("\"{}\"", "x".repeat(6 * 1024 * 1024));
    let response = lambda.invoke("manual:1", "RequestResponse", &larger).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 413);
    for (durable, fits) in [
        (json!({ "ExecutionTimeout": 0 }), false),
        (json!({ "ExecutionTimeout": 31_622_401 }), false),
        (json!({ "ExecutionTimeout": 1, "RetentionPeriodInDays": 0 }), false),
        (json!({ "ExecutionTimeout": 1, "RetentionPeriodInDays": 91 }), false),
        (json!({ "RetentionPeriodInDays": 90 }), false),
        (json!({ "ExecutionTimeout": 31_622_400, "RetentionPeriodInDays": 90 }), true),
    ] {
        let answer = lambda.create("f", "true", Some(durable.clone())).await;
        assert_eq!(refusal(&answer), if fits { (201, "") } else { INVALID }, "{durable}: {answer:?}");
    }
    let unknown = format!("/2025-12-01/functions/manual/durable-executions?DurableExecutionName={}", encoded("a b"));
    assert_eq!(refusal(&lambda.get(&unknown).await), INVALID);
}
