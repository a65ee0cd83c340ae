//! How checkpoints, time and callers change operations.

mod answers;

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::{
    Durable,
    event::Happened,
    operation::{ErrorObject, Operation, Status},
    start::Start,
    store::{self, Execution, ExecutionStatus},
    update::{Refusal, Update, fit_together},
};

use crate::{
    callers::Callers,
    clock::Clock,
    db::Db,
    events::{self, Events},
    faults::Faults,
    lambda::{DurableConfig, Function, SCHEMA, changes::Changes, functions::Functions},
    logs::{self, Logs},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn update(json: Value) -> Update {
    serde_json::from_value(json).unwrap()
}

fn apply(current: Option<&Operation>, json: Value) -> Result<Operation, Refusal> {
    update(json).apply(current, "cb", at(10))
}

fn step(action: &str) -> Value {
    json!({"Id": "1", "Type": "STEP", "Action": action})
}

fn start(kind: &str) -> Value {
    json!({"Id": "1", "Type": kind, "Action": "START"})
}

fn callback(options: Value) -> Operation {
    let mut start = start("CALLBACK");
    start["CallbackOptions"] = options;
    apply(None, start).unwrap()
}

#[test]
fn a_step_is_retried_after_its_delay() {
    let started = apply(None, step("START")).unwrap();
    let mut retry = step("RETRY");
    retry["StepOptions"] = json!({"NextAttemptDelaySeconds": 5});
    let pending = apply(Some(&started), retry).unwrap();
    assert_eq!((pending.status, pending.attempt, pending.due), (Status::Pending, 1, Some(at(15))));
    assert_eq!(pending.due_at(at(14)), None);
    let ready = pending.due_at(at(15)).unwrap();
    assert_eq!((ready.status, ready.due), (Status::Ready, None));
    let again = apply(Some(&ready), step("START")).unwrap();
    let done = apply(Some(&again), step("SUCCEED")).unwrap();
    assert_eq!((done.status, done.attempt, done.ended_at), (Status::Succeeded, 2, Some(at(10))));
}

#[test]
fn updates_beyond_the_limits_are_refused() {
    let done = apply(Some(&apply(None, step("START")).unwrap()), step("SUCCEED")).unwrap();
    let refusal = |current, json| apply(current, json).unwrap_err().into_owned();
    assert_eq!(refusal(Some(&done), step("SUCCEED")), "Invalid current STEP state to close.");
    assert_eq!(refusal(Some(&done), step("START")), "Invalid current STEP state to start.");
    assert_eq!(refusal(None, step("RETRY")), "Invalid StepOptions for the given action.");
    assert_eq!(refusal(None, step("CANCEL")), "Invalid action for the given operation type.");
    let wait = json!({"Id": "1", "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": 1}});
    assert_eq!(refusal(Some(&done), wait), "Inconsistent operation type.");
    let mut named = step("SUCCEED");
    named["Name"] = "other".into();
    assert_eq!(refusal(Some(&done), named), "Inconsistent operation name.");
    let mut both = step("FAIL");
    both["Payload"] = "1".into();
    assert_eq!(refusal(None, both), "Cannot provide a Payload for FAIL action.");
    let cancel = json!({"Id": "1", "Type": "WAIT", "Action": "CANCEL"});
    assert_eq!(refusal(None, cancel), "Cannot cancel a WAIT that does not exist or has already completed.");
    assert_eq!(
        refusal(None, start("CHAINED_INVOKE")),
        "Update for CHAINED_INVOKE operation requires ChainedInvokeOptions."
    );
    let mut elsewhere = start("CHAINED_INVOKE");
    elsewhere["ChainedInvokeOptions"] = json!({"FunctionName": "arn:aws:lambda:us-east-1:999999999999:function:f"});
    assert_eq!(refusal(None, elsewhere), "Cannot start a CHAINED_INVOKE on a function in another account.");
}

#[test]
fn inconsistent_updates_are_refused() {
    let together = |updates: Vec<Value>| fit_together(&updates.into_iter().map(update).collect::<Vec<_>>()).is_ok();
    let end = json!({"Id": "e", "Type": "EXECUTION", "Action": "SUCCEED"});
    assert!(together(vec![step("START"), step("SUCCEED"), end.clone()]));
    assert!(!together(vec![end.clone(), step("START")]), "the end is the last");
    assert!(!together(vec![end.clone(), end]), "there is one end");
    assert!(!together(vec![step("SUCCEED"), step("SUCCEED")]));
    assert!(!together(vec![start("WAIT"), json!({"Id": "1", "Type": "WAIT", "Action": "CANCEL"})]));
}

#[test]
fn updates_that_violate_the_model_are_refused() {
    let with = |member: &str, value: Value| {
        let mut json = step("START");
        json[member] = value;
        update(json).check().is_ok()
    };
    assert!(with("Name", json!("x".repeat(256))) && !with("Name", json!("x".repeat(257))) && !with("Name", json!("ä")));
    assert!(with("Id", json!("x".repeat(64))) && !with("Id", json!("x".repeat(65))) && !with("Id", json!("")));
    for (seconds, fits) in [(0, false), (1, true), (31_622_400, true), (31_622_401, false)] {
        assert_eq!(with("StepOptions", json!({"NextAttemptDelaySeconds": seconds})), fits, "{seconds}");
        assert_eq!(with("WaitOptions", json!({"WaitSeconds": seconds})), fits, "{seconds}");
    }
    for (seconds, fits) in [(-1, false), (0, true), (99_999_999, true), (100_000_000, false)] {
        assert_eq!(with("CallbackOptions", json!({"TimeoutSeconds": seconds})), fits, "{seconds}");
        assert_eq!(with("CallbackOptions", json!({"HeartbeatTimeoutSeconds": seconds})), fits, "{seconds}");
    }
    assert!(!with("Error", json!({"ErrorMessage": "x".repeat(32 * 1024)})));
}

#[test]
fn a_callback_ends_once() {
    let open = callback(json!({"TimeoutSeconds": 5}));
    assert_eq!((open.callback_id.as_deref(), open.due), (Some("cb"), Some(at(15))));
    let called = open.called_back(Ok(Some("1".into())), at(11)).unwrap();
    assert_eq!((called.status, called.due_at(at(99))), (Status::Succeeded, None));
    assert_eq!(called.called_back(Ok(None), at(12)), None);
    assert_eq!(called.alive(at(12)), None);
    let late = open.due_at(at(15)).unwrap();
    assert_eq!((late.status, late.called_back(Ok(None), at(16))), (Status::TimedOut, None));
    assert_eq!(late.error, Some(ErrorObject::new("Callback.Timeout", "Callback timed out")));
}

#[test]
fn a_callback_without_a_timeout_waits_indefinitely() {
    let open = apply(None, start("CALLBACK")).unwrap();
    assert_eq!((open.due, open.due_at(Timestamp::MAX)), (None, None));
}

#[test]
fn a_heartbeat_extends_the_heartbeat_timeout_only() {
    let open = callback(json!({"TimeoutSeconds": 20, "HeartbeatTimeoutSeconds": 5}));
    assert_eq!(open.due, Some(at(15)));
    let silent = open.due_at(at(15)).unwrap();
    let error = silent.error.unwrap();
    assert_eq!(error.error_type.as_deref(), Some("Callback.Heartbeat"));
    let alive = open.alive(at(14)).unwrap();
    assert_eq!(alive.due, Some(at(19)));
    let alive = alive.alive(at(28)).unwrap();
    assert_eq!(alive.due, Some(at(30)), "the timeout stays");
    let error = alive.due_at(at(30)).unwrap().error.unwrap();
    assert_eq!(error.error_type.as_deref(), Some("Callback.Timeout"));
}

#[test]
fn an_operation_of_an_older_stack_can_be_read() {
    let row = r#"{"id":"1","parentId":null,"name":"w","kind":"WAIT","subType":"Wait","status":"STARTED",
        "startedAt":"2026-11-23T00:00:00Z","endedAt":null,"result":null,"error":null,"attempt":0,
        "due":"2026-11-23T00:00:05Z","callbackId":null,"replayChildren":false}"#;
    let wait: Operation = serde_json::from_str(row).unwrap();
    assert_eq!(wait.due_at("2026-11-23T00:00:05Z".parse().unwrap()).unwrap().status, Status::Succeeded);
    assert!(Happened::of(&wait, at(0), None).is_some());
}

#[test]
fn an_execution_of_an_older_stack_can_be_read() {
    let row = r#"{"arn":"arn:aws:lambda:us-east-1:000000000000:function:f:1/durable-execution/n/i","function":"f","version":"1",
        "name":"n","status":"RUNNING","result":null,"error":null,"startedAt":"2026-11-23T00:00:00Z","endedAt":null,
        "timesOutAt":"2026-11-24T00:00:00Z","token":3,"touched":2,"seen":1,"failures":0,"owedAt":"2026-11-23T00:00:05Z",
        "lastCheckpoint":{"clientToken":"c","checkpointToken":"t","answer":{"CheckpointToken":"u"}}}"#;
    let mut row: Value = serde_json::from_str(row).unwrap();
    let execution: Execution = serde_json::from_value(row.clone()).unwrap();
    assert_eq!((execution.id(), execution.status), ("i", ExecutionStatus::Running));
    assert_eq!((execution.token, execution.touched, execution.seen), (3, 2, 1));
    assert_eq!(execution.owed_at, Some("2026-11-23T00:00:05Z".parse().unwrap()));
    let answer = serde_json::to_value(execution.last_checkpoint.unwrap().answer).unwrap();
    assert_eq!(answer, json!({"CheckpointToken": "u"}));
    assert_eq!((execution.positions, execution.retention_days, execution.parent), (None, None, None));

    let mut later = json!({"stirred": true, "events": 5, "operations": 4, "positions": 2, "written": 9, "retentionDays": 7,
        "parent": {"arn": "a", "operation": "o"}, "trace": "t"});
    row.as_object_mut().unwrap().append(later.as_object_mut().unwrap());
    let execution: Execution = serde_json::from_value(row).unwrap();
    assert!(execution.stirred);
    assert_eq!((execution.events, execution.operations, execution.written), (5, 4, 9));
    assert_eq!((execution.positions, execution.retention_days), (Some(2), Some(7)));
    assert_eq!((execution.parent.unwrap().operation, execution.trace.unwrap()), ("o".into(), "t".into()));
}

#[test]
fn a_step_counts_once_and_once_more_for_each_retry() {
    let started = apply(None, step("START")).unwrap();
    let costs = |json: Value, current| update(json).costs(current);
    assert_eq!(costs(step("START"), None), 1);
    assert_eq!(costs(step("SUCCEED"), None), 1, "begun and ended in one");
    assert_eq!(costs(step("SUCCEED"), Some(&started)), 0);
    assert_eq!(costs(step("RETRY"), Some(&started)), 1);
}

/// Durable executions of two functions, `f` and `g`, which are never invoked.
fn engine(directory: &Path) -> (Db, Functions, Durable) {
    let db = Db::open(&directory.join("db"), &[SCHEMA, logs::SCHEMA, events::SCHEMA]).unwrap();
    let events = Events::new(db.clone(), Clock::default(), Faults::default(), vec![]).unwrap();
    let function = |name: &str| Function {
        name: name.into(),
        command: vec!["true".into()],
        environment: BTreeMap::new(),
        timeout: Duration::from_secs(1),
        memory: 128,
        alias: None,
        durable: Some(DurableConfig { execution_timeout: Duration::from_mins(1), retention_days: 1 }),
    };
    let declared = vec![function("f"), function("g")];
    let logs = Logs::new(db.clone(), Clock::default());
    let functions = Functions::new(declared, vec![], db.clone(), Clock::default(), &logs, Callers::default()).unwrap();
    let durable = Durable::new(db.clone(), Clock::default(), functions.clone(), events, Arc::new(Changes::new()));
    (db, functions, durable)
}

#[test]
fn a_closed_execution_and_its_name_are_deleted_after_the_retention() {
    let directory = tempfile::tempdir().unwrap();
    let (db, functions, durable) = engine(directory.path());
    let of = functions.qualified("f:1", None).unwrap();
    let start = |input| durable.start(&of, &Start { name: Some("n"), input, trace: None, parent: None });
    let arn = start("1").unwrap();
    assert_eq!(start("1").unwrap(), arn);
    assert_eq!(start("2").unwrap_err().code, "DurableExecutionAlreadyStartedException");
    let forget = |hours: i64| {
        let now = Clock::default().now().checked_add(hours.hours()).unwrap();
        db.transact(|tx| store::forget(tx, now)).unwrap();
    };
    forget(9_999);
    assert!(durable.get(&arn).is_ok(), "it runs");
    durable.stop(&arn, None).unwrap();
    forget(23);
    let kept = serde_json::to_value(durable.get(&arn).unwrap()).unwrap();
    assert_eq!(kept["Status"], "STOPPED");
    forget(25);
    assert_eq!(durable.get(&arn).unwrap_err().code, "ResourceNotFoundException");
    assert_ne!(start("2").unwrap(), arn);
}

#[test]
fn many_pending_invocations_wait_on_disk_without_delaying_other_functions() {
    let directory = tempfile::tempdir().unwrap();
    let (db, functions, durable) = engine(directory.path());
    let start = |function: &str| {
        let of = functions.qualified(function, Some("1")).unwrap();
        durable.start(&of, &Start { name: None, input: "1", trace: None, parent: None }).unwrap()
    };
    let slow: Vec<_> = (0..200).map(|_| start("f")).collect();
    let other = [start("g")];
    let owed = |taken: &[String]| {
        let taken = taken.iter().cloned().collect();
        db.transact(|tx| store::owed(tx, &taken, Clock::default().now())).unwrap()
    };
    assert_eq!(owed(&[]), [&slow[..64], &other].concat());
    assert_eq!(owed(&[&slow[..64], &other].concat()), Vec::<String>::new());
    durable.stop(&slow[0], None).unwrap();
    assert_eq!(owed(&[&slow[1..64], &other].concat()), &slow[64..65]);
}
