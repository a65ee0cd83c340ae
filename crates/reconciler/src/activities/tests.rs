//! Every combination of a state and what ECS can say about the task.

use std::{fmt::Write as _, time::Duration};

use domain::{Attempt, Event, JobError, Json, Outcome, OutcomeKind, Owner, Request, Start};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Accepted at second 0, with a deadline of a day.
fn pending(pattern: Pattern) -> Execution {
    let request = Request { timeout: Duration::from_hours(24), ..Request::of(Json::null()) };
    Execution::new("e1".parse().unwrap(), pattern, Owner::new("ada"), request, at(0))
}

/// Accepted at second 0, to start two hours later.
fn scheduled(pattern: Pattern) -> Execution {
    let request = Request { start: Some(Start::In { seconds: 7_200 }), ..Request::of(Json::null()) };
    Execution::new("e1".parse().unwrap(), pattern, Owner::new("ada"), request, at(0))
}

fn after(execution: &Execution, event: &Event) -> Execution {
    execution.after(event, at(1)).unwrap().unwrap()
}

fn states(pattern: Pattern) -> Vec<(&'static str, Execution)> {
    let pending = pending(pattern);
    let begun = after(&pending, &Event::WorkflowStarted { durable_execution_arn: "arn:durable".into(), log: None });
    let running = after(&begun, &Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "arn:task".into() });
    let watched = after(&running, &Event::Watching { callback_id: "cb".into() });
    let ended = Outcome { exit_code: Some(0), ..Outcome::without_job(OutcomeKind::Completed, at(2)) };
    let lost = Outcome { kind: OutcomeKind::Failed(JobError::new("any", "any")), exit_code: None, ..ended.clone() };
    let scheduled = scheduled(pattern);
    let awaited = after(&scheduled, &Event::WorkflowStarted { durable_execution_arn: "arn:durable".into(), log: None });
    let asleep = after(&awaited, &Event::Watching { callback_id: "cb".into() });
    vec![
        ("cancelled before anything", after(&pending, &Event::CancelRequested)),
        ("cancelled before its task", after(&begun, &Event::CancelRequested)),
        ("cancelled", after(&watched, &Event::CancelRequested)),
        ("over, unseen", after(&watched, &Event::Ended(lost.clone()))),
        ("over, unseen, without a task", after(&begun, &Event::Ended(lost))),
        ("over without a task", after(&begun, &Event::Ended(ended.clone()))),
        ("over", after(&watched, &Event::Ended(ended))),
        ("pending", pending),
        ("begun", begun),
        ("running", running),
        ("running, watched", watched),
        ("scheduled", scheduled),
        ("scheduled, begun", awaited),
        ("scheduled, waiting", asleep),
    ]
}

fn task(arn: &str, stopped: bool) -> Task {
    Task {
        arn: arn.into(),
        stopped,
        started_at: None,
        stop_code: None,
        stopped_reason: None,
        stopped_at: None,
        containers: Vec::new(),
        environment: Vec::new(),
    }
}

/// Prints the whole table. Read every difference.
#[test]
fn each_state_and_task_lead_to_the_activities_in_the_table() {
    let (soon, later, overdue) = (at(60), at(3_600), at(24 * 3_600));
    let sights = [
        ("unknown at first", None, soon),
        ("unknown for long", None, later),
        ("working, young", Some(task("arn:task", false)), soon),
        ("working", Some(task("arn:task", false)), later),
        ("working, overdue", Some(task("arn:task", false)), overdue),
        ("stopped", Some(task("arn:task", true)), later),
        ("another's stopped", Some(task("arn:other", true)), soon),
    ];
    let mut table = String::new();
    for pattern in [Pattern::Sync, Pattern::Callback] {
        for (life, execution) in states(pattern) {
            writeln!(table, "{pattern}, {life}:").unwrap();
            for (sight, task, now) in &sights {
                let of = |trigger| activities(&execution, task.as_ref(), *now, trigger);
                let (told, swept) = (of(Trigger::Event), of(Trigger::Sweep));
                writeln!(table, "    {sight:<18} {told:?}").unwrap();
                if swept != told {
                    writeln!(table, "    {:>18} {swept:?}", "in a sweep").unwrap();
                }
            }
        }
    }
    insta::assert_snapshot!(table);
}
