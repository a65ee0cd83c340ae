//! The exact form of every response and of everything that is sent to targets.

use std::time::Duration;

use serde_json::{Map, json};
use tempfile::TempDir;

use super::*;
use crate::{
    callers::Callers,
    golden::fixed,
    lambda::{self, Function, Lambda},
    logs::{self, Logs},
};

const LISTENER: &str = "arn:aws:lambda:us-east-1:000000000000:function:listener";

/// The bus with one function that may be a target, and its API.
fn bus() -> (Events, Api, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let schemas = [SCHEMA, lambda::SCHEMA, logs::SCHEMA];
    let db = Db::open(&directory.path().join("db"), &schemas).unwrap();
    let clock = Clock::default();
    let managed = Rule {
        name: "declared".into(),
        event_pattern: Some(r#"{"source":["aws.ecs"]}"#.into()),
        managed_by: Some("emulator".into()),
        ..Rule::default()
    };
    let events = Events::new(db.clone(), clock.clone(), Faults::default(), vec![managed]).unwrap();
    let listener = Function {
        name: "listener".into(),
        command: vec!["true".into()],
        environment: std::collections::BTreeMap::default(),
        timeout: Duration::from_secs(1),
        memory: 128,
        alias: None,
        durable: None,
    };
    let logs = Logs::new(db.clone(), clock.clone());
    let lambda = Lambda::new(db, clock, &logs, &events, Callers::default(), vec![], vec![listener]).unwrap();
    (events.clone(), Api::new(events, lambda), directory)
}

#[test]
fn every_response_has_the_form_of_the_api() {
    let (_, api, _directory) = bus();
    let pattern = r#"{"source":["shop"]}"#;
    let targets = json!([
        { "Id": "1", "Arn": LISTENER, "InputPath": "$.detail", "RoleArn": "kept" },
        { "Id": "2", "Arn": LISTENER, "Input": "{}" },
    ]);
    let entries = json!([
        { "Source": "shop", "DetailType": "order", "Detail": "{}" },
        { "Source": "aws.ecs", "DetailType": "order", "Detail": "{}" },
    ]);
    let mut responses = Map::new();
    for (name, request) in [
        ("PutRule", json!({ "Name": "mine", "EventPattern": pattern, "Description": "d", "RoleArn": "r" })),
        (
            "PutRule, a schedule",
            json!({ "Name": "often", "ScheduleExpression": "rate(1 minute)", "State": "DISABLED" }),
        ),
        ("PutTargets", json!({ "Rule": "mine", "Targets": targets })),
        ("DescribeRule", json!({ "Name": "mine" })),
        ("DescribeRule, managed", json!({ "Name": "declared" })),
        ("ListRules", json!({})),
        ("ListRules, a page", json!({ "Limit": 1 })),
        ("ListTargetsByRule", json!({ "Rule": "mine" })),
        ("ListTargetsByRule, a page", json!({ "Rule": "mine", "Limit": 1 })),
        ("RemoveTargets", json!({ "Rule": "mine", "Ids": ["2", "3"] })),
        ("PutEvents", json!({ "Entries": entries })),
        ("TestEventPattern", json!({ "EventPattern": pattern, "Event": "{\"source\":\"shop\"}" })),
        ("DisableRule", json!({ "Name": "mine" })),
        ("EnableRule", json!({ "Name": "mine" })),
        ("DeleteRule", json!({ "Name": "often" })),
    ] {
        let operation = name.split(',').next().unwrap();
        responses.insert(name.to_owned(), fixed(api.call(operation, &request).unwrap()));
    }
    insta::assert_json_snapshot!(responses);
}

#[test]
fn a_target_receives_the_event_in_its_envelope() {
    let (events, api, _directory) = bus();
    api.call("PutRule", &json!({ "Name": "mine", "EventPattern": r#"{"source":["shop"]}"# })).unwrap();
    api.call("PutTargets", &json!({ "Rule": "mine", "Targets": [{ "Id": "1", "Arn": LISTENER }] })).unwrap();
    let read = |tx: &Transaction<'_>| {
        events.put(tx, "shop", "order", &["arn:of:it"], &json!({ "n": 1 }))?;
        tx.query_row("SELECT body FROM event_deliveries", [], |row| row.get::<_, String>(0))
    };
    let body = events.0.db.transact(read).unwrap();
    insta::assert_json_snapshot!(fixed(serde_json::from_str(&body).unwrap()));
}
