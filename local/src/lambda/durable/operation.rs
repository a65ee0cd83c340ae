//! Operations of a durable execution, and what a checkpoint may do to them.
//!
//! **Invariant**: pure. What is refused, and in which words, is what AWS's own test engine refuses
//! (`aws-durable-execution-sdk-python-testing`, its `checkpoint/validators`), the best public word on what the service does.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Kind {
    Execution,
    Context,
    Step,
    Wait,
    Callback,
    ChainedInvoke,
}

/// What a checkpoint asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Action {
    Start,
    Succeed,
    Fail,
    Retry,
    Cancel,
}

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Status {
    Started,
    Pending,
    Ready,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
    Stopped,
}

/// An error, as functions and callers report it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ErrorObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_data: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stack_trace: Vec<String>,
}

impl ErrorObject {
    pub(crate) fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: Some(error_type.into()), error_message: Some(message.into()), ..Self::default() }
    }
}

/// One change that a checkpoint asks for.
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

/// An operation, as it is recorded. What only one kind has is absent in the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) parent_id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) sub_type: Option<String>,
    pub(crate) status: Status,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) result: Option<String>,
    pub(crate) error: Option<ErrorObject>,
    /// Tries of a step that have ended.
    #[serde(default)]
    pub(crate) attempt: u32,
    /// When time alone changes it: the end of a wait, the next try of a step, the timeout of a callback.
    pub(crate) due: Option<Timestamp>,
    pub(crate) callback_id: Option<String>,
    #[serde(default)]
    pub(crate) replay_children: bool,
}

/// Why an update is refused. The service answers it as an `InvalidParameterValueException`.
pub(crate) type Refusal = &'static str;

impl Update {
    /// What the update makes of the operation it names, at `now`. `callback_id` is the id of the callback, should it be one.
    pub(crate) fn apply(
        &self,
        current: Option<&Operation>,
        callback_id: &str,
        now: Timestamp,
    ) -> Result<Operation, Refusal> {
        if let Some(current) = current {
            self.matches(current)?;
        }
        if self.action == Action::Fail && self.payload.is_some() {
            return Err("Cannot provide a Payload for FAIL action.");
        }
        if self.action == Action::Succeed && self.error.is_some() {
            return Err("Cannot provide an Error for SUCCEED action.");
        }
        match self.kind {
            Kind::Step => self.apply_to_step(current, now),
            Kind::Context => self.apply_to_context(current, now),
            Kind::Wait => self.apply_to_wait(current, now),
            Kind::Callback => self.apply_to_callback(current, callback_id, now),
            Kind::Execution => Err("EXECUTION updates are not operations."),
            Kind::ChainedInvoke => Err("CHAINED_INVOKE is not available on the local stack."),
        }
    }

    fn matches(&self, current: &Operation) -> Result<(), Refusal> {
        if self.kind != current.kind {
            return Err("Inconsistent operation type.");
        }
        if self.sub_type.is_some() && self.sub_type != current.sub_type {
            return Err("Inconsistent operation subtype.");
        }
        if self.name.is_some() && self.name != current.name {
            return Err("Inconsistent operation name.");
        }
        if self.parent_id.is_some() && self.parent_id != current.parent_id {
            return Err("Inconsistent parent operation id.");
        }
        Ok(())
    }

    fn begun(&self, current: Option<&Operation>, status: Status, now: Timestamp) -> Operation {
        Operation {
            id: self.id.clone(),
            parent_id: self.parent_id.clone().or_else(|| current.and_then(|seen| seen.parent_id.clone())),
            name: self.name.clone().or_else(|| current.and_then(|seen| seen.name.clone())),
            kind: self.kind,
            sub_type: self.sub_type.clone().or_else(|| current.and_then(|seen| seen.sub_type.clone())),
            status,
            started_at: current.map_or(now, |seen| seen.started_at),
            ended_at: None,
            result: self.payload.clone(),
            error: self.error.clone(),
            attempt: current.map_or(0, |seen| seen.attempt),
            due: None,
            callback_id: current.and_then(|seen| seen.callback_id.clone()),
            replay_children: false,
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
                Ok(self.begun(current, Status::Started, now))
            }
            Action::Start => Err("Invalid current STEP state to start."),
            Action::Succeed | Action::Fail if !open => Err("Invalid current STEP state to close."),
            Action::Succeed => Ok(Self::tried(self.ended(current, Status::Succeeded, now))),
            Action::Fail => Ok(Self::tried(self.ended(current, Status::Failed, now))),
            Action::Retry if !open => Err("Invalid current STEP state to re-attempt."),
            Action::Retry if self.error.is_some() && self.payload.is_some() => {
                Err("Cannot provide both error and payload to RETRY a STEP.")
            }
            Action::Retry => {
                let delay = self.step_options.as_ref().and_then(|options| options.next_attempt_delay_seconds);
                let delay = delay.ok_or("Invalid StepOptions for the given action.")?;
                let due = Some(after(now, delay));
                Ok(Operation { due, ..Self::tried(self.begun(current, Status::Pending, now)) })
            }
            Action::Cancel => Err("Invalid action for the given operation type."),
        }
    }

    fn tried(operation: Operation) -> Operation {
        Operation { attempt: operation.attempt + 1, ..operation }
    }

    fn apply_to_context(&self, current: Option<&Operation>, now: Timestamp) -> Result<Operation, Refusal> {
        let open = current.is_none_or(|seen| seen.status == Status::Started);
        let replay_children = self.context_options.as_ref().is_some_and(|options| options.replay_children);
        match self.action {
            Action::Start if current.is_none() => Ok(self.begun(current, Status::Started, now)),
            Action::Start => Err("Cannot start a CONTEXT that already exist."),
            Action::Succeed | Action::Fail if !open => Err("Invalid current CONTEXT state to close."),
            Action::Succeed => Ok(Operation { replay_children, ..self.ended(current, Status::Succeeded, now) }),
            Action::Fail => Ok(self.ended(current, Status::Failed, now)),
            Action::Retry | Action::Cancel => Err("Invalid action for the given operation type."),
        }
    }

    fn apply_to_wait(&self, current: Option<&Operation>, now: Timestamp) -> Result<Operation, Refusal> {
        match self.action {
            Action::Start if current.is_some() => Err("Cannot start a WAIT that already exist."),
            Action::Start => {
                let seconds = self.wait_options.as_ref().and_then(|options| options.wait_seconds);
                let seconds = seconds.ok_or("Invalid WaitOptions for the given action.")?;
                Ok(Operation { due: Some(after(now, seconds)), ..self.begun(current, Status::Started, now) })
            }
            Action::Cancel if current.is_some_and(|seen| seen.status == Status::Started) => {
                Ok(self.ended(current, Status::Cancelled, now))
            }
            Action::Cancel => Err("Cannot cancel a WAIT that does not exist or has already completed."),
            Action::Succeed | Action::Fail | Action::Retry => Err("Invalid action for the given operation type."),
        }
    }

    fn apply_to_callback(
        &self,
        current: Option<&Operation>,
        callback_id: &str,
        now: Timestamp,
    ) -> Result<Operation, Refusal> {
        match self.action {
            Action::Start if current.is_some() => Err("Cannot start a CALLBACK that already exist."),
            Action::Start => {
                let timeout = self.callback_options.as_ref().map_or(0, |options| options.timeout_seconds);
                Ok(Operation {
                    // 0 is no timeout.
                    due: (timeout > 0).then(|| after(now, timeout)),
                    callback_id: Some(callback_id.to_owned()),
                    ..self.begun(current, Status::Started, now)
                })
            }
            Action::Succeed | Action::Fail | Action::Retry | Action::Cancel => {
                Err("Invalid action for the given operation type.")
            }
        }
    }
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

impl Operation {
    /// What has become of it by `now` through time alone; `None` if nothing has.
    pub(crate) fn due_at(&self, now: Timestamp) -> Option<Self> {
        self.due.filter(|due| *due <= now)?;
        let changed = Self { due: None, ..self.clone() };
        match (self.kind, self.status) {
            (Kind::Wait, Status::Started) => Some(Self { status: Status::Succeeded, ended_at: Some(now), ..changed }),
            (Kind::Step, Status::Pending) => Some(Self { status: Status::Ready, ..changed }),
            (Kind::Callback, Status::Started) => Some(Self {
                status: Status::TimedOut,
                ended_at: Some(now),
                error: Some(ErrorObject::new("Callback.Timeout", "Callback timed out")),
                ..changed
            }),
            _ => None,
        }
    }

    /// A callback that somebody completed; `None` if it is no open callback any more.
    pub(crate) fn called_back(&self, answer: Result<Option<String>, ErrorObject>, now: Timestamp) -> Option<Self> {
        if self.kind != Kind::Callback || self.status != Status::Started {
            return None;
        }
        let (status, result, error) = match answer {
            Ok(result) => (Status::Succeeded, result, None),
            Err(error) => (Status::Failed, None, Some(error)),
        };
        Some(Self { status, result, error, ended_at: Some(now), due: None, ..self.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn update(json: serde_json::Value) -> Update {
        serde_json::from_value(json).unwrap()
    }

    fn apply(current: Option<&Operation>, json: serde_json::Value) -> Result<Operation, Refusal> {
        update(json).apply(current, "cb", at(10))
    }

    fn step(action: &str) -> serde_json::Value {
        serde_json::json!({"Id": "1", "Type": "STEP", "Action": action})
    }

    #[test]
    fn a_step_is_tried_again_when_its_delay_is_over() {
        let started = apply(None, step("START")).unwrap();
        let mut retry = step("RETRY");
        retry["StepOptions"] = serde_json::json!({"NextAttemptDelaySeconds": 5});
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
    fn what_does_not_fit_is_refused() {
        let done = apply(Some(&apply(None, step("START")).unwrap()), step("SUCCEED")).unwrap();
        assert_eq!(apply(Some(&done), step("SUCCEED")), Err("Invalid current STEP state to close."));
        assert_eq!(apply(Some(&done), step("START")), Err("Invalid current STEP state to start."));
        assert_eq!(apply(None, step("RETRY")), Err("Invalid StepOptions for the given action."));
        assert_eq!(apply(None, step("CANCEL")), Err("Invalid action for the given operation type."));
        let wait = serde_json::json!({"Id": "1", "Type": "WAIT", "Action": "START", "WaitOptions": {"WaitSeconds": 1}});
        assert_eq!(apply(Some(&done), wait), Err("Inconsistent operation type."));
        let mut named = step("SUCCEED");
        named["Name"] = "other".into();
        assert_eq!(apply(Some(&done), named), Err("Inconsistent operation name."));
        let mut both = step("FAIL");
        both["Payload"] = "1".into();
        assert_eq!(apply(None, both), Err("Cannot provide a Payload for FAIL action."));
    }

    #[test]
    fn a_callback_ends_once() {
        let start = serde_json::json!({"Id": "1", "Type": "CALLBACK", "Action": "START",
            "CallbackOptions": {"TimeoutSeconds": 5}});
        let open = apply(None, start).unwrap();
        assert_eq!((open.callback_id.as_deref(), open.due), (Some("cb"), Some(at(15))));
        let called = open.called_back(Ok(Some("1".into())), at(11)).unwrap();
        assert_eq!((called.status, called.due_at(at(99))), (Status::Succeeded, None));
        assert_eq!(called.called_back(Ok(None), at(12)), None);
        let late = open.due_at(at(15)).unwrap();
        assert_eq!((late.status, late.called_back(Ok(None), at(16))), (Status::TimedOut, None));
    }

    #[test]
    fn a_callback_without_timeout_waits_for_ever() {
        let open = apply(None, serde_json::json!({"Id": "1", "Type": "CALLBACK", "Action": "START"})).unwrap();
        assert_eq!((open.due, open.due_at(Timestamp::MAX)), (None, None));
    }
}
