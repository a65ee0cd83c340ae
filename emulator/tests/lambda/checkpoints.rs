//! What a checkpoint may do, and what is refused. The test itself acts as the function.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    manual_runtime::ManualRuntime,
    support::{INVALID, refusal},
};

fn step(id: &str, action: &str) -> Value {
    json!({ "Id": id, "Type": "STEP", "Action": action, "Name": "s", "SubType": "Step" })
}

fn with(mut update: Value, member: &str, value: Value) -> Value {
    update[member] = value;
    update
}

#[tokio::test]
async fn invalid_updates_are_refused_without_effect() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin("{}").await;
    runtime.record(&mut invocation, json!([step("done", "START"), step("done", "SUCCEED")])).await;
    let wait = json!({ "Id": "w", "Type": "WAIT", "Action": "START", "WaitOptions": { "WaitSeconds": 600 } });
    let before = runtime.lambda.events(&arn).await;
    let wrong = [
        step("done", "SUCCEED"),
        step("done", "START"),
        step("x", "RETRY"),
        step("x", "CANCEL"),
        with(step("x", "SUCCEED"), "Error", json!({ "ErrorMessage": "e" })),
        with(step("x", "FAIL"), "Payload", json!("p")),
        with(step("x", "START"), "ParentId", json!("nobody")),
        with(step("x", "START"), "ParentId", json!("done")),
        with(step("x", "FAIL"), "Error", json!({ "ErrorMessage": "e".repeat(33 * 1024) })),
        with(step("x", "START"), "Name", json!("n".repeat(257))),
        with(wait.clone(), "Id", json!("done")),
        json!({ "Id": "w2", "Type": "WAIT", "Action": "START" }),
        json!({ "Id": "w2", "Type": "WAIT", "Action": "CANCEL" }),
        json!({ "Id": "c", "Type": "CALLBACK", "Action": "SUCCEED" }),
        json!({ "Id": "c", "Type": "CONTEXT", "Action": "RETRY" }),
        json!({ "Id": "i", "Type": "CHAINED_INVOKE", "Action": "START" }),
        json!({ "Id": "e", "Type": "EXECUTION", "Action": "START" }),
        json!({ "Id": "e", "Type": "EXECUTION", "Action": "SUCCEED", "Error": { "ErrorMessage": "e" } }),
        json!({ "Id": "w2", "Type": "WAIT", "Action": "START", "WaitOptions": { "WaitSeconds": 31_622_401 } }),
    ];
    for update in wrong {
        // The first update alone would be accepted, but a checkpoint is applied as a whole or not at all.
        let answer = runtime.checkpoint(&mut invocation, json!([wait, update])).await;
        assert_eq!(refusal(&answer), INVALID, "{update}: {answer:?}");
        assert_eq!(runtime.lambda.events(&arn).await, before, "{update}");
    }
    let end = json!({ "Id": "e", "Type": "EXECUTION", "Action": "SUCCEED", "Payload": "\"end\"" });
    for updates in [json!([end, wait]), json!([end, end]), json!([wait, wait])] {
        assert_eq!(refusal(&runtime.checkpoint(&mut invocation, updates).await), INVALID);
    }
    // The refused checkpoints did not use up the token.
    runtime.record(&mut invocation, json!([end])).await;
    let execution = runtime.lambda.execution(&arn).await;
    assert_eq!((&execution["Status"], &execution["Result"]), (&json!("SUCCEEDED"), &json!("\"end\"")));
}

#[tokio::test]
async fn a_checkpoint_token_is_valid_once_and_a_client_token_makes_a_checkpoint_idempotent() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin("{}").await;
    let first = invocation.token().to_owned();
    let body = json!({ "CheckpointToken": first, "ClientToken": "c1", "Updates": [step("1", "START")] });
    let once = runtime.lambda.checkpoint(&arn, body.clone()).await;
    let again = runtime.lambda.checkpoint(&arn, body.clone()).await;
    assert_eq!((once.0.as_u16(), &once), (200, &again), "the same answer");
    let events = runtime.lambda.events(&arn).await;
    assert_eq!(events.iter().filter(|event| event["EventType"] == "StepStarted").count(), 1);
    for other in [
        with(body.clone(), "ClientToken", json!("c2")),
        json!({ "CheckpointToken": first }),
        json!({ "CheckpointToken": "bm8=" }),
    ] {
        let answer = runtime.lambda.checkpoint(&arn, other).await;
        assert_eq!(refusal(&answer), INVALID);
        assert!(answer.1["message"].as_str().unwrap().starts_with("Invalid Checkpoint Token"), "{answer:?}");
    }
    let bad = runtime.lambda.checkpoint(&arn, with(body, "ClientToken", json!("x".repeat(65)))).await;
    assert_eq!(refusal(&bad), INVALID);
    // Reading the state needs a valid token too.
    let state = |token: &str| {
        crate::support::Lambda::path(&arn, &format!("/state?CheckpointToken={}", crate::support::encoded(token)))
    };
    assert_eq!(refusal(&runtime.lambda.get(&state(&first)).await), INVALID);
    let newest = once.1["CheckpointToken"].as_str().unwrap();
    assert_eq!(runtime.lambda.get(&state(newest)).await.0.as_u16(), 200);
    // Once an invocation is over, its token is no longer valid.
    assert_eq!(invocation.post("error", "{}".into()).await.as_u16(), 202);
    let deadline = std::time::Instant::now() + crate::emulator::PATIENCE;
    while refusal(&runtime.lambda.get(&state(newest)).await) != INVALID {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let late = runtime.checkpoint(&mut invocation, json!([])).await;
    assert_eq!(refusal(&late), INVALID);
    let unknown = arn.replace("/durable-execution/", "/durable-execution/not-");
    assert_eq!(runtime.lambda.checkpoint(&unknown, json!({ "CheckpointToken": newest })).await.0.as_u16(), 404);
    assert_eq!(refusal(&runtime.lambda.checkpoint("no-arn", json!({ "CheckpointToken": newest })).await), INVALID);
}

#[tokio::test]
async fn callbacks_can_be_answered_once_and_heartbeats_extend_them() {
    let runtime = ManualRuntime::open_with_movable_clock().await;
    let (arn, mut invocation) = runtime.begin("{}").await;
    let open = |id: &str, options: Value| json!({ "Id": id, "Type": "CALLBACK", "Action": "START", "CallbackOptions": options });
    let updates = json!([
        open("ok", json!({})),
        open("bad", json!({ "TimeoutSeconds": 6000 })),
        open("late", json!({ "TimeoutSeconds": 1 })),
        open("silent", json!({ "TimeoutSeconds": 6000, "HeartbeatTimeoutSeconds": 200 })),
    ]);
    let started = runtime.record(&mut invocation, updates).await;
    let id = |name: &str| {
        let operation = started.iter().find(|operation| operation["Id"] == name).unwrap();
        operation["CallbackDetails"]["CallbackId"].as_str().unwrap().to_owned()
    };
    let lambda = &runtime.lambda;
    let too_large = "x".repeat(256 * 1024 + 1);
    assert_eq!(refusal(&lambda.call_back(&id("ok"), "succeed", &too_large).await), INVALID);
    assert_eq!(lambda.call_back(&id("ok"), "succeed", "\"fine\"").await.0.as_u16(), 200);
    assert_eq!(refusal(&lambda.call_back(&id("ok"), "succeed", "\"again\"").await), INVALID);
    assert_eq!(refusal(&lambda.call_back(&id("ok"), "heartbeat", "").await), INVALID);
    assert_eq!(
        lambda.call_back(&id("bad"), "fail", r#"{"ErrorType": "T", "ErrorMessage": "m"}"#).await.0.as_u16(),
        200
    );
    assert_eq!(refusal(&lambda.call_back("bm8=", "succeed", "").await), INVALID);
    invocation.pend().await;
    // Heartbeats postpone the heartbeat timeout, and then stop coming. All of this takes less time than the execution's own timeout.
    for _ in 0..4 {
        runtime.emulator.forward(Duration::from_secs(100)).await;
        assert_eq!(lambda.call_back(&id("silent"), "heartbeat", "").await.0.as_u16(), 200);
    }
    runtime.emulator.forward(Duration::from_secs(200)).await;
    loop {
        let invocation = runtime.next().await;
        let all = invocation.operations();
        let status = |name: &str| all.iter().find(|operation| operation["Id"] == name).unwrap().clone();
        if status("silent")["Status"] == "STARTED" {
            invocation.pend().await;
            continue;
        }
        assert_eq!(status("ok")["CallbackDetails"]["Result"], "\"fine\"");
        assert_eq!(
            (&status("bad")["Status"], &status("bad")["CallbackDetails"]["Error"]["ErrorType"]),
            (&json!("FAILED"), &json!("T"))
        );
        assert_eq!(status("late")["CallbackDetails"]["Error"]["ErrorType"], "Callback.Timeout");
        assert_eq!(status("silent")["CallbackDetails"]["Error"]["ErrorType"], "Callback.Heartbeat");
        invocation.succeed("1").await;
        break;
    }
    assert_eq!(lambda.ended(&arn).await["Status"], "SUCCEEDED");
    let late = lambda.call_back(&id("late"), "succeed", "").await;
    assert_eq!(refusal(&late), (400, "CallbackTimeoutException"));
}

/// A function may suspend although the response to a checkpoint has shown it a result. Another callback is open, because a function may
/// suspend only if it waits for something.
#[tokio::test]
async fn a_callback_answered_during_an_invocation_causes_another_invocation() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin("{}").await;
    let open = |id: &str| json!({ "Id": id, "Type": "CALLBACK", "Action": "START" });
    let started = runtime.record(&mut invocation, json!([open("asked"), open("other")])).await;
    let asked = started[0]["CallbackDetails"]["CallbackId"].as_str().unwrap();
    assert_eq!(runtime.lambda.call_back(asked, "succeed", "1").await.0.as_u16(), 200);
    let told = runtime.record(&mut invocation, json!([step("s", "SUCCEED")])).await;
    assert!(told.iter().any(|operation| operation["Id"] == "asked" && operation["Status"] == "SUCCEEDED"), "{told:?}");
    invocation.pend().await;
    let again = runtime.next().await;
    assert_eq!(again.operations()[0]["Status"], "SUCCEEDED");
    again.pend().await;
    // Nothing has happened since, so no invocation is owed.
    assert!(runtime.next_within(Duration::from_secs(1)).await.is_none());
    assert_eq!(runtime.lambda.execution(&arn).await["Status"], "RUNNING");
}

/// The pages together contain the whole state, except for what is below a context that has ended, which is not needed any more.
#[tokio::test]
async fn the_state_of_an_execution_has_pages() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin("{}").await;
    let context = |id: &str, action: &str| json!({ "Id": id, "Type": "CONTEXT", "Action": action });
    let child = |id: &str, parent: &str| json!({ "Id": id, "ParentId": parent, "Type": "STEP", "Action": "SUCCEED", "Payload": "1" });
    let mut updates = vec![context("shut", "START"), child("in-shut", "shut"), context("shut", "SUCCEED")];
    updates.retain(|update| update["Action"] != "SUCCEED" || update["Type"] != "CONTEXT");
    updates.push(context("open", "START"));
    updates.push(child("in-open", "open"));
    runtime.record(&mut invocation, json!(updates)).await;
    runtime.record(&mut invocation, json!([context("shut", "SUCCEED")])).await;
    let large = "x".repeat(1024 * 1024);
    for batch in 0..7 {
        let payload = json!({ "Id": format!("large-{batch}"), "Type": "STEP", "Action": "SUCCEED", "Payload": large });
        runtime.record(&mut invocation, json!([payload])).await;
    }
    let many: Vec<_> =
        (0..120).map(|n| json!({ "Id": format!("s{n}"), "Type": "STEP", "Action": "SUCCEED" })).collect();
    runtime.record(&mut invocation, json!(many)).await;
    runtime
        .record(
            &mut invocation,
            json!([{ "Id": "w", "Type": "WAIT", "Action": "START", "WaitOptions": { "WaitSeconds": 1 } }]),
        )
        .await;
    invocation.pend().await;

    let invocation = runtime.next().await;
    assert_eq!(invocation.event["UpdatedOperationIds"], json!(["w"]));
    let size = invocation.event.to_string().len();
    assert!(size < 6 * 1024 * 1024, "an invocation carries {size} bytes");
    let mut ids: Vec<String> =
        invocation.operations().iter().map(|operation| operation["Id"].as_str().unwrap().to_owned()).collect();
    let mut marker = invocation.event["InitialExecutionState"]["NextMarker"].as_str().map(str::to_owned);
    let mut pages = 0;
    while let Some(next) = marker {
        let token = crate::support::encoded(invocation.token());
        let path =
            crate::support::Lambda::path(&arn, &format!("/state?CheckpointToken={token}&Marker={next}&MaxItems=50"));
        let (status, page) = runtime.lambda.get(&path).await;
        assert_eq!(status.as_u16(), 200, "{page}");
        let operations = page["Operations"].as_array().unwrap();
        assert!((1..=50).contains(&operations.len()));
        ids.extend(operations.iter().map(|operation| operation["Id"].as_str().unwrap().to_owned()));
        marker = page["NextMarker"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert!(pages >= 3, "{pages}");
    assert_eq!(ids.len(), 3 + 7 + 120 + 1, "each once: {ids:?}");
    assert!(!ids.contains(&"in-shut".to_owned()) && ids.contains(&"in-open".to_owned()));
    invocation.succeed("1").await;
    assert_eq!(runtime.lambda.ended(&arn).await["Status"], "SUCCEEDED");
}
