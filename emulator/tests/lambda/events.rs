//! Events of durable executions, and their delivery to subscribers.

use serde_json::{Value, json};

use crate::{
    emulator::Emulator,
    manual_runtime::{self, ManualRuntime},
    support::Lambda,
};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function";

async fn events(emulator: &Emulator, operation: &str, body: Value) -> Value {
    emulator.call(&format!("AWSEvents.{operation}"), body).await
}

/// Subscribes a function `listener`, for which the test answers, to the events that match a pattern.
async fn subscribe(emulator: &Emulator, command: &str, pattern: &Value) {
    assert_eq!(Lambda::of(emulator).create("listener", command, None).await.0.as_u16(), 201);
    let rule = json!({ "Name": "mine", "EventPattern": pattern.to_string() });
    assert_eq!(events(emulator, "PutRule", rule).await["RuleArn"], "arn:aws:events:us-east-1:000000000000:rule/mine");
    let targets = json!({ "Rule": "mine", "Targets": [{ "Id": "1", "Arn": format!("{FUNCTION}:listener") }] });
    assert_eq!(events(emulator, "PutTargets", targets).await["FailedEntryCount"], 0);
}

/// The first events that the listener receives, up to this number.
async fn heard(runtime: &ManualRuntime, number: usize) -> Vec<Value> {
    let mut heard = Vec::new();
    while heard.len() < number {
        let invocation = runtime.next().await;
        if invocation.event.get("detail-type").is_some() {
            heard.push(invocation.event.clone());
            invocation.answer(json!(null)).await;
        } else {
            invocation.succeed("1").await;
        }
    }
    heard
}

#[tokio::test]
async fn each_status_change_of_a_durable_execution_is_an_event_in_lambdas_format() {
    let runtime = ManualRuntime::open().await;
    let pattern = json!({
        "source": ["aws.lambda"],
        "detail-type": ["Durable Execution Status Change"],
        "detail": { "functionArn": [{ "prefix": format!("{FUNCTION}:manual") }] },
    });
    subscribe(&runtime.emulator, &runtime.command(), &pattern).await;
    let arn = runtime.lambda.start("manual:1", "{}").await;
    let mut heard = heard(&runtime, 2).await;
    heard.sort_by_key(|event| event["detail"]["status"] == "SUCCEEDED");
    let execution = runtime.lambda.execution(&arn).await;
    for (event, status) in heard.iter().zip(["RUNNING", "SUCCEEDED"]) {
        let detail = &event["detail"];
        assert_eq!(
            (&event["version"], &event["source"], &event["resources"], &event["account"], &event["region"]),
            (&json!("0"), &json!("aws.lambda"), &json!([]), &json!("000000000000"), &json!("us-east-1"))
        );
        assert!(event["time"].as_str().unwrap().ends_with('Z') && event["time"].as_str().unwrap().len() == 20);
        assert_eq!(
            (&detail["durableExecutionArn"], &detail["durableExecutionName"], &detail["functionArn"]),
            (&json!(arn), &execution["DurableExecutionName"], &json!(format!("{FUNCTION}:manual:1")))
        );
        assert_eq!(detail["status"], status);
        let millis =
            |name: &str| detail[name].as_str().map(|at| at.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        #[expect(clippy::cast_possible_truncation, reason = "a time of this century")]
        let shown = |name: &str| execution[name].as_f64().map(|seconds| (seconds * 1_000.0).round() as i64);
        assert_eq!(millis("startTimestamp"), shown("StartTimestamp"));
        assert_eq!(millis("endTimestamp"), shown("EndTimestamp").filter(|_| status != "RUNNING"));
    }
}

#[tokio::test]
async fn a_rule_sends_only_matching_events_to_its_targets() {
    let runtime = ManualRuntime::open().await;
    let large = json!({ "source": ["shop"], "detail": { "total": [{ "numeric": [">", 100] }] } });
    subscribe(&runtime.emulator, &runtime.command(), &large).await;
    let entry =
        |total: i64| json!({ "Source": "shop", "DetailType": "order", "Detail": format!("{{\"total\":{total}}}") });
    let forged = json!({ "Source": "aws.ecs", "DetailType": "x", "Detail": "{}" });
    let put =
        json!({ "Entries": [entry(1), entry(101), forged, { "Source": "shop", "DetailType": "x", "Detail": "1" }] });
    let answer = events(&runtime.emulator, "PutEvents", put).await;
    assert_eq!(answer["FailedEntryCount"], 2, "{answer}");
    assert_eq!(answer["Entries"][2]["ErrorCode"], "NotAuthorizedForSourceException");
    assert_eq!(answer["Entries"][3]["ErrorCode"], "MalformedDetail");
    let event = &heard(&runtime, 1).await[0];
    assert_eq!((&event["detail"]["total"], &event["id"]), (&json!(101), &answer["Entries"][1]["EventId"]));

    events(&runtime.emulator, "DisableRule", json!({ "Name": "mine" })).await;
    events(&runtime.emulator, "PutEvents", json!({ "Entries": [entry(102)] })).await;
    events(&runtime.emulator, "EnableRule", json!({ "Name": "mine" })).await;
    let target = json!({ "Rule": "mine", "Targets": [
        { "Id": "1", "Arn": format!("{FUNCTION}:listener"), "InputPath": "$.detail" },
    ] });
    events(&runtime.emulator, "PutTargets", target).await;
    events(&runtime.emulator, "PutEvents", json!({ "Entries": [entry(103)] })).await;
    let invocation = runtime.next().await;
    assert_eq!(invocation.event, json!({ "total": 103 }), "102 matches no rule");
    invocation.answer(json!(null)).await;

    let removed = events(&runtime.emulator, "RemoveTargets", json!({ "Rule": "mine", "Ids": ["1", "2"] })).await;
    assert_eq!((&removed["FailedEntryCount"], &removed["FailedEntries"][0]["TargetId"]), (&json!(1), &json!("2")));
    events(&runtime.emulator, "DeleteRule", json!({ "Name": "mine" })).await;
    let rules = events(&runtime.emulator, "ListRules", json!({})).await;
    let names: Vec<_> = rules["Rules"].as_array().unwrap().iter().map(|rule| rule["Name"].clone()).collect();
    assert_eq!(names, ["declared"], "the rule of the resources");
}

/// Rules, and the events that matched them, are on disk.
#[tokio::test]
async fn rules_and_undelivered_events_survive_a_restart() {
    let (data, addresses) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut emulator = Emulator::start_over(data.path(), &[]).await;
    subscribe(&emulator, &manual_runtime::command(addresses.path()), &json!({ "source": ["shop"] })).await;
    let entry = json!({ "Source": "shop", "DetailType": "order", "Detail": "{\"n\":1}" });
    events(&emulator, "PutEvents", json!({ "Entries": [entry] })).await;
    emulator.process.kill().await.unwrap();
    for process in std::fs::read_dir(addresses.path()).unwrap().flatten() {
        // A function may live a moment longer than its emulator, and rename the file at this point.
        let removed = std::fs::remove_file(process.path());
        assert!(removed.is_ok() || !process.path().exists(), "{removed:?}");
    }
    manual_runtime::command(addresses.path());
    let runtime = ManualRuntime::over(Emulator::start_over(data.path(), &[]).await, addresses);
    let invocation = runtime.next().await;
    assert_eq!(invocation.event["detail"], json!({ "n": 1 }));
    invocation.answer(json!(null)).await;
    let described = events(&runtime.emulator, "DescribeRule", json!({ "Name": "mine" })).await;
    assert_eq!((&described["State"], &described["EventBusName"]), (&json!("ENABLED"), &json!("default")));
}

#[tokio::test]
async fn a_function_that_does_not_exist_cannot_be_a_target() {
    let emulator = Emulator::start(&["--function", "note=sleep 1000"]).await;
    let rule = json!({ "Name": "mine", "EventPattern": json!({ "source": ["shop"] }).to_string() });
    events(&emulator, "PutRule", rule).await;
    let put = async |function: &str| {
        let targets = json!([{ "Id": "1", "Arn": format!("{FUNCTION}:{function}") }]);
        let request = json!({ "Rule": "mine", "Targets": targets });
        let response = emulator.request("AWSEvents.PutTargets", &request).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    for function in ["nothing", "note:other"] {
        let (status, said) = put(function).await;
        assert_eq!(status, 400, "{said}");
        assert!(said.contains("ResourceNotFoundException") && said.contains(&format!(":{function}")), "{said}");
    }
    assert_eq!(put("note").await.0, 200);
}
