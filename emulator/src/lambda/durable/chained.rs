//! Chained invokes: one durable execution waits for another, or for a function that is not durable.
//!
//! The invoked execution begins in the transaction that records the operation, and its response is recorded in the transaction that ends
//! it. A crash in between therefore leaves no operation waiting forever.

use jiff::Timestamp;
use rusqlite::Transaction;

use super::{
    Change, Durable, change,
    operation::{ErrorObject, Invoked, Operation, Status},
    owe,
    start::Start,
    store::{self, Execution, ExecutionStatus, Parent},
    update::Update,
};
use crate::{
    lambda::{
        functions::LATEST,
        limits,
        queue::{self, Entry},
        runtime::Outcome,
    },
    wire::AwsError,
};

impl Durable {
    /// Begins a chained invoke. If the function does not exist, the operation fails at once, which the response to the checkpoint shows,
    /// and its input is not kept.
    pub(super) fn chain(
        &self,
        tx: &Transaction<'_>,
        execution: &mut Execution,
        update: &Update,
        operation: Operation,
        now: Timestamp,
    ) -> Result<(), AwsError> {
        let Some(options) = &update.chained_invoke_options else { return Ok(()) };
        let input = update.payload.as_deref().unwrap_or("{}");
        let (name, tenant_id) = (options.function_name.clone(), options.tenant_id.clone());
        let function = match self.0.functions.qualified(&name, None) {
            Ok(function) => function,
            Err(why) => {
                let invoked = Some(Invoked { function_name: name, tenant_id, version: None, execution: None });
                let operation = Operation { invoked, ..operation };
                change(tx, execution, &operation, Change::Begins, now)?;
                let failed = operation.answered(Status::Failed, Err(ErrorObject::new(why.code, why.message)), now);
                return failed.map_or(Ok(()), |failed| Ok(change(tx, execution, &failed, Change::GoesOn, now)?));
            }
        };
        let parent = Parent { arn: execution.arn.clone(), operation: update.id.clone() };
        let started = if function.durable().is_some() {
            let start = Start { input, trace: execution.trace.as_deref(), parent: Some(parent), name: None };
            Some(self.create(tx, &function, &start, now)?)
        } else {
            queue::push(tx, &Entry::chained(&function, input, parent, execution.trace.clone()), now)?;
            None
        };
        let version = (function.version != LATEST || function.explicit).then(|| function.version.clone());
        let invoked = Some(Invoked { function_name: name, tenant_id, version, execution: started });
        Ok(change(tx, execution, &Operation { invoked, ..operation }, Change::BeginsWith(input), now)?)
    }
}

/// Records the response to a chained invoke. If nothing waits for it any more, it is dropped.
pub(crate) fn answer(
    tx: &Transaction<'_>,
    to: &Parent,
    status: Status,
    answer: Result<Option<String>, ErrorObject>,
    now: Timestamp,
) -> Result<(), AwsError> {
    let Some(mut execution) = store::load(tx, &to.arn)? else { return Ok(()) };
    if execution.status != ExecutionStatus::Running {
        return Ok(());
    }
    let waiting = store::operation(tx, &to.arn, &to.operation)?;
    let Some(answered) = waiting.and_then(|operation| operation.answered(status, answer, now)) else { return Ok(()) };
    execution.written += answered.bytes() as u64;
    change(tx, &mut execution, &answered, Change::GoesOn, now)?;
    owe(&mut execution, now);
    Ok(store::save(tx, &execution)?)
}

/// The outcome of a chained invoke, from the response of a function that is not durable.
pub(crate) fn of_outcome(outcome: Outcome) -> (Status, Result<Option<String>, ErrorObject>) {
    let failed = |error| (Status::Failed, Err(error));
    match outcome {
        Outcome::Failed(error) => failed(error),
        Outcome::Answered(body) if body.len() > limits::EVENT_BYTES => {
            let most = limits::EVENT_BYTES;
            let why = format!("CHAINED_INVOKE output payload size must be less than or equal to {most} bytes.");
            failed(ErrorObject::message(why))
        }
        Outcome::Answered(body) => match String::from_utf8(body.into()) {
            Ok(text) => (Status::Succeeded, Ok((!text.is_empty()).then_some(text))),
            Err(_) => failed(ErrorObject::message("CHAINED_INVOKE response could not be decoded as UTF-8.")),
        },
    }
}
