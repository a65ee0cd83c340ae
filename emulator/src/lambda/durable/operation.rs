//! Operations of a durable execution, and how time and callers change them.
//!
//! **Invariant**: pure. What a checkpoint does to them is in [`super::update`].

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

/// The status of an operation.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stack_trace: Option<Vec<String>>,
}

impl ErrorObject {
    pub(crate) fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: Some(error_type.into()), ..Self::message(message) }
    }

    /// An error that has no type.
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self { error_message: Some(message.into()), ..Self::default() }
    }

    /// Its size as JSON.
    pub(crate) fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }
}

/// The timeouts of a callback.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Timeouts {
    /// From its start to its completion; 0 means no timeout.
    pub(crate) timeout_seconds: i64,
    /// Between two heartbeats; 0 means no timeout.
    pub(crate) heartbeat_seconds: i64,
    pub(crate) times_out_at: Option<Timestamp>,
    pub(crate) heartbeat_due: Option<Timestamp>,
}

impl Timeouts {
    pub(crate) fn from(now: Timestamp, timeout_seconds: i64, heartbeat_seconds: i64) -> Self {
        let from_now = |seconds: i64| (seconds > 0).then(|| after(now, seconds));
        Self {
            timeout_seconds,
            heartbeat_seconds,
            times_out_at: from_now(timeout_seconds),
            heartbeat_due: from_now(heartbeat_seconds),
        }
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.times_out_at.into_iter().chain(self.heartbeat_due).min()
    }
}

/// What a chained invoke invokes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Invoked {
    /// The function, as the update names it.
    pub(crate) function_name: String,
    /// The tenant that it is invoked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant_id: Option<String>,
    /// The version that its qualifier was resolved to.
    pub(crate) version: Option<String>,
    /// The durable execution that was started for it.
    pub(crate) execution: Option<String>,
}

/// An operation, as it is stored. Members that only one kind has are absent in operations of other kinds.
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
    /// Attempts of a step that have ended.
    #[serde(default)]
    pub(crate) attempt: u32,
    /// When it changes by time alone: the end of a wait, the next attempt of a step, the timeout of a callback.
    pub(crate) due: Option<Timestamp>,
    pub(crate) callback_id: Option<String>,
    #[serde(default)]
    pub(crate) replay_children: bool,
    /// When a wait is over; this is kept after the wait has ended.
    #[serde(default)]
    pub(crate) scheduled_end: Option<Timestamp>,
    #[serde(default)]
    pub(crate) timeouts: Option<Timeouts>,
    #[serde(default)]
    pub(crate) invoked: Option<Invoked>,
}

pub(crate) fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

impl Operation {
    /// Its state at `now` if time alone has changed it; `None` if not.
    pub(crate) fn due_at(&self, now: Timestamp) -> Option<Self> {
        self.due.filter(|due| *due <= now)?;
        let changed = Self { due: None, ..self.clone() };
        match (self.kind, self.status) {
            (Kind::Wait, Status::Started) => Some(Self { status: Status::Succeeded, ended_at: Some(now), ..changed }),
            (Kind::Step, Status::Pending) => Some(Self { status: Status::Ready, ..changed }),
            (Kind::Callback, Status::Started) => Some(Self {
                status: Status::TimedOut,
                ended_at: Some(now),
                error: Some(self.why_timed_out()),
                ..changed
            }),
            _ => None,
        }
    }

    fn why_timed_out(&self) -> ErrorObject {
        let silent = self.timeouts.as_ref().is_some_and(|timeouts| {
            timeouts.heartbeat_due.is_some_and(|due| timeouts.times_out_at.is_none_or(|at| due < at))
        });
        if silent {
            ErrorObject::new("Callback.Heartbeat", "Callback timed out on heartbeat")
        } else {
            ErrorObject::new("Callback.Timeout", "Callback timed out")
        }
    }

    /// The callback after it was completed; `None` if it is not an open callback.
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

    /// The callback after a heartbeat; `None` if it is not an open callback.
    pub(crate) fn alive(&self, now: Timestamp) -> Option<Self> {
        if self.kind != Kind::Callback || self.status != Status::Started {
            return None;
        }
        let Some(timeouts) = &self.timeouts else { return Some(self.clone()) };
        let heartbeat_due = (timeouts.heartbeat_seconds > 0).then(|| after(now, timeouts.heartbeat_seconds));
        let timeouts = Timeouts { heartbeat_due, ..timeouts.clone() };
        Some(Self { due: timeouts.next(), timeouts: Some(timeouts), ..self.clone() })
    }

    /// The chained invoke after its function has ended; `None` if it is not an open chained invoke.
    pub(crate) fn answered(
        &self,
        status: Status,
        answer: Result<Option<String>, ErrorObject>,
        now: Timestamp,
    ) -> Option<Self> {
        if self.kind != Kind::ChainedInvoke || self.status != Status::Started {
            return None;
        }
        let (result, error) = match answer {
            Ok(result) => (result, None),
            Err(error) => (None, Some(error)),
        };
        Some(Self { status, result, error, ended_at: Some(now), ..self.clone() })
    }

    /// Whether the operation can wake the execution. A function may return PENDING only if it has such an operation.
    pub(crate) fn wakes(&self) -> bool {
        matches!(
            (self.kind, self.status),
            (Kind::Wait | Kind::Callback | Kind::ChainedInvoke, Status::Started) | (Kind::Step, Status::Pending)
        )
    }

    /// Whether its children are not needed any more: it has ended, and its result is not recomputed from them.
    pub(crate) fn hides_children(&self) -> bool {
        self.kind == Kind::Context && self.ended_at.is_some() && !self.replay_children
    }

    /// Its approximate size in a page.
    pub(crate) fn bytes(&self) -> usize {
        let payload = self.result.as_ref().map_or(0, String::len);
        payload + self.error.as_ref().map_or(0, ErrorObject::bytes) + 256
    }
}
