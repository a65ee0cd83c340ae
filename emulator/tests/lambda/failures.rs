//! Invocations that fail, executions that are stopped or time out, and the callers that wait for them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    emulator::{Emulator, PATIENCE},
    manual_runtime::{self, ManualRuntime},
    support::{Lambda, refusal},
};

#[tokio::test]
async fn five_failed_invocations_in_a_row_end_an_execution() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin("{}").await;
    runtime.record(&mut invocation, json!([{ "Id": "1", "Type": "STEP", "Action": "START" }])).await;
    let begun = Instant::now();
    let error = json!({ "errorType": "Boom", "errorMessage": "again", "stackTrace": ["a"] }).to_string();
    for _ in 0..4 {
        assert_eq!(invocation.post("error", error.clone()).await.as_u16(), 202);
        invocation = runtime.next().await;
        assert_eq!(invocation.operations()[0]["Status"], "STARTED", "it replays");
    }
    assert!(begun.elapsed().as_secs() >= 19, "5 s apart: {:?}", begun.elapsed());
    assert_eq!(invocation.post("error", error).await.as_u16(), 202);
    let ended = runtime.lambda.ended(&arn).await;
    assert_eq!((&ended["Status"], &ended["Error"]["ErrorType"]), (&json!("FAILED"), &json!("Boom")));
    let events = runtime.lambda.events(&arn).await;
    let failed =
        events.iter().filter(|event| event["InvocationCompletedDetails"]["Error"]["Payload"]["ErrorType"] == "Boom");
    assert_eq!(failed.count(), 5);
}

#[tokio::test]
async fn an_invalid_response_ends_an_execution_at_once() {
    let runtime = ManualRuntime::open().await;
    for rubbish in [
        json!("rubbish"),
        json!({ "Status": "SOMETHING" }),
        json!({ "Status": "FAILED", "Result": "1" }),
        json!({ "Status": "SUCCEEDED", "Error": {} }),
    ] {
        let (arn, invocation) = runtime.begin("{}").await;
        invocation.answer(rubbish.clone()).await;
        let ended = runtime.lambda.ended(&arn).await;
        assert_eq!(
            (&ended["Status"], &ended["Error"]["ErrorType"]),
            (&json!("FAILED"), &json!("InvalidParameterValueException")),
            "{rubbish}"
        );
    }
}

#[tokio::test]
async fn an_execution_that_suspends_without_pending_operations_three_times_fails() {
    let runtime = ManualRuntime::open().await;
    let (arn, invocation) = runtime.begin("{}").await;
    invocation.pend().await;
    for _ in 0..2 {
        runtime.next().await.pend().await;
    }
    let ended = runtime.lambda.ended(&arn).await;
    assert_eq!(ended["Error"]["ErrorMessage"], "Cannot return PENDING status with no pending operations.");
}

#[tokio::test]
async fn a_too_large_response_fails_the_execution() {
    let runtime = ManualRuntime::open().await;
    let (arn, invocation) = runtime.begin("{}").await;
    assert_eq!(invocation.post("response", "x".repeat(6 * 1024 * 1024 + 1)).await.as_u16(), 413);
    let completed = runtime.lambda.event(&arn, "InvocationCompleted").await;
    let error = &completed["InvocationCompletedDetails"]["Error"]["Payload"];
    assert_eq!(error["ErrorType"], "Function.ResponseSizeTooLarge");
    runtime.next().await.succeed("1").await;
    assert_eq!(runtime.lambda.ended(&arn).await["Status"], "SUCCEEDED");
}

/// An execution that times out and one that is stopped: their own status, and what the execution that invoked them sees.
#[tokio::test]
async fn timeouts_and_stops_reach_waiting_callers() {
    let runtime = ManualRuntime::open_with_movable_clock().await;
    let lambda = &runtime.lambda;
    let short = json!({ "ExecutionTimeout": 300, "RetentionPeriodInDays": 1 });
    assert_eq!(lambda.create("short", &runtime.command(), Some(short)).await.0.as_u16(), 201);
    let long = json!({ "ExecutionTimeout": 600 });
    assert_eq!(lambda.create("long", &runtime.command(), Some(long)).await.0.as_u16(), 201);
    let (parent, mut invocation) = runtime.begin("{}").await;
    let chain = |id: &str, function: &str| json!({ "Id": id, "Type": "CHAINED_INVOKE", "Action": "START", "Payload": "{}", "ChainedInvokeOptions": { "FunctionName": function } });
    runtime.record(&mut invocation, json!([chain("short", "short:$LATEST"), chain("long", "long:$LATEST")])).await;
    let mut children = vec![runtime.next().await, runtime.next().await];
    invocation.pend().await;
    children.sort_by_key(|child| child.arn().contains(":long:"));
    let (short, long) = (children[0].arn().to_owned(), children[1].arn().to_owned());
    let stop = Lambda::path(&long, "/stop");
    let stopped = lambda.post(&stop, &json!({ "ErrorType": "Mine", "ErrorMessage": "enough" })).await;
    assert_eq!(lambda.post(&stop, &Value::Null).await, stopped, "it was stopped then, not now");
    assert_eq!(lambda.ended(&long).await["Status"], "STOPPED");
    assert_eq!(lambda.execution(&short).await["Status"], "RUNNING");
    runtime.emulator.forward(Duration::from_mins(5)).await;
    let ended = lambda.ended(&short).await;
    assert_eq!(
        (&ended["Status"], &ended["Error"]["ErrorMessage"]),
        (&json!("TIMED_OUT"), &json!("Execution timed out after 300 seconds."))
    );
    for child in children {
        // The invocation is not interrupted, but its response comes too late.
        child.succeed("1").await;
    }
    loop {
        let invocation = runtime.next().await;
        let all = invocation.operations();
        if all.iter().any(|operation| operation["Status"] == "STARTED") {
            invocation.pend().await;
            continue;
        }
        let error = |place: usize| all[place]["ChainedInvokeDetails"]["Error"].clone();
        assert_eq!(
            (&all[0]["Status"], error(0)["ErrorType"].as_str()),
            (&json!("TIMED_OUT"), Some("ChainedInvoke.Timeout"))
        );
        assert_eq!((&all[1]["Status"], error(1)["ErrorType"].as_str()), (&json!("STOPPED"), Some("Mine")));
        invocation.succeed("1").await;
        break;
    }
    assert_eq!(lambda.ended(&parent).await["Status"], "SUCCEEDED");
    assert_eq!(lambda.ended(&long).await["Status"], "STOPPED", "the first end stays");
    let unknown = Lambda::path(&long.replace("durable-execution/", "durable-execution/x"), "/stop");
    assert_eq!(refusal(&lambda.post(&unknown, &Value::Null).await), (404, "ResourceNotFoundException"));
}

/// The emulator is killed while an execution waits for others. The execution gets their responses from the next emulator.
#[tokio::test]
async fn chained_invokes_survive_a_restart() {
    let (data, before, after) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = async |addresses: &std::path::Path| {
        let (durable, plain) = (
            format!("manual={}", manual_runtime::command(addresses)),
            format!("plain={}", manual_runtime::command(addresses)),
        );
        Emulator::start_over(data.path(), &["--durable-function", &durable, "--function", &plain]).await
    };
    let mut runtime = ManualRuntime::over(start(before.path()).await, before);
    let (parent, mut invocation) = runtime.begin("{}").await;
    let chain = |id: &str, function: &str| {
        let options = json!({ "FunctionName": function });
        json!({ "Id": id, "Type": "CHAINED_INVOKE", "Action": "START", "Payload": "7", "ChainedInvokeOptions": options })
    };
    runtime.record(&mut invocation, json!([chain("durable", "manual:1"), chain("plain", "plain")])).await;
    invocation.pend().await;
    let _both = (runtime.next().await, runtime.next().await);
    runtime.emulator.process.kill().await.unwrap();

    let runtime = ManualRuntime::over(start(after.path()).await, after);
    let mut answered = 0;
    let deadline = Instant::now() + PATIENCE;
    while runtime.lambda.execution(&parent).await["Status"] == "RUNNING" {
        assert!(Instant::now() < deadline, "it hangs after {answered} answers");
        let Some(invocation) = runtime.next_within(Duration::from_millis(500)).await else { continue };
        if invocation.event == json!(7) {
            invocation.answer(json!("plain")).await;
            answered += 1;
        } else if invocation.arn() != parent {
            invocation.succeed("\"durable\"").await;
            answered += 1;
        } else if invocation.operations().iter().any(|operation| operation["Status"] == "STARTED") {
            invocation.pend().await;
        } else {
            let all = invocation.operations();
            let results: Vec<_> = all.iter().map(|one| one["ChainedInvokeDetails"]["Result"].clone()).collect();
            assert_eq!(results, ["\"durable\"", "\"plain\""]);
            invocation.succeed("1").await;
        }
        // The response is processed in a moment.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((answered, &runtime.lambda.execution(&parent).await["Status"]), (2, &json!("SUCCEEDED")));
}
