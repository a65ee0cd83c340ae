//! What a checkpoint may do to an operation.
//!
//! **Invariant**: pure. The errors and their messages are those of AWS's own test engine (`aws-durable-execution-sdk-python-testing`, its
//! `checkpoint/validators`), the best public source about the service's behaviour.

use std::{borrow::Cow, collections::HashMap};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::operation::{ErrorObject, Kind, Operation, Status, Timeouts, after};
use crate::{
    identity::{ACCOUNT, REGION},
    lambda::{arn::Target, limits},
    wire::AwsError,
};

/// The action of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Action {
    Start,
    Succeed,
    Fail,
    Retry,
    Cancel,
}

/// One change in a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Update {
    pub(crate) id: String,
    pub(crate) parent_id: Option<String>,
    pub(crate) name: Option<String>,
    #[serde(rename = "Type")]
    pub(crate) kind: Kind,
    pub(crate) sub_type: Option<String>,
    pub(crate) action: Action,
    pub(crate) payload: Option<String>,
    pub(crate) error: Option<ErrorObject>,
    pub(crate) context_options: Option<ContextOptions>,
    pub(crate) step_options: Option<StepOptions>,
    pub(crate) wait_options: Option<WaitOptions>,
    pub(crate) callback_options: Option<CallbackOptions>,
    pub(crate) chained_invoke_options: Option<ChainedInvokeOptions>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ContextOptions {
    #[serde(default)]
    pub(crate) replay_children: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StepOptions {
    pub(crate) next_attempt_delay_seconds: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WaitOptions {
    pub(crate) wait_seconds: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct CallbackOptions {
    pub(crate) timeout_seconds: i64,
    pub(crate) heartbeat_timeout_seconds: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChainedInvokeOptions {
    pub(crate) function_name: String,
    pub(crate) tenant_id: Option<String>,
}

/// Why an update is refused. The service answers it as an `InvalidParameterValueException`.
pub(crate) type Refusal = Cow<'static, str>;

const WRONG_ACTION: Refusal = Cow::Borrowed("Invalid action for the given operation type.");

/// Refuses updates that cannot be combined. Each operation may have one update, except that a step or a context may begin and end in the
/// same checkpoint. The execution may end once, in the last update.
pub(crate) fn fit_together(updates: &[Update]) -> Result<(), Refusal> {
    let ends = updates.iter().filter(|update| update.kind == Kind::Execution).count();
    if ends > 1 {
        return Err("Cannot checkpoint multiple EXECUTION updates.".into());
    }
    if ends == 1 && updates.last().is_some_and(|last| last.kind != Kind::Execution) {
        return Err("EXECUTION checkpoint must be the last update.".into());
    }
    let mut last: HashMap<&str, &Update> = HashMap::new();
    for update in updates {
        if let Some(before) = last.insert(&update.id, update) {
            let two_parts = matches!(before.kind, Kind::Step | Kind::Context);
            if !two_parts || before.action != Action::Start || update.action == Action::Start {
                return Err("Cannot checkpoint multiple operations with the same ID.".into());
            }
        }
    }
    Ok(())
}

impl Update {
    /// Refuses what the service's model does not allow, whatever the operation is.
    pub(crate) fn check(&self) -> Result<(), AwsError> {
        limits::OPERATION_ID.check("id", &self.id)?;
        for (member, text, value) in [
            ("parentId", limits::OPERATION_ID, &self.parent_id),
            ("name", limits::OPERATION_NAME, &self.name),
            ("subType", limits::SUB_TYPE, &self.sub_type),
        ] {
            value.as_ref().map_or(Ok(()), |value| text.check(member, value))?;
        }
        if self.payload.as_ref().is_some_and(|payload| payload.len() > limits::OPERATION_BYTES) {
            return Err(limits::invalid(format!("Payload size must be less than {} bytes.", limits::OPERATION_BYTES)));
        }
        if self.error.as_ref().is_some_and(|error| error.bytes() > limits::ERROR_BYTES) {
            return Err(limits::invalid(format!("Error object size must be less than {} bytes.", limits::ERROR_BYTES)));
        }
        if let Some(seconds) = self.step_options.as_ref().and_then(|options| options.next_attempt_delay_seconds) {
            limits::within("nextAttemptDelaySeconds", seconds, &limits::DURATION_SECONDS)?;
        }
        if let Some(seconds) = self.wait_options.as_ref().and_then(|options| options.wait_seconds) {
            limits::within("waitSeconds", seconds, &limits::DURATION_SECONDS)?;
        }
        if let Some(options) = &self.callback_options {
            limits::within("timeoutSeconds", options.timeout_seconds, &limits::CALLBACK_SECONDS)?;
            limits::within("heartbeatTimeoutSeconds", options.heartbeat_timeout_seconds, &limits::CALLBACK_SECONDS)?;
        }
        Ok(())
    }

    /// Whether it affects only its own execution: it sets no timer, starts nothing, and ends nothing that others wait for.
    pub(crate) fn is_quiet(&self) -> bool {
        match self.kind {
            Kind::Context => true,
            Kind::Step => self.action != Action::Retry,
            Kind::Execution | Kind::Wait | Kind::Callback | Kind::ChainedInvoke => false,
        }
    }

    /// What it writes, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, String::len) + self.error.as_ref().map_or(0, ErrorObject::bytes)
    }

    /// How many operations it counts as: one for a beginning, and one for each further attempt.
    pub(crate) fn costs(&self, current: Option<&Operation>) -> u64 {
        let begins = current.is_none() && self.kind != Kind::Execution;
        u64::from(begins) + u64::from(self.action == Action::Retry)
    }

    /// The operation after the update, at `now`. `callback_id` is the callback's id if the operation is one.
    ///
    /// A chained invoke is only created here; the caller starts it. An EXECUTION update does not belong to an operation.
    pub(crate) fn apply(
        &self,
        current: Option<&Operation>,
        callback_id: &str,
        now: Timestamp,
    ) -> Result<Operation, Refusal> {
        if let Some(current) = current {
            self.matches(current)?;
        }
        match self.kind {
            Kind::Step => self.apply_to_step(current, now),
            Kind::Context => self.apply_to_context(current, now),
            Kind::Wait => self.apply_to_wait(current, now),
            Kind::Callback => self.apply_to_callback(current, callback_id, now),
            Kind::ChainedInvoke => self.apply_to_chained_invoke(current, now),
            Kind::Execution => Err(WRONG_ACTION),
        }
    }

    /// How an EXECUTION update ends the execution.
    pub(crate) fn ends_execution(&self) -> Result<Result<Option<String>, ErrorObject>, Refusal> {
        self.one_outcome()?;
        match self.action {
            Action::Succeed => Ok(Ok(self.payload.clone())),
            Action::Fail => Ok(Err(self.error.clone().unwrap_or_default())),
            Action::Start | Action::Retry | Action::Cancel => Err(WRONG_ACTION),
        }
    }

    fn one_outcome(&self) -> Result<(), Refusal> {
        if self.action == Action::Fail && self.payload.is_some() {
            return Err("Cannot provide a Payload for FAIL action.".into());
        }
        if self.action == Action::Succeed && self.error.is_some() {
            return Err("Cannot provide an Error for SUCCEED action.".into());
        }
        Ok(())
    }

    fn matches(&self, current: &Operation) -> Result<(), Refusal> {
        let other = |mine: &Option<String>, theirs: &Option<String>| mine.is_some() && mine != theirs;
        let wrong = if self.kind != current.kind {
            "Inconsistent operation type."
        } else if other(&self.sub_type, &current.sub_type) {
            "Inconsistent operation subtype."
        } else if other(&self.name, &current.name) {
            "Inconsistent operation name."
        } else if other(&self.parent_id, &current.parent_id) {
            "Inconsistent parent operation id."
        } else {
            return Ok(());
        };
        Err(wrong.into())
    }

    fn begun(&self, current: Option<&Operation>, status: Status, now: Timestamp) -> Operation {
        let kept = |mine: &Option<String>, of: fn(&Operation) -> &Option<String>| {
            mine.clone().or_else(|| current.and_then(|seen| of(seen).clone()))
        };
        Operation {
            id: self.id.clone(),
            parent_id: kept(&self.parent_id, |seen| &seen.parent_id),
            name: kept(&self.name, |seen| &seen.name),
            kind: self.kind,
            sub_type: kept(&self.sub_type, |seen| &seen.sub_type),
            status,
            started_at: current.map_or(now, |seen| seen.started_at),
            ended_at: None,
            result: self.payload.clone(),
            error: self.error.clone(),
            attempt: current.map_or(0, |seen| seen.attempt),
            due: None,
            callback_id: None,
            replay_children: false,
            scheduled_end: current.and_then(|seen| seen.scheduled_end),
            timeouts: None,
            invoked: None,
        }
    }

    fn ended(&self, current: Option<&Operation>, status: Status, now: Timestamp) -> Operation {
        Operation { ended_at: Some(now), ..self.begun(current, status, now) }
    }

    fn apply_to_step(&self, current: Option<&Operation>, now: Timestamp) -> Result<Operation, Refusal> {
        let status = current.map(|seen| seen.status);
        let open = matches!(status, None | Some(Status::Started | Status::Ready));
        match self.action {
            Action::Start if matches!(status, None | Some(Status::Ready)) => {
                // The next attempt can read the previous one's result and error.
                let kept = current.map(|seen| (seen.result.clone(), seen.error.clone()));
                let (result, error) = kept.unwrap_or_else(|| (self.payload.clone(), self.error.clone()));
                Ok(Operation { result, error, ..self.begun(current, Status::Started, now) })
            }
            Action::Start => Err("Invalid current STEP state to start.".into()),
            Action::Succeed | Action::Fail if !open => Err("Invalid current STEP state to close.".into()),
            Action::Succeed | Action::Fail => {
                self.one_outcome()?;
                let status = if self.action == Action::Succeed { Status::Succeeded } else { Status::Failed };
                Ok(tried(self.ended(current, status, now)))
            }
            Action::Retry if !open => Err("Invalid current STEP state to re-attempt.".into()),
            Action::Retry => {
                let delay = self.step_options.as_ref().and_then(|options| options.next_attempt_delay_seconds);
                let delay = delay.ok_or("Invalid StepOptions for the given action.")?;
                if self.error.is_some() && self.payload.is_some() {
                    return Err("Cannot provide both error and payload to RETRY a STEP.".into());
                }
                Ok(Operation { due: Some(after(now, delay)), ..tried(self.begun(current, Status::Pending, now)) })
            }
            Action::Cancel => Err(WRONG_ACTION),
        }
    }

    fn apply_to_context(&self, current: Option<&Operation>, now: Timestamp) -> Result<Operation, Refusal> {
        let open = current.is_none_or(|seen| seen.status == Status::Started);
        let replay_children = self.context_options.as_ref().is_some_and(|options| options.replay_children);
        match self.action {
            Action::Start if current.is_none() => Ok(self.begun(current, Status::Started, now)),
            Action::Start => Err("Cannot start a CONTEXT that already exist.".into()),
            Action::Succeed | Action::Fail if !open => Err("Invalid current CONTEXT state to close.".into()),
            Action::Succeed | Action::Fail => {
                self.one_outcome()?;
                let status = if self.action == Action::Succeed { Status::Succeeded } else { Status::Failed };
                Ok(Operation { replay_children, ..self.ended(current, status, now) })
            }
            Action::Retry | Action::Cancel => Err(WRONG_ACTION),
        }
    }

    fn apply_to_wait(&self, current: Option<&Operation>, now: Timestamp) -> Result<Operation, Refusal> {
        match self.action {
            Action::Start if current.is_some() => Err("Cannot start a WAIT that already exist.".into()),
            Action::Start => {
                let seconds = self.wait_options.as_ref().and_then(|options| options.wait_seconds);
                let end = Some(after(now, seconds.ok_or("Invalid WaitOptions for the given action.")?));
                Ok(Operation { due: end, scheduled_end: end, ..self.begun(current, Status::Started, now) })
            }
            Action::Cancel if current.is_some_and(|seen| seen.status == Status::Started) => {
                Ok(self.ended(current, Status::Cancelled, now))
            }
            Action::Cancel => Err("Cannot cancel a WAIT that does not exist or has already completed.".into()),
            Action::Succeed | Action::Fail | Action::Retry => Err(WRONG_ACTION),
        }
    }

    fn apply_to_callback(
        &self,
        current: Option<&Operation>,
        callback_id: &str,
        now: Timestamp,
    ) -> Result<Operation, Refusal> {
        match self.action {
            Action::Start if current.is_some() => Err("Cannot start a CALLBACK that already exist.".into()),
            Action::Start => {
                let options = self.callback_options.clone().unwrap_or_default();
                let timeouts = Timeouts::from(now, options.timeout_seconds, options.heartbeat_timeout_seconds);
                Ok(Operation {
                    due: timeouts.next(),
                    timeouts: Some(timeouts),
                    callback_id: Some(callback_id.to_owned()),
                    ..self.begun(current, Status::Started, now)
                })
            }
            Action::Succeed | Action::Fail | Action::Retry | Action::Cancel => Err(WRONG_ACTION),
        }
    }

    fn apply_to_chained_invoke(&self, current: Option<&Operation>, now: Timestamp) -> Result<Operation, Refusal> {
        if self.payload.as_ref().is_some_and(|payload| payload.len() > limits::EVENT_BYTES) {
            let most = limits::EVENT_BYTES;
            return Err(format!("CHAINED_INVOKE input payload size must be less than or equal to {most} bytes.").into());
        }
        if self.action != Action::Start {
            return Err(WRONG_ACTION);
        }
        if current.is_some() {
            return Err("Cannot start a CHAINED_INVOKE operation that already exists.".into());
        }
        let options = self.chained_invoke_options.as_ref();
        let options = options.ok_or("Update for CHAINED_INVOKE operation requires ChainedInvokeOptions.")?;
        let name = &options.function_name;
        let target = Target::read(name).ok_or_else(|| format!("Invalid function ARN '{name}'"))?;
        if target.account.is_some_and(|account| account != ACCOUNT) {
            return Err("Cannot start a CHAINED_INVOKE on a function in another account.".into());
        }
        if target.region.is_some_and(|region| region != REGION) {
            return Err("Cannot start a CHAINED_INVOKE on a function in another region.".into());
        }
        if options.tenant_id.as_ref().is_some_and(|tenant| limits::TENANT.check("tenantId", tenant).is_err()) {
            return Err("TenantId must be 1 to 256 characters matching [a-zA-Z0-9._:/=+-@ ].".into());
        }
        Ok(Operation { result: None, ..self.begun(current, Status::Started, now) })
    }
}

fn tried(operation: Operation) -> Operation {
    Operation { attempt: operation.attempt + 1, ..operation }
}
