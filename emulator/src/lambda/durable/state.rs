//! The state that a function replays from: what is sent with an invocation, and `GetDurableExecutionState` for the rest.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::Transaction;

use super::{
    Durable, load,
    operation::Operation,
    store::{self, Execution},
    wire::Operations,
};
use crate::{
    lambda::{
        arn,
        limits::{self, invalid},
    },
    wire::{AwsError, Seconds},
};

/// The default number of operations in one page.
const PAGE: usize = 100;

/// The maximum number of operations in one page.
const LARGEST_PAGE: usize = 1_000;

impl Durable {
    /// One page of an execution's operations, the execution itself first.
    pub(crate) fn state(
        &self,
        arn: &str,
        token: &str,
        marker: Option<&str>,
        max_items: Option<usize>,
    ) -> Result<Operations<Seconds>, AwsError> {
        arn::check_execution(arn)?;
        let from = limits::marker(marker)?.unwrap_or(0);
        let most = max_items.filter(|items| *items > 0).unwrap_or(PAGE).min(LARGEST_PAGE);
        self.0.db.transact(|tx| {
            let execution = load(tx, arn)?;
            self.check_token(&execution, token)?;
            let all = replayed(tx, &execution)?;
            if from > all.len() + 1 {
                return Err(invalid("Invalid marker."));
            }
            Ok(Page::of(&execution, &all, from, most).shown())
        })
    }
}

/// The operations that a function replays from, in the order in which they began, without those inside a context that has ended and
/// whose result is known.
pub(super) fn replayed(tx: &Transaction<'_>, execution: &Execution) -> rusqlite::Result<Vec<Operation>> {
    let all = store::operations_since(tx, &execution.arn, 0)?;
    let contexts: HashMap<&str, &Operation> = all.iter().map(|operation| (operation.id.as_str(), operation)).collect();
    let hidden = |operation: &Operation| {
        let parent_of = |operation: &Operation| contexts.get(operation.parent_id.as_deref()?).copied();
        // A parent began before its child, so there are no cycles.
        std::iter::successors(parent_of(operation), |parent| parent_of(parent)).any(Operation::hides_children)
    };
    let kept: Vec<bool> = all.iter().map(|operation| !hidden(operation)).collect();
    Ok(all.into_iter().zip(kept).filter_map(|(operation, kept)| kept.then_some(operation)).collect())
}

/// As many operations as fit. Number 0 is the execution itself.
#[derive(Debug)]
pub(super) struct Page<'a> {
    execution: Option<&'a Execution>,
    operations: &'a [Operation],
    next: Option<usize>,
}

impl<'a> Page<'a> {
    pub(super) fn of(execution: &'a Execution, all: &'a [Operation], from: usize, most: usize) -> Self {
        let with_execution = from == 0;
        let first = from.saturating_sub(1);
        let rest = all.get(first..).unwrap_or_default();
        let (mut count, mut bytes) = (0, if with_execution { execution.input.len() } else { 0 });
        for operation in rest {
            bytes += operation.bytes();
            let full = count + usize::from(with_execution) >= most || bytes > limits::PAGE_BYTES;
            // An otherwise empty page gets one operation, however large, so that there is progress.
            if full && (count > 0 || with_execution) {
                break;
            }
            count += 1;
        }
        let next = (first + count < all.len()).then_some(first + count + 1);
        let execution = Some(execution).filter(|_| with_execution);
        Self { execution, operations: rest.get(..count).unwrap_or_default(), next }
    }

    pub(super) fn shown<T: From<Timestamp>>(&self) -> Operations<T> {
        Operations {
            operations: self
                .execution
                .map(Into::into)
                .into_iter()
                .chain(self.operations.iter().map(Into::into))
                .collect(),
            next_marker: self.next.map(|next| next.to_string()),
        }
    }
}
