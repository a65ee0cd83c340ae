//! Every state on every event, and random sequences of events.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn started(attempt: u32, task: &str) -> StartedTask {
    StartedTask::new(Attempt::new(attempt).unwrap(), task, at(0))
}

fn stopped(task: &str) -> Task {
    Task {
        arn: task.into(),
        stopped: true,
        started_at: None,
        stop_code: None,
        stopped_reason: None,
        stopped_at: None,
        containers: Vec::new(),
        environment: Vec::new(),
    }
}

fn outcome(kind: OutcomeKind) -> Outcome {
    Outcome {
        kind,
        result: None,
        result_source: ResultSource::None,
        artifacts: None,
        exit_code: None,
        finished_at: at(9),
    }
}

fn kinds() -> [OutcomeKind; 5] {
    let error = || JobError::new("any", "any");
    [
        OutcomeKind::Completed,
        OutcomeKind::Failed(error()),
        OutcomeKind::TimedOut(error()),
        OutcomeKind::Cancelled(error()),
        OutcomeKind::Expired(error()),
    ]
}

fn states() -> Vec<State> {
    let mut states = vec![
        State::Scheduled { wake: None },
        State::Scheduled { wake: Some("cb".into()) },
        State::Pending,
        State::Running { started: started(2, "t2"), wake: None },
        State::Running { started: started(2, "t2"), wake: Some("cb".into()) },
        State::Cancelling { started: None, wake: None },
        State::Cancelling { started: Some(started(2, "t2")), wake: Some("cb".into()) },
    ];
    for kind in kinds() {
        states.push(State::Final { started: None, outcome: outcome(kind.clone()) });
        states.push(State::Final { started: Some(started(2, "t2")), outcome: outcome(kind) });
    }
    states
}

fn events() -> Vec<Event> {
    let started =
        |attempt, task: &str| Event::TaskStarted { attempt: Attempt::new(attempt).unwrap(), task_arn: task.into() };
    let mut events = vec![
        Event::Due,
        Event::WorkflowStarted { durable_execution_arn: "arn".into(), log: None },
        started(1, "t1"),
        started(2, "t2"),
        started(2, "other"),
        started(3, "t3"),
        Event::TaskStopped { task: Box::new(stopped("t2")) },
        Event::Watching { callback_id: "cb".into() },
        Event::Watching { callback_id: "new".into() },
        Event::CancelRequested,
        Event::Visited,
        Event::VisitPostponed,
        Event::NoCapacity { attempt: Attempt::new(2).unwrap(), why: "any".into(), until: at(9) },
        Event::StartDenied { attempt: Attempt::new(2).unwrap(), why: "any".into(), until: at(9) },
        Event::AttemptFailed {
            attempt: Attempt::new(2).unwrap(),
            error: JobError::new("any", "any"),
            excused: false,
            exit_code: Some(1),
        },
    ];
    events.extend(kinds().map(|kind| Event::Ended(outcome(kind))));
    events
}

fn name(state: &State) -> String {
    let task =
        state.started_task().map_or(String::new(), |started| format!(" {}/{}", started.attempt, started.task_arn));
    let wake = match state {
        State::Scheduled { wake: Some(id) }
        | State::Running { wake: Some(id), .. }
        | State::Cancelling { wake: Some(id), .. } => format!(" wake={id}"),
        _ => String::new(),
    };
    format!("{}{task}{wake}", state.status())
}

fn event_name(event: &Event) -> String {
    match event {
        Event::TaskStarted { attempt, task_arn } => format!("TaskStarted {attempt}/{task_arn}"),
        Event::Watching { callback_id } => format!("Watching {callback_id}"),
        Event::Ended(outcome) => {
            format!("Ended {}", State::Final { started: None, outcome: outcome.clone() }.status())
        }
        other => other.name().to_owned(),
    }
}

/// Prints the whole table. Read every difference: it changes what may happen to executions.
#[test]
fn each_event_in_each_state_leads_to_the_state_in_the_table() {
    let mut table = String::new();
    for state in states() {
        writeln!(table, "{}", name(&state)).unwrap();
        for event in events() {
            let next = match state.on(&event, at(5)) {
                Ok(None) => "nothing new".to_owned(),
                Ok(Some(next)) => format!("→ {}", name(&next)),
                Err(refused) => format!("✗ {}", refused.why),
            };
            writeln!(table, "    {:<20} {next}", event_name(&event)).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

proptest! {
    /// For any events in any order: a final state never changes, a repeated event changes nothing, an attempt has one task, and
    /// CANCELLED follows only a requested cancel.
    #[test]
    fn invariants_hold_for_any_sequence_of_events(lives in prop::collection::vec(0..events().len(), 0..30)) {
        let events = events();
        let mut state = State::Scheduled { wake: None };
        let mut asked = false;
        let mut tasks = std::collections::BTreeMap::new();
        for index in lives {
            let event = &events[index];
            let Ok(Some(next)) = state.on(event, at(5)) else { continue };
            prop_assert!(!state.status().is_final(), "{state:?} changed by {event:?}");
            prop_assert_eq!(next.on(event, at(6)), Ok(None), "a repeat of {:?}", event);
            asked |= matches!(event, Event::CancelRequested);
            if let Some(started) = next.started_task() {
                let first = tasks.entry(started.attempt).or_insert_with(|| started.task_arn.clone());
                prop_assert_eq!(&*first, &started.task_arn);
            }
            prop_assert!(next.status() != Status::Cancelled || asked);
            state = next;
        }
    }
}

#[test]
fn a_long_message_keeps_its_end_after_an_ellipsis() {
    let error = JobError::new("any", format!("{}ende", "ä".repeat(limits::ERROR_MESSAGE_BYTES)));
    assert!(error.message.len() <= limits::ERROR_MESSAGE_BYTES);
    assert!(error.message.starts_with('…') && error.message.ends_with("ende"));
    let short = error.shortened(20);
    assert_eq!(short, JobError { message: "…ääääääende".into(), ..error });
    assert_eq!(short.message.len(), 19, "another character of two bytes does not fit");
}
