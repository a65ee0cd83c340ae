//! `CheckpointDurableExecution` and `GetDurableExecutionState`: what a running function records and reads.

use std::collections::HashMap;

use axum::http::StatusCode;
use jiff::Timestamp;
use rusqlite::Transaction;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Durable, load,
    operation::{Action, Kind, Refusal, Update},
    store::{self, Answered, Execution, ExecutionStatus},
    wire::{self, CallbackId, CheckpointToken},
};
use crate::wire::AwsError;

/// The body of `CheckpointDurableExecution`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Checkpoint {
    #[serde(rename = "CheckpointToken")]
    pub(crate) token: String,
    #[serde(default)]
    pub(crate) updates: Vec<Update>,
    pub(crate) client_token: Option<String>,
}

/// Operations in one page of a state, if the caller does not say.
const PAGE: usize = 100;

/// Most operations in one page of a state.
const LARGEST_PAGE: usize = 1_000;

impl Durable {
    /// Applies all updates or none. The answer carries the next token and every operation that changed without the function
    /// knowing; a checkpoint that is sent again is answered again.
    pub(crate) fn checkpoint(&self, arn: &str, checkpoint: &Checkpoint) -> Result<Value, AwsError> {
        let now = self.0.clock.now();
        let answer = self.0.db.transact(|tx| {
            let mut execution = load(tx, arn)?;
            if let Some(answered) = sent_again(&execution, checkpoint) {
                return Ok(answered);
            }
            self.check_token(&execution, &checkpoint.token)?;
            fits_together(&checkpoint.updates).map_err(refused)?;
            for update in &checkpoint.updates {
                apply(tx, &mut execution, update, now)?;
            }
            // What came due meanwhile is told now: a function that goes on working need not be invoked for it.
            let due = store::due(tx, now)?.into_iter().filter(|(owner, _)| owner == arn);
            for changed in due.filter_map(|(_, waiting)| waiting.due_at(now)) {
                store::put(tx, &mut execution, &changed)?;
            }
            let news = store::operations_since(tx, arn, execution.seen)?;
            execution.seen = execution.touched;
            execution.token += 1;
            let answer = json!({
                "CheckpointToken": CheckpointToken::of(&execution),
                "NewExecutionState": { "Operations": news.iter().map(wire::operation).collect::<Vec<_>>() },
            });
            execution.last_checkpoint = checkpoint.client_token.clone().map(|client_token| Answered {
                client_token,
                checkpoint_token: checkpoint.token.clone(),
                answer: answer.clone(),
            });
            store::save(tx, &execution)?;
            Ok::<_, AwsError>(answer)
        })?;
        // A timer may have been set that is due before everything else.
        self.0.changed.notify_one();
        Ok(answer)
    }

    /// One page of an execution's operations, the execution itself first.
    pub(crate) fn state(
        &self,
        arn: &str,
        token: &str,
        marker: Option<&str>,
        max_items: Option<usize>,
    ) -> Result<Value, AwsError> {
        let from = marker.filter(|marker| !marker.is_empty()).map_or(Ok(0), str::parse::<usize>);
        let from = from.map_err(|_| refused("Invalid marker."))?;
        let page = max_items.filter(|items| *items > 0).unwrap_or(PAGE).min(LARGEST_PAGE);
        self.0.db.transact(|tx| {
            let execution = load(tx, arn)?;
            self.check_token(&execution, token)?;
            let mut all = vec![wire::execution_operation(&execution)];
            all.extend(store::operations_since(tx, arn, 0)?.iter().map(wire::operation));
            let more = all.len() > from + page;
            let shown: Vec<_> = all.into_iter().skip(from).take(page).collect();
            let mut answer = json!({ "Operations": shown });
            if let (true, Some(answer)) = (more, answer.as_object_mut()) {
                answer.insert("NextMarker".into(), json!((from + page).to_string()));
            }
            Ok(answer)
        })
    }

    /// Only the invocation that is under way may write, and only from the newest state.
    fn check_token(&self, execution: &Execution, token: &str) -> Result<(), AwsError> {
        let running = execution.status == ExecutionStatus::Running && self.active().contains(&execution.arn);
        if running && token == CheckpointToken::of(execution) {
            return Ok(());
        }
        // The SDKs know a stale token by the beginning of this message.
        Err(refused("Invalid Checkpoint Token"))
    }
}

fn sent_again(execution: &Execution, checkpoint: &Checkpoint) -> Option<Value> {
    let last = execution.last_checkpoint.as_ref()?;
    let same =
        checkpoint.client_token.as_ref() == Some(&last.client_token) && checkpoint.token == last.checkpoint_token;
    same.then(|| last.answer.clone())
}

fn apply(tx: &Transaction<'_>, execution: &mut Execution, update: &Update, now: Timestamp) -> Result<(), AwsError> {
    if let Some(parent) = &update.parent_id {
        let parent = store::operation(tx, &execution.arn, parent)?;
        if parent.is_none_or(|parent| parent.kind != Kind::Context) {
            return Err(refused("Invalid parent operation id."));
        }
    }
    let current = store::operation(tx, &execution.arn, &update.id)?;
    let callback_id = CallbackId::of(&execution.arn, &update.id);
    let next = update.apply(current.as_ref(), &callback_id, now).map_err(refused)?;
    Ok(store::put(tx, execution, &next)?)
}

/// One update for each operation, but that a step or a context may begin and end in one checkpoint.
fn fits_together(updates: &[Update]) -> Result<(), Refusal> {
    let mut last: HashMap<&str, &Update> = HashMap::new();
    for update in updates {
        if let Some(before) = last.insert(&update.id, update) {
            let two_parts = matches!(before.kind, Kind::Step | Kind::Context);
            if !two_parts || before.action != Action::Start || update.action == Action::Start {
                return Err("Cannot checkpoint multiple operations with the same ID.");
            }
        }
    }
    Ok(())
}

fn refused(why: Refusal) -> AwsError {
    AwsError { status: StatusCode::BAD_REQUEST, code: "InvalidParameterValueException", message: why.to_owned() }
}
