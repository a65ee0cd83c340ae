//! Golden items: items of older versions stay readable, and the format of this version's items is fixed.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{Artifact, Attempt, Changes, Event, LatestStart, UploadId, limits, task::Container, upload::Keep};

use super::*;

type Attributes = std::collections::HashMap<String, AttributeValue>;

/// Milliseconds after a whole second.
type Fraction = i64;

fn at(second: i64, fraction: Fraction) -> Timestamp {
    Timestamp::from_millisecond(second * 1_000 + fraction).unwrap()
}

fn log(container: &str) -> JobLog {
    JobLog {
        group: "/ecs/longhaul".into(),
        stream_prefix: "task".into(),
        container: container.into(),
        unknown: Unknown::default(),
    }
}

fn pending(fraction: Fraction) -> Execution {
    let request = Request {
        input: Json::parse(r#"{"b":1.10,"a":[12345678901234567890123]}"#).unwrap(),
        job: "demo".into(),
        timeout: Duration::from_mins(1),
        max_attempts: 2,
        tags: BTreeMap::from([("team".into(), "blue".into())]),
        ..Request::of(Json::null())
    };
    Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(1_000, fraction))
}

/// An execution whose request has everything that the first version did not know.
fn with_rules(fraction: Fraction) -> Execution {
    let retry = RetryRule {
        on_exit_codes: Some(BTreeSet::from([1, 75])),
        first: Duration::from_secs(1),
        longest: Duration::from_mins(1),
    };
    let environment = BTreeMap::from([("DEBUG".into(), "1".into()), ("EMPTY".into(), String::new())]);
    let overrides = Overrides { cpu: Some(512), memory: Some(1_024), environment };
    let pending = pending(fraction);
    let schedule = Some(Origin { name: "nightly".into(), time: Some(at(960, 0)) });
    Execution { request: Request { retry, overrides, ..pending.request.clone() }, schedule, ..pending }
}

/// An execution of a batch.
fn of_batch(fraction: Fraction) -> Execution {
    let batch = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c".parse().ok();
    Execution { batch, ..pending(fraction) }
}

/// An execution with files.
fn with_files(fraction: Fraction) -> Execution {
    let id = UploadId::new(Keep::Short, [0xab; 16]);
    let upload = Upload { id, bytes: 7, sha256: [0x0a; 32].into(), unknown: Unknown::default() };
    let pending = pending(fraction);
    let request = Request { input_upload: Some(upload), ..pending.request.clone() };
    let outcome = Outcome {
        result_source: ResultSource::Artifact,
        artifacts: Some(Box::new(Artifacts {
            place: "1f".into(),
            files: vec![Artifact {
                name: "a/b.csv".into(),
                bytes: 5 << 30,
                sha256: [0x0b; 32].into(),
                unknown: Unknown::default(),
            }],
            unknown: Unknown::default(),
        })),
        ..Outcome::without_job(OutcomeKind::Completed, at(1_002, fraction))
    };
    let pending = Execution { request, creation: Some("0b9f8a3e".into()), ..pending };
    pending.after(&Event::Ended(outcome), at(1_001, fraction)).unwrap().unwrap()
}

/// An execution in every state. Each is derived from an earlier one by an event.
fn lives(fraction: Fraction) -> Vec<Execution> {
    let at = |second| at(second, fraction);
    let step = |from: &Execution, event: Event| from.after(&event, at(1_001)).unwrap().unwrap();
    let ended = |from: &Execution, kind| {
        let result = Some(Json::parse(r#"{"ok": 1e2}"#).unwrap());
        let result_source = ResultSource::File;
        step(
            from,
            Event::Ended(Outcome {
                kind,
                result,
                result_source,
                artifacts: None,
                exit_code: Some(3),
                finished_at: at(1_002),
            }),
        )
    };
    let error = || JobError {
        stop_code: Some("EssentialContainerExited".into()),
        ..JobError::new("kind", "why").with_log_tail("last words")
    };
    let accepted = step(
        &pending(fraction),
        Event::WorkflowStarted { durable_execution_arn: "arn:durable".into(), log: Some(log("job")) },
    );
    let running = step(&accepted, Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "arn:task".into() });
    let watched = step(&running, Event::Watching { callback_id: "cb".into() });
    let cancelling = step(&watched, Event::CancelRequested);
    let container = Container { name: "job".into(), exit_code: Some(3), reason: Some("OutOfMemoryError".into()) };
    let task = Task {
        arn: "arn:task".into(),
        stopped: true,
        started_at: None,
        stop_code: Some("EssentialContainerExited".into()),
        stopped_reason: Some("Essential container in task exited".into()),
        stopped_at: Some(at(1_002)),
        containers: vec![container, Container { name: "sidecar".into(), exit_code: None, reason: None }],
        environment: Vec::new(),
    };
    let delayed =
        Request { start: Some(Start::At(at(9_000))), start_before: Some(at(9_009)), ..pending(fraction).request };
    let scheduled = Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), delayed, at(1_000));
    let waiting = step(&scheduled, Event::Watching { callback_id: "cb".into() });
    let due = step(&waiting, Event::Due);
    let tags = Some(BTreeMap::from([("team".into(), "red".into())]));
    let changes = Changes { start: Some(at(8_000)), start_before: Some(LatestStart::At(at(8_009))), tags };
    let moved = step(&waiting, Event::Changed(Box::new(changes)));
    let in_seconds = Request { start: Some(Start::In { seconds: 0 }), ..pending(fraction).request };
    let at_once = Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), in_seconds, at(1_000));
    let over = step(&watched, Event::TaskStopped { task: Box::new(task) });
    vec![
        pending(fraction),
        accepted,
        ended(&running, OutcomeKind::Completed),
        ended(&running, OutcomeKind::Failed(error())),
        ended(&running, OutcomeKind::TimedOut(error())),
        ended(&cancelling, OutcomeKind::Cancelled(error())),
        running,
        watched,
        cancelling,
        over,
        with_rules(fraction),
        with_files(fraction),
        ended(&waiting, OutcomeKind::Expired(error())),
        scheduled,
        waiting,
        due,
        at_once,
        moved,
        of_batch(fraction),
    ]
}

#[test]
fn every_state_survives_storage_unchanged() {
    for execution in [0, 1, 999].into_iter().flat_map(lives) {
        let attributes: std::collections::HashMap<String, AttributeValue> =
            serde_dynamo::to_item(Item::of(&execution)).unwrap();
        let back: Item = serde_dynamo::from_item(attributes).unwrap();
        assert_eq!(back.into_execution().unwrap(), execution);
    }
}

#[test]
fn the_written_attributes_are_those_of_the_snapshot() {
    let items: Vec<Item> = lives(0).iter().map(Item::of).collect();
    insta::assert_json_snapshot!(items);
}

/// Items that the first version wrote. Never change them while such items may exist.
#[test]
fn items_of_the_first_version_are_read() {
    let written: Vec<serde_json::Value> = serde_json::from_str(include_str!("first-version.json")).unwrap();
    for mut written in written {
        let item: Item = serde_json::from_value(written.clone()).unwrap();
        let execution = item.into_execution().unwrap();
        let mut back = serde_json::to_value(Item::of(&execution)).unwrap();
        let (written, back) = (written.as_object_mut().unwrap(), back.as_object_mut().unwrap());
        // The first version gave an expiry to an execution that was not over, and had no index of an owner's executions.
        let expiry = written.remove("expiresAt").unwrap().as_i64().unwrap();
        let expected = if execution.status().is_final() { expiry } else { NEVER.as_second() };
        assert_eq!(back.remove("expiresAt").unwrap(), expected);
        assert_eq!(back.remove("ownerShard").unwrap(), "0:ada");
        assert_eq!(back.remove("created").unwrap(), "1970-01-01T00:16:40.000Z#e1");
        assert_eq!(back, written);
    }
}

/// An item of a newer version, as `DynamoDB` stores it.
fn newer() -> Attributes {
    let written: serde_json::Value = serde_json::from_str(include_str!("newer-version.json")).unwrap();
    serde_dynamo::to_item(written).unwrap()
}

fn read(attributes: Attributes) -> Result<Execution, Unreadable> {
    serde_dynamo::from_item::<_, Item>(attributes).unwrap().into_execution()
}

fn written(execution: &Execution) -> Attributes {
    serde_dynamo::to_item(Item::of(execution)).unwrap()
}

/// A workflow continues with the version that it started on, while newer versions write to its item.
#[test]
fn unknown_attributes_of_a_newer_version_survive_every_change() {
    let newer = newer();
    let seen = read(newer.clone()).unwrap();
    let at = at(1_010, 0);
    let third = Attempt::new(3).unwrap();
    let error = JobError::new("exit-code", "exited with code 1");
    let ended = Outcome {
        kind: OutcomeKind::Completed,
        result: None,
        result_source: ResultSource::None,
        artifacts: None,
        exit_code: Some(0),
        finished_at: at,
    };
    let events = [
        Event::Watching { callback_id: "cb".into() },
        Event::Visited,
        Event::AttemptFailed { attempt: Attempt::FIRST.next(), error, excused: false, exit_code: Some(1) },
        Event::NoCapacity { attempt: third, why: "none".into(), until: at },
        Event::TaskStarted { attempt: third, task_arn: "arn:task/3".into() },
        Event::CancelRequested,
        Event::Ended(ended),
        Event::Visited,
    ];
    let mut now = seen;
    for event in events {
        now = now.after(&event, at).unwrap().unwrap_or(now);
        let attributes = written(&now);
        for (name, value) in newer.iter().filter(|(name, _)| name.starts_with("new")) {
            assert_eq!(attributes.get(name), Some(value), "{event:?}");
        }
        assert_eq!(read(attributes).unwrap(), now, "{event:?}");
    }
    let attributes: serde_json::Value = serde_dynamo::from_item(written(&now)).unwrap();
    let text = |pointer: &str| attributes.pointer(pointer).and_then(|value| value.as_str()).unwrap_or("lost");
    assert_eq!(text("/failed/newText"), "failed");
    assert_eq!((text("/earlier/0/newText"), text("/earlier/1/newText")), ("earlier", "run"));
    assert_eq!(text("/timeline/0/newText"), "entry");
    assert_eq!((text("/timeline/1/what"), text("/timeline/1/detail")), ("queued", "behind 3"));
}

/// Such an item is not damaged: the version that wrote it continues to use it.
#[test]
fn an_unknown_status_or_pattern_is_reported_as_newer() {
    for (name, value) in [("status", "QUEUED"), ("pattern", "batch")] {
        let mut newer = newer();
        newer.insert(name.into(), AttributeValue::S(value.into()));
        let error = read(newer).unwrap_err();
        assert!(matches!(&error, Unreadable::Newer(name) if name == value), "{error}");
    }
}

/// An older version would change sets and binary values when it writes them back: see `Unknown`.
#[test]
fn an_item_has_only_types_that_older_versions_can_keep() {
    fn check(name: &str, value: &AttributeValue) {
        match value {
            AttributeValue::S(_) | AttributeValue::N(_) | AttributeValue::Bool(_) | AttributeValue::Null(_) => {}
            AttributeValue::L(list) => list.iter().for_each(|value| check(name, value)),
            AttributeValue::M(map) => map.iter().for_each(|(name, value)| check(name, value)),
            other => panic!("{name} is {other:?}"),
        }
    }
    for execution in lives(0) {
        for (name, value) in &written(&execution) {
            check(name, value);
        }
    }
}

#[test]
fn a_damaged_item_is_an_error_that_names_it() {
    let item = Item { status: Known::This(Status::Failed), ..Item::of(&pending(0)) };
    assert_eq!(item.into_execution().unwrap_err().to_string(), "the item of e1 is damaged: it has no error");
}

/// The size of an item as `DynamoDB` counts it: names and values as UTF-8, and some bytes for each value in a list or a map
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + size(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// As many and as large variables as a request may have.
fn largest_artifacts() -> Artifacts {
    let length = limits::ARTIFACT_NAMES_BYTES / limits::ARTIFACTS;
    let file = |number| Artifact {
        name: format!("{number:0>length$}"),
        bytes: limits::FILE_BYTES,
        sha256: [0; 32].into(),
        unknown: Unknown::default(),
    };
    let files = (0..limits::ARTIFACTS).map(file).collect();
    let artifacts = Artifacts { place: "0".repeat(32), files, unknown: Unknown::default() };
    assert_eq!(artifacts.wrong(), None);
    artifacts
}

fn largest_environment() -> BTreeMap<String, String> {
    let mut variables: BTreeMap<_, _> = (0..limits::VARIABLES).map(|n| (format!("V{n:02}"), String::new())).collect();
    let bytes = serde_json::to_string(&variables).unwrap().len();
    variables.insert("V00".into(), "x".repeat(limits::VARIABLES_BYTES - bytes));
    variables
}

/// Even with every field at its limit, the outcome must fit into the item.
#[test]
fn the_largest_execution_fits_into_an_item() {
    let json = |bytes: usize| Json::parse(&format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
    let tag = |n| (format!("{n:02}{}", "x".repeat(limits::TAG_KEY_CHARS - 2)), "x".repeat(limits::TAG_VALUE_CHARS));
    let tags: Vec<(String, String)> = (0..limits::TAGS).map(tag).collect();
    let request = Request {
        input: json(
            limits::INPUT_BYTES - tags.iter().map(|(key, value): &(String, _)| key.len() + value.len()).sum::<usize>(),
        ),
        job: "x".repeat(limits::JOB_NAME_CHARS),
        input_upload: Some(Upload {
            id: UploadId::new(Keep::Long, [0; 16]),
            bytes: limits::FILE_BYTES,
            sha256: [0; 32].into(),
            unknown: Unknown::default(),
        }),
        timeout: limits::TIMEOUT,
        max_attempts: limits::ATTEMPTS,
        retry: RetryRule {
            on_exit_codes: Some((206..=limits::HIGHEST_EXIT_CODE).collect()),
            first: Duration::from_hours(23),
            longest: limits::BACKOFF,
        },
        overrides: Overrides { cpu: Some(16_384), memory: Some(122_880), environment: largest_environment() },
        tags: tags.into_iter().collect(),
        start: Some(Start::At(at(9_000, 999))),
        start_before: Some(at(9_009, 999)),
    };
    assert_eq!(request.violations(), []);
    let id = "x".repeat(limits::ID_CHARS).parse().unwrap();
    let owner = Owner::new(format!("iam:arn:aws:sts::123456789012:assumed-role/{}", "x".repeat(64 + 64)));
    let mut execution = Execution::new(id, Pattern::Sync, owner, request, at(1_000, 999));
    let mut step = |event| execution = execution.after(&event, at(1_001, 999)).unwrap().unwrap();
    // Names begin with the stack's name. It has at most 53 characters, because a function's name has at most 64.
    let arn = |what: &str, chars| format!("arn:aws-us-gov:{what}:ap-southeast-1:123456789012:{}", "x".repeat(chars));
    let began = |container: &str| Event::WorkflowStarted {
        durable_execution_arn: arn("lambda", 200),
        log: Some(JobLog { group: "x".repeat(200), ..log(container) }),
    };
    step(began("first"));
    step(Event::Due);
    let excused = limits::EXCUSED + limits::RETIRED;
    for number in 1..=limits::ATTEMPTS + excused {
        let attempt = Attempt::new(number).unwrap();
        step(Event::NoCapacity { attempt, why: "x".repeat(1_000), until: at(1_001, 999) });
        step(Event::TaskStarted { attempt, task_arn: format!("{}{number}", arn("ecs", 53 + 40)) });
        let kind = if number <= limits::RETIRED { "task-retired" } else { "task-failed-to-start" };
        let error = JobError::new(kind, "x");
        step(Event::AttemptFailed { attempt, error, excused: number <= excused, exit_code: None });
        if number == limits::ATTEMPTS {
            step(began("second"));
        }
    }
    step(Event::CancelRequested);
    let error = JobError {
        stop_code: Some("TaskFailedToStart".into()),
        ..JobError::new("task-failed-to-start", "x".repeat(limits::ERROR_MESSAGE_BYTES))
            .with_log_tail(&"x".repeat(limits::LOG_TAIL_BYTES))
    };
    let result = Some(json(limits::RESULT_BYTES));
    let (kind, finished_at) = (OutcomeKind::Cancelled(error), at(1_002, 999));
    step(Event::Ended(Outcome {
        kind,
        result,
        result_source: ResultSource::NoneButBroken,
        artifacts: Some(Box::new(largest_artifacts())),
        exit_code: None,
        finished_at,
    }));
    let item: std::collections::HashMap<String, AttributeValue> = serde_dynamo::to_item(Item::of(&execution)).unwrap();
    let bytes: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
    assert!(bytes < 400 * 1024, "{bytes} bytes");
}
