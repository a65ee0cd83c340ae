//! What a workflow did: the events that Lambda keeps, combined into one entry for each operation.

use std::collections::HashMap;

use jiff::Timestamp;

/// An operation of a workflow: a step, a wait, a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its id in the durable execution.
    pub id: String,
    /// The name that the workflow gives it.
    pub name: Option<String>,
    /// Its kind, in Lambda's words: `Step`, `Callback`, `Wait`.
    pub kind: String,
    /// How often it has been tried so far.
    pub attempts: u32,
    /// When it was first started.
    pub started_at: Timestamp,
    /// When it ended; `None` if it has not ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended.
    Started,
    /// It succeeded.
    Succeeded,
    /// It failed permanently.
    Failed,
    /// It timed out. For a callback, that means that the workflow checks its task although no event woke it.
    TimedOut,
    /// The durable execution was stopped.
    Stopped,
    /// The workflow cancelled it.
    Cancelled,
}

/// Something that happened to an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationEvent {
    /// Id of the operation.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// Its kind.
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// The operation's outcome; `Started` when it began.
    pub outcome: Outcome,
    /// Which try it was, if Lambda says so.
    pub attempt: Option<u32>,
    /// Whether another try follows.
    pub again: bool,
}

/// Combines events, in the order in which they happened, into operations. `open` are the operations that earlier events began and
/// did not end. Returns the operations that have ended, and those that have not. Each list is in the order in which they began,
/// which is more precise than their times, since several may begin in the same millisecond.
#[must_use]
pub fn fold(open: Vec<Operation>, events: Vec<OperationEvent>) -> (Vec<Operation>, Vec<Operation>) {
    let mut begun = open;
    let mut places: HashMap<_, _> =
        begun.iter().enumerate().map(|(place, operation)| (operation.id.clone(), place)).collect();
    for event in events {
        let place = *places.entry(event.id.clone()).or_insert_with(|| {
            begun.push(Operation {
                id: event.id,
                name: event.name,
                kind: event.kind,
                attempts: 1,
                started_at: event.at,
                ended_at: None,
                outcome: Outcome::Started,
            });
            begun.len() - 1
        });
        let Some(operation) = begun.get_mut(place) else { continue };
        operation.attempts = operation.attempts.max(event.attempt.unwrap_or_default());
        if event.outcome != Outcome::Started && !event.again {
            (operation.ended_at, operation.outcome) = (Some(event.at), event.outcome);
        }
    }
    begun.into_iter().partition(|operation| operation.ended_at.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(id: &str, second: i64, outcome: Outcome) -> OperationEvent {
        OperationEvent {
            id: id.into(),
            name: Some(format!("{id}-name")),
            kind: "Step".into(),
            at: Timestamp::from_second(second).unwrap(),
            outcome,
            attempt: None,
            again: false,
        }
    }

    fn told(operation: &Operation) -> (&str, u32, i64, Option<i64>, Outcome) {
        let end = operation.ended_at.map(Timestamp::as_second);
        (&operation.id, operation.attempts, operation.started_at.as_second(), end, operation.outcome)
    }

    #[test]
    fn an_operation_with_several_attempts_is_one_entry() {
        let failed = OperationEvent { attempt: Some(1), again: true, ..happened("a", 2, Outcome::Failed) };
        let second = OperationEvent { attempt: Some(2), ..happened("a", 9, Outcome::Succeeded) };
        let events = vec![happened("a", 1, Outcome::Started), failed, happened("a", 8, Outcome::Started), second];
        let (ended, open) = fold(Vec::new(), events);
        assert_eq!(ended.iter().map(told).collect::<Vec<_>>(), [("a", 2, 1, Some(9), Outcome::Succeeded)]);
        assert!(open.is_empty());
    }

    #[test]
    fn operations_are_ordered_by_their_start() {
        let began = ["b", "a"].map(|id| happened(id, 1, Outcome::Started));
        let ended = [happened("a", 2, Outcome::Succeeded), happened("b", 3, Outcome::TimedOut)];
        let (ended, _) = fold(Vec::new(), began.into_iter().chain(ended).collect());
        assert_eq!(ended.iter().map(|operation| operation.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    }

    /// Wherever a history is split into pages, each operation appears once, with the same content.
    #[test]
    fn operations_can_span_pages() {
        let events = [
            happened("a", 1, Outcome::Started),
            happened("b", 2, Outcome::Started),
            happened("a", 3, Outcome::Failed),
            happened("b", 4, Outcome::TimedOut),
            happened("c", 5, Outcome::Started),
        ];
        for cut in 0..=events.len() {
            let (first, open) = fold(Vec::new(), events[..cut].to_vec());
            let (second, open) = fold(open, events[cut..].to_vec());
            let all: Vec<_> = first.iter().chain(&second).map(told).collect();
            let expected = [("a", 1, 1, Some(3), Outcome::Failed), ("b", 1, 2, Some(4), Outcome::TimedOut)];
            assert_eq!(all, expected, "cut at {cut}");
            assert_eq!(open.iter().map(told).collect::<Vec<_>>(), [("c", 1, 5, None, Outcome::Started)]);
        }
    }
}
