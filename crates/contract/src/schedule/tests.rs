use std::time::Duration;

use domain::schedule::Times;

use super::*;
use crate::catalog;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_772_409_600 + second).unwrap()
}

fn schedule() -> Schedule {
    let definition = Definition {
        cron: "0 2 * * *".into(),
        time_zone: "Europe/Berlin".into(),
        pattern: Pattern::Callback,
        start: Json::parse(r#"{"job": "etl", "input": {"b": 1.10, "a": [12345678901234567890123]}}"#).unwrap(),
        overlap: Overlap::BufferOne,
        catch_up_seconds: 3_600,
        jitter_seconds: 60,
    };
    let times = Times::of("0 2 * * *", "Europe/Berlin").unwrap();
    let name = "nightly.2".parse().unwrap();
    Schedule::new(Owner::new("jwt:ada/x"), name, "0b9f8a3e".into(), (definition, &times), false, at(0))
}

fn full() -> Schedule {
    Schedule {
        buffered: Some(at(3_600)),
        last: Some(Last { execution_id: "e1".parse().unwrap(), time: Some(at(60)), started_at: at(61) }),
        counts: Counts { fired: 1, skipped: 2, missed: 3, failed: 4 },
        failing: Some(Failing { count: 4, last_error: "no such job".into(), time: at(60) }),
        version: 7,
        ..schedule()
    }
}

fn paused() -> Schedule {
    let last = Last { execution_id: "e1".parse().unwrap(), time: None, started_at: at(61) };
    Schedule { paused: true, next: None, last: Some(last), ..schedule() }
}

#[test]
fn a_schedule_survives_storage_unchanged() {
    for schedule in [schedule(), full(), paused()] {
        let attributes: std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue> =
            serde_dynamo::to_item(ScheduleItem::of(&schedule)).unwrap();
        let back: ScheduleItem = serde_dynamo::from_item(attributes.clone()).unwrap();
        assert_eq!(back.into_schedule().unwrap(), schedule);
        let listed: ListedSchedule = serde_dynamo::from_item(attributes).unwrap();
        assert_eq!(listed.job(), "etl");
        let listed = listed.into_schedule().unwrap();
        assert_eq!((listed.name, listed.counts, listed.next), (schedule.name, schedule.counts, schedule.next));
    }
}

/// Functions of several versions read and write these items.
#[test]
fn the_written_attributes_are_those_of_the_snapshot() {
    insta::assert_json_snapshot!([schedule(), full(), paused()].map(|schedule| ScheduleItem::of(&schedule)));
}

#[test]
fn what_a_newer_version_stored_is_kept_or_not_changed() {
    let mut stored = serde_json::to_value(ScheduleItem::of(&schedule())).unwrap();
    stored["future"] = serde_json::json!({ "list": [1, null, "a"] });
    let read: ScheduleItem = serde_json::from_value(stored.clone()).unwrap();
    let back = serde_json::to_value(ScheduleItem::of(&read.into_schedule().unwrap())).unwrap();
    assert_eq!(back, stored);
    stored["definition"]["overlap"] = "bufferAll".into();
    let read: ScheduleItem = serde_json::from_value(stored).unwrap();
    assert!(matches!(read.into_schedule(), Err(Unreadable::Newer(name)) if name == "bufferAll"));
}

#[test]
fn the_keys_of_schedules_never_change_and_are_not_executions() {
    let key = ScheduleKey { owner: Owner::new("jwt:ada/x"), name: "nightly.2".parse().unwrap() };
    assert_eq!(
        (key.text().as_str(), &*owner_shard(&key.owner)),
        ("schedule/nightly.2/jwt:ada/x", "schedules:jwt:ada/x")
    );
    assert_eq!(ScheduleKey::read(&key.text()), Some(key.clone()));
    assert!(key.text().parse::<ExecutionId>().is_err());
    for other in ["e1", "place/3/ada", "report/0b9f/1", "schedule/a b/ada", "schedule/a"] {
        assert_eq!(ScheduleKey::read(other), None, "{other}");
    }
}

#[test]
fn a_request_has_the_defaults_that_its_job_has_now() {
    let catalog = catalog::read(
        r#"{"etl": {"taskDefinition": "t", "cpu": 256, "memory": 512, "timeoutSeconds": 60, "retry": {"maxAttempts": 3},
            "allow": {"cpu": true, "memory": true, "environment": ["DEBUG"]}}, "off": {"taskDefinition": "t", "disabled": true}}"#,
    )
    .unwrap();
    let read = |text: &str| request(&Json::parse(text).unwrap(), &catalog);
    let plain = read(r#"{"job": "etl", "input": {"b": 1.10}, "retry": null}"#).unwrap();
    assert_eq!((plain.timeout, plain.max_attempts, plain.input.text()), (Duration::from_mins(1), 3, r#"{"b": 1.10}"#));
    let full = read(
        r#"{"job": "etl", "input": null, "timeoutSeconds": 7.0, "retry": {"maxAttempts": 2, "onExitCodes": [75]},
            "resources": {"cpu": 512, "memoryMiB": 1024}, "environment": {"DEBUG": "1"}, "tags": {"team": "blue"}}"#,
    );
    let full = full.unwrap();
    assert_eq!((full.timeout, full.max_attempts), (Duration::from_secs(7), 2));
    assert_eq!(full.retry.on_exit_codes, Some([75].into()));
    assert_eq!((full.overrides.cpu, full.overrides.memory), (Some(512), Some(1_024)));
    assert_eq!((full.overrides.environment["DEBUG"].as_str(), full.tags["team"].as_str()), ("1", "blue"));
    for (text, pointer) in [
        (r#"{"input": 1}"#, "/job"),
        (r#"{"job": "off", "input": 1}"#, "/job"),
        (r#"{"job": "etl", "input": 1, "environment": {"OTHER": "1"}}"#, "/environment/OTHER"),
    ] {
        assert_eq!(read(text).unwrap_err()[0].pointer, pointer);
    }
}
