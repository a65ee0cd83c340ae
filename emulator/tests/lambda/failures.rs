//! Invocations that fail, executions that are stopped or time out, and the callers that wait for them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    emulator::{Emulator, PATIENCE},
    puppet::{self, Theatre},
    support::{Lambda, refusal},
};

#[tokio::test]
async fn five_failed_invocations_in_a_row_end_an_execution() {
    let theatre = Theatre::open().await;
    let (arn, mut invocation) = theatre.begin("{}").await;
    theatre.record(&mut invocation, json!([{ "Id": "1", "Type": "STEP", "Action": "START" }])).await;
    let begun = Instant::now();
    let error = json!({ "errorType": "Boom", "errorMessage": "again", "stackTrace": ["a"] }).to_string();
    for _ in 0..4 {
        assert_eq!(invocation.post("error", error.clone()).await.as_u16(), 202);
        invocation = theatre.next().await;
        assert_eq!(invocation.operations()[0]["Status"], "STARTED", "it replays");
    }
    assert!(begun.elapsed().as_secs() >= 19, "5 s apart: {:?}", begun.elapsed());
    assert_eq!(invocation.post("error", error).await.as_u16(), 202);
    let ended = theatre.lambda.ended(&arn).await;
    assert_eq!((&ended["Status"], &ended["Error"]["ErrorType"]), (&json!("FAILED"), &json!("Boom")));
    let events = theatre.lambda.events(&arn).await;
    let failed =
        events.iter().filter(|event| event["InvocationCompletedDetails"]["Error"]["Payload"]["ErrorType"] == "Boom");
    assert_eq!(failed.count(), 5);
}

#[tokio::test]
async fn an_invalid_response_ends_an_execution_at_once() {
    let theatre = Theatre::open().await;
    for rubbish in [
        json!("rubbish"),
        json!({ "Status": "SOMETHING" }),
        json!({ "Status": "FAILED", "Result": "1" }),
        json!({ "Status": "SUCCEEDED", "Error": {} }),
    ] {
        let (arn, invocation) = theatre.begin("{}").await;
        invocation.answer(rubbish.clone()).await;
        let ended = theatre.lambda.ended(&arn).await;
        assert_eq!(
            (&ended["Status"], &ended["Error"]["ErrorType"]),
            (&json!("FAILED"), &json!("InvalidParameterValueException")),
            "{rubbish}"
        );
    }
}

#[tokio::test]
async fn an_execution_that_suspends_without_pending_operations_three_times_fails() {
    let theatre = Theatre::open().await;
    let (arn, invocation) = theatre.begin("{}").await;
    invocation.pend().await;
    for _ in 0..2 {
        theatre.next().await.pend().await;
    }
    let ended = theatre.lambda.ended(&arn).await;
    assert_eq!(ended["Error"]["ErrorMessage"], "Cannot return PENDING status with no pending operations.");
}

#[tokio::test]
async fn a_too_large_response_fails_the_execution() {
    let theatre = Theatre::open().await;
    let (arn, invocation) = theatre.begin("{}").await;
    assert_eq!(invocation.post("response", "x".repeat(6 * 1024 * 1024 + 1)).await.as_u16(), 413);
    let completed = theatre.lambda.event(&arn, "InvocationCompleted").await;
    let error = &completed["InvocationCompletedDetails"]["Error"]["Payload"];
    assert_eq!(error["ErrorType"], "Function.ResponseSizeTooLarge");
    theatre.next().await.succeed("1").await;
    assert_eq!(theatre.lambda.ended(&arn).await["Status"], "SUCCEEDED");
}

/// An execution that times out and one that is stopped: their own status, and what the execution that invoked them sees.
#[tokio::test]
async fn timeouts_and_stops_reach_waiting_callers() {
    let theatre = Theatre::open_with_movable_clock().await;
    let lambda = &theatre.lambda;
    let short = json!({ "ExecutionTimeout": 300, "RetentionPeriodInDays": 1 });
    assert_eq!(lambda.create("short", &theatre.command(), Some(short)).await.0.as_u16(), 201);
    let long = json!({ "ExecutionTimeout": 600 });
    assert_eq!(lambda.create("long", &theatre.command(), Some(long)).await.0.as_u16(), 201);
    let (parent, mut invocation) = theatre.begin("{}").await;
    let chain = |id: &str, function: &str| json!({ "Id": id, "Type": "CHAINED_INVOKE", "Action": "START", "Payload": "{}", "ChainedInvokeOptions": { "FunctionName": function } });
    theatre.record(&mut invocation, json!([chain("short", "short:$LATEST"), chain("long", "long:$LATEST")])).await;
    let mut children = vec![theatre.next().await, theatre.next().await];
    invocation.pend().await;
    children.sort_by_key(|child| child.arn().contains(":long:"));
    let (short, long) = (children[0].arn().to_owned(), children[1].arn().to_owned());
    let stop = Lambda::path(&long, "/stop");
    let stopped = lambda.post(&stop, &json!({ "ErrorType": "Mine", "ErrorMessage": "enough" })).await;
    assert_eq!(lambda.post(&stop, &Value::Null).await, stopped, "it was stopped then, not now");
    assert_eq!(lambda.ended(&long).await["Status"], "STOPPED");
    assert_eq!(lambda.execution(&short).await["Status"], "RUNNING");
    theatre.emulator.forward(Duration::from_mins(5)).await;
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
        let invocation = theatre.next().await;
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
    let start = async |puppets: &std::path::Path| {
        let (durable, plain) =
            (format!("puppet={}", puppet::command(puppets)), format!("plain={}", puppet::command(puppets)));
        Emulator::start_over(data.path(), &["--durable-function", &durable, "--function", &plain]).await
    };
    let mut theatre = Theatre::over(start(before.path()).await, before);
    let (parent, mut invocation) = theatre.begin("{}").await;
    let chain = |id: &str, function: &str| {
        let options = json!({ "FunctionName": function });
        json!({ "Id": id, "Type": "CHAINED_INVOKE", "Action": "START", "Payload": "7", "ChainedInvokeOptions": options })
    };
    theatre.record(&mut invocation, json!([chain("durable", "puppet:1"), chain("plain", "plain")])).await;
    invocation.pend().await;
    let _both = (theatre.next().await, theatre.next().await);
    theatre.emulator.process.kill().await.unwrap();

    let theatre = Theatre::over(start(after.path()).await, after);
    let mut answered = 0;
    let deadline = Instant::now() + PATIENCE;
    while theatre.lambda.execution(&parent).await["Status"] == "RUNNING" {
        assert!(Instant::now() < deadline, "it hangs after {answered} answers");
        let Some(invocation) = theatre.next_within(Duration::from_millis(500)).await else { continue };
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
    assert_eq!((answered, &theatre.lambda.execution(&parent).await["Status"]), (2, &json!("SUCCEEDED")));
}
