//! Messages between functions. The sender and the receiver may be of different versions.

use domain::{Attempt, ExecutionId};
use serde::{Deserialize, Serialize};

use crate::written;

/// The payload with which a durable function is invoked for a stored execution. It only identifies the execution: a repeated start must
/// have the same bytes, or AWS treats it as a different start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredStart {
    longhaul: Stored,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Stored {
    #[serde(with = "written")]
    execution_id: ExecutionId,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    attempt: Option<Attempt>,
}

impl StoredStart {
    /// The payload for an attempt of an execution. For the first attempt, it contains no number.
    #[must_use]
    pub fn of(execution_id: ExecutionId, attempt: Attempt) -> Self {
        let attempt = (attempt != Attempt::FIRST).then_some(attempt);
        Self { longhaul: Stored { execution_id, attempt } }
    }

    /// The execution to start.
    #[must_use]
    pub fn execution_id(&self) -> &ExecutionId {
        &self.longhaul.execution_id
    }

    /// The executions that a durable execution of this name may drive: the one with the same name, and, if the name ends with an
    /// attempt's number, the one whose id precedes that number.
    #[must_use]
    pub fn executions_of(name: &str) -> Vec<ExecutionId> {
        let later = name.rsplit_once('-').filter(|(_, number)| number.parse::<u32>().is_ok_and(|number| number > 1));
        [Some(name), later.map(|(id, _)| id)].into_iter().flatten().filter_map(|id| id.parse().ok()).collect()
    }

    /// The attempt that the workflow begins with.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.longhaul.attempt.unwrap_or(Attempt::FIRST)
    }

    /// The name of its durable execution: the execution's id, followed by the attempt if it is a later one.
    #[must_use]
    pub fn name(&self) -> String {
        match self.longhaul.attempt {
            None => self.longhaul.execution_id.to_string(),
            Some(attempt) => self.longhaul.execution_id.client_token(attempt),
        }
    }
}

/// The payload that wakes a workflow: the result of the callback that it waits for. Older versions sent nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WakeUp {
    /// Whether the workflow's task has stopped and the execution's item says how, so that the workflow does not have to check the task.
    #[serde(default)]
    pub stopped: bool,
}

/// The payload with which the reconciler is invoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The execution to visit.
    #[serde(with = "written")]
    pub visit: ExecutionId,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Executions in flight were started with exactly these bytes.
    #[test]
    fn the_start_payload_never_changes() {
        let start = StoredStart::of("e1".parse().unwrap(), Attempt::FIRST);
        let text = r#"{"longhaul":{"executionId":"e1"}}"#;
        assert_eq!(serde_json::to_string(&start).unwrap(), text);
        assert_eq!(serde_json::from_str::<StoredStart>(text).unwrap(), start);
        assert_eq!((start.name(), start.attempt()), ("e1".to_owned(), Attempt::FIRST));
        let second = StoredStart::of("e1".parse().unwrap(), Attempt::FIRST.next());
        assert_eq!(serde_json::to_string(&second).unwrap(), r#"{"longhaul":{"executionId":"e1","attempt":2}}"#);
        assert_eq!(second.name(), "e1-2");
    }

    /// Workflows in flight may be woken by a newer or older version than their own.
    #[test]
    fn a_wake_up_never_changes() {
        for (stopped, text) in [(false, r#"{"stopped":false}"#), (true, r#"{"stopped":true}"#)] {
            assert_eq!(serde_json::to_string(&WakeUp { stopped }).unwrap(), text);
            assert_eq!(serde_json::from_str::<WakeUp>(text).unwrap(), WakeUp { stopped });
        }
        assert_eq!(serde_json::from_str::<WakeUp>("{}").unwrap(), WakeUp::default());
    }

    #[test]
    fn the_name_of_a_later_attempt_identifies_its_execution() {
        let of = |name| StoredStart::executions_of(name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(of("e1"), ["e1"]);
        assert_eq!(of("e1-2"), ["e1-2", "e1"]);
        assert_eq!(of("e1-1"), ["e1-1"], "the first attempt's name has no number");
        let longest = format!("{}-10", "x".repeat(60));
        assert_eq!(of(&longest), ["x".repeat(60)]);
    }

    /// A newer version's API may request a visit from an older version's reconciler, and the reverse.
    #[test]
    fn a_request_to_visit_never_changes() {
        let visit = Visit { visit: "e1".parse().unwrap() };
        assert_eq!(serde_json::to_string(&visit).unwrap(), r#"{"visit":"e1"}"#);
        assert_eq!(serde_json::from_str::<Visit>(r#"{"visit":"e1"}"#).unwrap(), visit);
    }
}
