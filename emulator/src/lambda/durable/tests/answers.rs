//! The exact form of every response, and of what a function receives.

use serde::Serialize;
use serde_json::Map;

use super::{
    super::{checkpoint::Checkpoint, history, invocation, listing, load, wire},
    *,
};
use crate::{golden::fixed, wire::AwsError};

fn shown(response: impl Serialize) -> Value {
    fixed(serde_json::to_value(response).unwrap())
}

/// The execution for which checkpoints are sent.
struct Invocation {
    db: Db,
    durable: Durable,
    arn: String,
}

impl Invocation {
    fn token(&self) -> String {
        let execution = self.db.transact(|tx| load(tx, &self.arn)).unwrap();
        wire::CheckpointToken::of(&execution)
    }

    fn checkpoint(&self, updates: &Value) -> Value {
        let checkpoint = json!({ "CheckpointToken": self.token(), "Updates": updates, "ClientToken": "c" });
        let checkpoint: Checkpoint = serde_json::from_value(checkpoint).unwrap();
        let response = shown(self.durable.checkpoint(&self.arn, &checkpoint).unwrap());
        assert_eq!(response, shown(self.durable.checkpoint(&self.arn, &checkpoint).unwrap()), "sent again");
        response
    }
}

/// One operation of each kind, and some that end at once.
fn beginnings() -> Value {
    let error = json!({ "ErrorType": "T", "ErrorMessage": "m", "ErrorData": "d", "StackTrace": ["s"] });
    json!([
        { "Id": "context", "Type": "CONTEXT", "Action": "START", "Name": "c", "SubType": "RunInChildContext" },
        { "Id": "replayed", "Type": "CONTEXT", "Action": "START" },
        { "Id": "failing", "Type": "CONTEXT", "Action": "START" },
        { "Id": "step", "Type": "STEP", "Action": "START", "Name": "s", "SubType": "Step", "ParentId": "context" },
        { "Id": "poll", "Type": "STEP", "Action": "START" },
        { "Id": "done", "Type": "STEP", "Action": "SUCCEED", "Payload": "1" },
        { "Id": "failed", "Type": "STEP", "Action": "FAIL", "Error": error },
        { "Id": "wait", "Type": "WAIT", "Action": "START", "WaitOptions": { "WaitSeconds": 5 } },
        { "Id": "cancelled", "Type": "WAIT", "Action": "START", "WaitOptions": { "WaitSeconds": 5 } },
        { "Id": "callback", "Type": "CALLBACK", "Action": "START",
          "CallbackOptions": { "TimeoutSeconds": 9, "HeartbeatTimeoutSeconds": 4 } },
        { "Id": "answered", "Type": "CALLBACK", "Action": "START" },
        { "Id": "invoke", "Type": "CHAINED_INVOKE", "Action": "START", "Payload": "2",
          "ChainedInvokeOptions": { "FunctionName": "g:1", "TenantId": "t" } },
        { "Id": "nobody", "Type": "CHAINED_INVOKE", "Action": "START",
          "ChainedInvokeOptions": { "FunctionName": "nobody" } },
    ])
}

/// Updates that retry, cancel or end some of the operations of `beginnings`.
fn ends() -> Value {
    let error = json!({ "ErrorType": "T", "ErrorMessage": "m", "ErrorData": "d", "StackTrace": ["s"] });
    let later = json!({ "NextAttemptDelaySeconds": 7 });
    json!([
        { "Id": "step", "Type": "STEP", "Action": "RETRY", "Name": "s", "SubType": "Step", "ParentId": "context",
          "Error": error, "StepOptions": later },
        { "Id": "poll", "Type": "STEP", "Action": "RETRY", "Payload": "3", "StepOptions": later },
        { "Id": "cancelled", "Type": "WAIT", "Action": "CANCEL" },
        { "Id": "replayed", "Type": "CONTEXT", "Action": "SUCCEED", "Payload": "4",
          "ContextOptions": { "ReplayChildren": true } },
        { "Id": "failing", "Type": "CONTEXT", "Action": "FAIL", "Error": error },
    ])
}

#[test]
fn every_response_has_the_form_of_the_api() {
    let directory = tempfile::tempdir().unwrap();
    let (db, functions, durable) = engine(directory.path());
    let of = functions.qualified("f:1", None).unwrap();
    let start = |name| {
        let start = Start { name: Some(name), input: r#"{"in":1}"#, trace: Some("Root=1-a"), parent: None };
        durable.start(&of, &start).unwrap()
    };
    let arn = start("n");
    durable.active().insert(arn.clone());
    let invocation = Invocation { db: db.clone(), durable: durable.clone(), arn: arn.clone() };
    let mut responses = Map::new();
    let mut keep = |name: &str, response: Value| drop(responses.insert(name.to_owned(), response));

    keep("CheckpointDurableExecution, of beginnings", invocation.checkpoint(&beginnings()));
    keep("CheckpointDurableExecution, of ends", invocation.checkpoint(&ends()));
    durable.call_back(&wire::CallbackId::of(&arn, "answered"), Ok(Some("5".into()))).unwrap();
    let page = durable.state(&arn, &invocation.token(), None, Some(2)).unwrap();
    keep("GetDurableExecutionState, a page", shown(page));
    let state = durable.state(&arn, &invocation.token(), Some("12"), None).unwrap();
    keep("GetDurableExecutionState, the last page", shown(state));

    let request = db.transact(|tx| invocation::begin(tx, &arn)).unwrap().unwrap();
    let mut received: Value = serde_json::from_slice(&request.payload).unwrap();
    let ids = received["UpdatedOperationIds"].as_array_mut().unwrap();
    ids.sort_by_key(Value::to_string);
    keep("what the function receives", fixed(received));

    keep("GetDurableExecution, of a running one", shown(durable.get(&arn).unwrap()));
    let history = |with_data, newest_first, max_items| {
        let wanted = history::Wanted { with_data, newest_first, marker: None, max_items };
        shown(durable.history(&arn, &wanted).unwrap())
    };
    keep("GetDurableExecutionHistory", history(true, false, None));
    keep("GetDurableExecutionHistory, without data", history(false, false, None));
    keep("GetDurableExecutionHistory, a page", history(true, true, Some(1)));
    keep("StopDurableExecution", shown(durable.stop(&arn, None).unwrap()));
    keep("GetDurableExecution, of a stopped one", shown(durable.get(&arn).unwrap()));

    let other = start("o");
    let end = |how: fn(&mut Execution)| {
        let ended = |tx: &rusqlite::Transaction<'_>| {
            let mut execution = load(tx, &other)?;
            how(&mut execution);
            store::save(tx, &execution)?;
            Ok::<_, AwsError>(execution)
        };
        db.transact(ended).unwrap()
    };
    let succeeded = end(|execution| {
        execution.status = ExecutionStatus::Succeeded;
        execution.result = Some("6".into());
        execution.ended_at = Some(execution.started_at);
    });
    keep("GetDurableExecution, of a succeeded one", shown(durable.get(&other).unwrap()));
    keep("the event about an execution's end", shown(wire::StatusChange::from(&succeeded)));
    let wanted = listing::Wanted { newest_first: true, max_items: Some(1), ..listing::Wanted::default() };
    keep("ListDurableExecutionsByFunction, a page", shown(durable.list(&of, &wanted).unwrap()));
    let wanted = listing::Wanted { name: Some("n".into()), ..listing::Wanted::default() };
    keep("ListDurableExecutionsByFunction", shown(durable.list(&of, &wanted).unwrap()));
    insta::assert_json_snapshot!(responses);
}

/// The events that no checkpoint alone causes.
#[test]
fn an_event_shows_how_an_operation_or_an_execution_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (db, functions, durable) = engine(directory.path());
    let of = functions.qualified("f:1", None).unwrap();
    let arn = durable.start(&of, &Start { name: Some("n"), input: "1", trace: None, parent: None }).unwrap();
    let mut execution = db.transact(|tx| load(tx, &arn)).unwrap();
    let error = ErrorObject::new("T", "m");
    let mut append = |event: Happened, of: Option<&Operation>| {
        db.transact(|tx| history::append(tx, &mut execution, of, event)).unwrap();
    };
    let open = callback(json!({ "TimeoutSeconds": 5 }));
    let mut chained = start("CHAINED_INVOKE");
    chained["ChainedInvokeOptions"] = json!({ "FunctionName": "g" });
    let chained = apply(None, chained).unwrap();
    let mut wait = start("WAIT");
    wait["WaitOptions"] = json!({ "WaitSeconds": 1 });
    let wait = apply(None, wait).unwrap();
    let ends = [
        open.called_back(Ok(None), at(1)),
        open.called_back(Err(error.clone()), at(1)),
        open.due_at(at(99)),
        wait.due_at(at(99)),
        chained.answered(Status::Succeeded, Ok(Some("1".into())), at(1)),
        chained.answered(Status::Failed, Err(error.clone()), at(1)),
        chained.answered(Status::TimedOut, Err(error.clone()), at(1)),
        chained.answered(Status::Stopped, Err(error.clone()), at(1)),
    ];
    for operation in ends.into_iter().flatten() {
        append(Happened::of(&operation, at(2), None).unwrap(), Some(&operation));
    }
    append(Happened::invocation_completed(at(1), at(2), "r", None), None);
    append(Happened::invocation_completed(at(1), at(2), "r", Some(&error)), None);
    let of_execution = db.transact(|tx| load(tx, &arn)).unwrap();
    for status in
        [ExecutionStatus::Succeeded, ExecutionStatus::Failed, ExecutionStatus::TimedOut, ExecutionStatus::Stopped]
    {
        let failed = status != ExecutionStatus::Succeeded;
        let ended = Execution {
            status,
            result: (!failed).then(|| "1".into()),
            error: failed.then(|| error.clone()),
            ..of_execution.clone()
        };
        append(Happened::execution_ended(&ended, at(3)).unwrap(), None);
    }
    let all = durable.history(&arn, &history::Wanted { with_data: true, ..history::Wanted::default() }).unwrap();
    insta::assert_json_snapshot!(shown(all));
}
