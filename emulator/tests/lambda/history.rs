//! The history of every operation type, and its pages.

use serde_json::{Value, json};

use crate::{
    manual_runtime::ManualRuntime,
    support::{encoded, redacted},
};

#[tokio::test]
async fn every_operation_has_its_events_in_the_history() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin(r#"{"in":1}"#).await;
    let step =
        |action: &str| json!({ "Id": "step", "Type": "STEP", "SubType": "Step", "Name": "try", "Action": action });
    let retry = |mut update: Value, delay: i64| {
        update["StepOptions"] = json!({ "NextAttemptDelaySeconds": delay });
        update
    };
    let mut failed = retry(step("RETRY"), 1);
    failed["Error"] = json!({ "ErrorType": "E", "ErrorMessage": "first" });
    let updates = json!([
        { "Id": "child", "Type": "CONTEXT", "SubType": "RunInChildContext", "Name": "child", "Action": "START" },
        step("START"),
        { "Id": "wait", "ParentId": "child", "Type": "WAIT", "SubType": "Wait", "Name": "w", "Action": "START",
          "WaitOptions": { "WaitSeconds": 1 } },
        { "Id": "never", "Type": "WAIT", "Action": "START", "WaitOptions": { "WaitSeconds": 600 } },
        { "Id": "callback", "Type": "CALLBACK", "SubType": "Callback", "Action": "START",
          "CallbackOptions": { "TimeoutSeconds": 60, "HeartbeatTimeoutSeconds": 30 } },
        { "Id": "nobody", "Type": "CHAINED_INVOKE", "SubType": "ChainedInvoke", "Action": "START", "Payload": "{}",
          "ChainedInvokeOptions": { "FunctionName": "nobody", "TenantId": "tenant-1" } },
    ]);
    let changed = runtime.record(&mut invocation, updates).await;
    let callback = changed.iter().find(|operation| operation["Id"] == "callback").unwrap();
    let callback = callback["CallbackDetails"]["CallbackId"].as_str().unwrap().to_owned();
    let missing = changed.iter().find(|operation| operation["Id"] == "nobody").unwrap();
    assert_eq!(missing["ChainedInvokeDetails"]["Error"]["ErrorType"], "ResourceNotFoundException");
    runtime.record(&mut invocation, json!([failed, { "Id": "never", "Type": "WAIT", "Action": "CANCEL" }])).await;
    invocation.pend().await;
    runtime.lambda.event(&arn, "InvocationCompleted").await;
    assert_eq!(runtime.lambda.call_back(&callback, "succeed", "\"back\"").await.0.as_u16(), 200);

    // The wait, the retry and the callback may end in one invocation or in several.
    loop {
        let mut invocation = runtime.next().await;
        let all = invocation.operations();
        let status = |id: &str| all.iter().find(|operation| operation["Id"] == id).unwrap()["Status"].clone();
        let ready = status("step") == "READY" && status("wait") == "SUCCEEDED";
        if !ready {
            invocation.pend().await;
            continue;
        }
        let mut done = step("SUCCEED");
        done["Payload"] = json!("\"second\"");
        let child = json!({ "Id": "child", "Type": "CONTEXT", "SubType": "RunInChildContext", "Name": "child",
            "Action": "FAIL", "Error": { "ErrorMessage": "child" } });
        runtime.record(&mut invocation, json!([step("START")])).await;
        runtime.record(&mut invocation, json!([done, child])).await;
        invocation
            .answer(json!({ "Status": "FAILED", "Error": { "ErrorType": "T", "ErrorMessage": "the end" } }))
            .await;
        break;
    }
    assert_eq!(runtime.lambda.ended(&arn).await["Status"], "FAILED");
    let mut events = runtime.lambda.events(&arn).await;
    assert!(events.iter().enumerate().all(|(place, event)| event["EventId"] == place + 1), "{events:#?}");
    let times: Vec<_> = events.iter().map(|event| event["EventTimestamp"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    // The number of invocations varies, and so does the invocation in which each of the wait, the retry and the callback ends.
    events.retain(|event| event["EventType"] != "InvocationCompleted");
    let late = |kind: &str| events.iter().find(|event| event["EventType"] == kind).cloned().unwrap();
    let by_itself = [late("WaitSucceeded"), late("CallbackSucceeded")];
    events.retain(|event| event["EventType"] != "WaitSucceeded" && event["EventType"] != "CallbackSucceeded");
    events.extend(by_itself);
    for (place, event) in events.iter_mut().enumerate() {
        event["EventId"] = json!(place + 1);
    }
    insta::assert_json_snapshot!(redacted(&events));
}

#[tokio::test]
async fn a_history_can_be_paged_in_both_directions_and_read_without_data() {
    let runtime = ManualRuntime::open().await;
    let (arn, mut invocation) = runtime.begin("\"secret\"").await;
    let many: Vec<_> = (0..7)
        .map(|n| json!({ "Id": format!("s{n}"), "Type": "STEP", "Action": "SUCCEED", "Payload": "\"secret\"" }))
        .collect();
    runtime.record(&mut invocation, json!(many)).await;
    invocation.succeed("\"secret\"").await;
    runtime.lambda.ended(&arn).await;
    for (order, first) in [("false", 1), ("true", 10)] {
        let (mut ids, mut marker) = (vec![], String::new());
        loop {
            let query = format!("?MaxItems=4&ReverseOrder={order}&Marker={}", encoded(&marker));
            let page = runtime.lambda.history(&arn, &query).await;
            let events = page["Events"].as_array().unwrap();
            assert!(events.len() <= 4);
            ids.extend(events.iter().map(|event| event["EventId"].as_i64().unwrap()));
            match page["NextMarker"].as_str() {
                Some(next) => next.clone_into(&mut marker),
                None => break,
            }
        }
        let mut wanted: Vec<i64> = (1..=10).collect();
        if first == 10 {
            wanted.reverse();
        }
        assert_eq!(ids, wanted);
    }
    let with = runtime.lambda.history(&arn, "?IncludeExecutionData=true").await.to_string();
    let without = runtime.lambda.history(&arn, "?IncludeExecutionData=false").await.to_string();
    assert!(with.matches("secret").count() == 9 && !without.contains("secret"), "{without}");
    assert!(without.contains(r#""Truncated":true"#));
}
