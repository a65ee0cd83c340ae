//! Executions from their first event to their last.

use std::time::Duration;

use Moment::{CancelRequested, Created, Ended, TaskStarted, WorkflowStarted};

use super::*;
use crate::{Attempt, JobError, Json, Outcome, OutcomeKind, output::ResultSource};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn execution() -> Execution {
    let request = Request { timeout: Duration::from_mins(1), ..Request::of(Json::null()) };
    Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(1_000))
}

#[test]
fn the_timeline_records_each_change_of_an_execution() {
    let events = [
        (Event::WorkflowStarted { durable_execution_arn: "arn:d".into(), log: None }, 1_001),
        (Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "arn:t".into() }, 1_002),
        (Event::Watching { callback_id: "cb".into() }, 1_003),
        (Event::CancelRequested, 1_004),
        (
            Event::Ended(Outcome {
                kind: OutcomeKind::Completed,
                result: None,
                result_source: ResultSource::None,
                artifacts: None,
                exit_code: Some(0),
                finished_at: at(1_005),
            }),
            1_006,
        ),
    ];
    let end = events.iter().fold(execution(), |now, (event, second)| {
        let next = now.after(event, at(*second)).unwrap().unwrap();
        assert_eq!(next.version, now.version + 1);
        assert_eq!(next.after(event, at(*second + 9)), Ok(None), "a repeat of {event:?} changes nothing");
        next
    });
    let told: Vec<_> = end.timeline.entries().iter().map(|entry| entry.what.clone()).collect();
    assert_eq!(told, [Created, WorkflowStarted, TaskStarted, CancelRequested, Ended]);
    assert_eq!(end.status(), Status::Completed);
    assert_eq!(end.expires_at, at(1_006) + limits::RETENTION);
}

#[test]
fn a_pattern_has_the_same_name_in_every_format() {
    for (pattern, name) in [(Pattern::Sync, "sync"), (Pattern::Callback, "callback")] {
        assert_eq!((pattern.as_str(), pattern.to_string().as_str()), (name, name));
        assert_eq!(name.parse(), Ok(pattern));
    }
}

#[test]
fn visits_become_less_frequent_and_one_is_at_the_deadline() {
    let mut seen = execution();
    let mut visits = Vec::new();
    while visits.len() < 4 {
        let due = seen.due.unwrap();
        visits.push(due.as_second() - 1_000);
        assert!(seen.after(&Event::Visited, due - SignedDuration::from_mins(2)).unwrap().is_none(), "not yet");
        let next = seen.after(&Event::Visited, due).unwrap().unwrap();
        assert_eq!(next.version, seen.version + 1);
        seen = next;
    }
    assert_eq!(execution().after(&Event::Visited, at(1_000)), Ok(None), "it would be due at the same time");
    assert_eq!(visits, [60, 120, 180, 240]);
    let late = seen.after(&Event::Visited, at(1_000_000)).unwrap().unwrap();
    assert_eq!(late.due, Some(at(1_000_000) + LAST_VISIT));
}

/// After an outcome without an exit code, a task may still be running. The sweep looks for it until a visit succeeds.
#[test]
fn an_outcome_without_an_exit_code_is_visited_once_more() {
    let ended = |exit_code| {
        let kind = OutcomeKind::Failed(JobError::new("any", "any"));
        let outcome = Outcome {
            kind,
            result: None,
            result_source: ResultSource::None,
            artifacts: None,
            exit_code,
            finished_at: at(1_005),
        };
        execution().after(&Event::Ended(outcome), at(1_005)).unwrap().unwrap()
    };
    assert_eq!(ended(Some(3)).due, None);
    let unseen = ended(None);
    assert_eq!(unseen.due, Some(at(1_065)));
    let failed = unseen.after(&Event::VisitPostponed, at(1_065)).unwrap().unwrap();
    assert_eq!((failed.due, failed.version), (Some(at(1_125)), unseen.version + 1));
    let visited = failed.after(&Event::Visited, at(1_125)).unwrap().unwrap();
    assert_eq!((visited.due, &visited.state), (None, &unseen.state));
    assert_eq!(visited.version, failed.version + 1);
    for event in [Event::Visited, Event::VisitPostponed] {
        assert_eq!(visited.after(&event, at(2_000)), Ok(None), "{event:?}");
    }
}

#[test]
fn a_reported_task_end_is_kept_until_its_attempt_is_over() {
    let stopped = |arn: &str| {
        let task = Task {
            arn: arn.into(),
            stopped: true,
            started_at: None,
            stop_code: None,
            stopped_reason: None,
            stopped_at: None,
            containers: Vec::new(),
            environment: vec![("SECRET".into(), "any".into())],
        };
        Event::TaskStopped { task: Box::new(task) }
    };
    let started =
        |number, arn: &str| Event::TaskStarted { attempt: Attempt::new(number).unwrap(), task_arn: arn.into() };
    let step = |from: &Execution, event: &Event| from.after(event, at(1_001)).unwrap();
    let early = step(&execution(), &stopped("t1")).expect("told before its start is recorded");
    assert_eq!(early.reported_end("t1").map(|task| task.environment.len()), Some(0));
    assert_eq!(early.version, execution().version + 1);
    let running = step(&early, &started(1, "t1")).unwrap();
    assert!(running.reported_end("t1").is_some() && running.reported_end("t2").is_none());
    assert_eq!(step(&running, &stopped("t1")), None, "told twice");
    let failed = Event::AttemptFailed {
        attempt: Attempt::FIRST,
        error: JobError::new("any", "any"),
        excused: false,
        exit_code: Some(1),
    };
    let failed = step(&running, &failed).unwrap();
    let early = step(&failed, &stopped("t2")).expect("told before its start is recorded");
    assert_eq!(step(&early, &stopped("t1")), None, "the attempt is over, and the reported end is that of the next one");
    let next = step(&early, &started(2, "t2")).unwrap();
    assert!(next.reported_end("t2").is_some());
    let next = step(&running, &started(2, "t2")).unwrap();
    assert_eq!(step(&next, &stopped("t1")), None, "told late");
    let over = step(&next, &stopped("t2")).unwrap();
    assert!(over.reported_end("t2").is_some());
    let outcome = Outcome {
        kind: OutcomeKind::Completed,
        result: None,
        result_source: ResultSource::None,
        artifacts: None,
        exit_code: Some(0),
        finished_at: at(1_002),
    };
    let ended = step(&over, &Event::Ended(outcome)).unwrap();
    assert_eq!((&ended.stopped, step(&ended, &stopped("t2"))), (&None, None));
    let callback = Execution { pattern: Pattern::Callback, ..execution() };
    assert_eq!(step(&callback, &stopped("t1")), None);
}

#[test]
fn the_timeline_has_one_capacity_wait_per_attempt() {
    let busy = |number, why: &str| Event::NoCapacity {
        attempt: Attempt::new(number).unwrap(),
        why: why.into(),
        until: at(1_009),
    };
    let first = execution().after(&busy(1, "RESOURCE:MEMORY"), at(1_001)).unwrap().unwrap();
    assert_eq!(first.version, execution().version + 1);
    assert_eq!(first.after(&busy(1, "RESOURCE:MEMORY"), at(1_002)), Ok(None), "a repeat");
    let again = first.after(&busy(1, "Rate exceeded"), at(1_002)).unwrap().unwrap();
    assert_eq!(again.waiting.as_ref().unwrap().why.as_deref(), Some("Rate exceeded"));
    assert_eq!(again.timeline, first.timeline);
    let denied = Event::StartDenied { attempt: Attempt::FIRST, why: "AccessDenied".into(), until: at(1_009) };
    let denied = again.after(&denied, at(1_003)).unwrap().unwrap();
    let after_denial = denied.after(&busy(1, "RESOURCE:MEMORY"), at(1_004)).unwrap().unwrap();
    assert_eq!(after_denial.timeline, first.timeline, "a denial in between does not repeat the entry");
    assert_eq!(after_denial.waiting.unwrap().since, Some(at(1_001)));
    let second = first.after(&busy(2, "AGENT"), at(1_003)).unwrap().unwrap();
    let told = second.timeline.entries().iter().filter_map(|entry| entry.detail.as_deref()).collect::<Vec<_>>();
    assert_eq!(told, ["attempt 1: RESOURCE:MEMORY", "attempt 2: AGENT"]);
}

#[test]
fn a_failed_visit_is_postponed() {
    let due = execution().due.unwrap();
    let postponed = execution().after(&Event::VisitPostponed, due).unwrap().unwrap();
    assert_eq!(postponed.due, Some(due + FIRST_VISIT));
    assert_eq!(postponed.after(&Event::VisitPostponed, due), Ok(None), "a repeat");
}

fn may_follow(seen: &Execution, attempt: Attempt) -> bool {
    attempt.get() < seen.attempts()
}

#[test]
fn platform_failures_do_not_count_as_attempts() {
    let attempt = |number| Attempt::new(number).unwrap();
    let failed = |number, excused| Event::AttemptFailed {
        attempt: attempt(number),
        error: JobError::new("spot", "gone"),
        excused,
        exit_code: None,
    };
    let mut seen = execution();
    assert!(!may_follow(&seen, attempt(1)), "only one attempt was requested");
    for number in 1..=limits::EXCUSED {
        seen = seen.after(&failed(number, true), at(1_000)).unwrap().unwrap();
        assert!(may_follow(&seen, attempt(number)));
        assert_eq!(seen.after(&failed(number, true), at(1_001)), Ok(None), "a repeat");
    }
    let next = attempt(limits::EXCUSED + 1);
    assert!(!may_follow(&seen, next), "the job's own attempt");
    seen = seen.after(&failed(next.get(), true), at(1_000)).unwrap().unwrap();
    assert!(!may_follow(&seen, next), "further platform failures count");
}

/// The platform of a job that runs for weeks is retired many times.
#[test]
fn retirements_count_neither_as_attempts_nor_as_other_platform_failures() {
    let failed = |number, kind: &str| Event::AttemptFailed {
        attempt: Attempt::new(number).unwrap(),
        error: JobError::new(kind, "gone"),
        excused: true,
        exit_code: None,
    };
    let mut seen = execution();
    for number in 1..=limits::RETIRED {
        seen = seen.after(&failed(number, "task-retired"), at(1_000)).unwrap().unwrap();
        assert!(may_follow(&seen, Attempt::new(number).unwrap()), "{number}");
    }
    assert_eq!((seen.failed.retired, seen.failed.excused), (limits::RETIRED, 0));
    let next = limits::RETIRED + 1;
    assert!(!may_follow(&seen, Attempt::new(next).unwrap()), "the job's own attempt");
    seen = seen.after(&failed(next, "spot"), at(1_000)).unwrap().unwrap();
    assert!(may_follow(&seen, Attempt::new(next).unwrap()), "another platform failure is counted separately");
}

#[test]
fn an_execution_that_is_not_over_never_expires() {
    assert_eq!(execution().deadline, at(1_060));
    assert_eq!((execution().expires_at, execution().kept_until()), (NEVER, at(1_060) + limits::RETENTION));
}

/// If the reply to a start was lost, the task of the failed attempt may be running. The sweep looks for it, even if the next attempt's
/// outcome was seen.
#[test]
fn an_outcome_after_an_attempt_without_a_task_is_visited_once_more() {
    let failed = |attempt| Event::AttemptFailed {
        attempt,
        error: JobError::new("any", "any"),
        excused: false,
        exit_code: Some(1),
    };
    let started = |attempt, arn: &str| Event::TaskStarted { attempt, task_arn: arn.into() };
    let ended = Event::Ended(Outcome {
        kind: OutcomeKind::Completed,
        result: None,
        result_source: ResultSource::None,
        artifacts: None,
        exit_code: Some(0),
        finished_at: at(1_005),
    });
    let second = Attempt::FIRST.next();
    let due = |events: &[Event]| {
        let start = Execution { request: Request { max_attempts: 2, ..execution().request }, ..execution() };
        let life = events.iter().chain([&ended]);
        life.fold(start, |now, event| now.after(event, at(1_005)).unwrap().unwrap()).due
    };
    assert!(due(&[failed(Attempt::FIRST), started(second, "t2")]).is_some());
    assert!(due(&[started(Attempt::FIRST, "t1"), failed(Attempt::FIRST)]).is_some(), "the second task may be running");
    let seen = [started(Attempt::FIRST, "t1"), failed(Attempt::FIRST), started(second, "t2")];
    assert_eq!(due(&seen), None);
    assert_eq!(due(&[&seen[..], &[failed(second)]].concat()), None, "there is no third attempt");
}

#[test]
fn the_newest_tasks_are_remembered() {
    let attempt = |number| Attempt::new(number).unwrap();
    let start = |now: Execution, number| {
        let started = Event::TaskStarted { attempt: attempt(number), task_arn: format!("t{number}") };
        now.after(&started, at(1_005)).unwrap().unwrap()
    };
    let ran = (1..=20).fold(execution(), start);
    assert_eq!(ran.earlier.len(), limits::EARLIER_TASKS);
    assert_eq!([4, 5, 20].map(|number| ran.started_task_of(attempt(number)).is_some()), [false, true, true]);
    assert_eq!(["t4", "t5", "t20"].map(|arn| ran.attempt_of(arn)), [None, Some(attempt(5)), Some(attempt(20))]);
}

#[test]
fn a_backoff_is_recorded_only_if_another_attempt_follows() {
    let attempt = |number| Attempt::new(number).unwrap();
    let failed = |number| Event::AttemptFailed {
        attempt: attempt(number),
        error: JobError::new("exit-code", "any"),
        excused: false,
        exit_code: Some(1),
    };
    let busy = Event::NoCapacity { attempt: attempt(1), why: "RESOURCE:CPU".into(), until: at(1_050) };
    let twice = Execution { request: Request { max_attempts: 2, ..execution().request }, ..execution() };
    let waits = twice.after(&busy, at(1_002)).unwrap().unwrap();
    let started = Event::TaskStarted { attempt: attempt(1), task_arn: "t1".into() };
    let running = twice.after(&started, at(1_002)).unwrap().unwrap();
    let cancelling = running.after(&Event::CancelRequested, at(1_003)).unwrap().unwrap();
    let noted = |from: &Execution, event: &Event, second| {
        let next = from.after(event, at(second)).unwrap().unwrap();
        assert_eq!((next.version, next.due), (from.version + 1, Some(at(second) + FIRST_VISIT)));
        next.waiting.map(|waiting| (waiting.attempt, waiting.until, waiting.why))
    };
    assert_eq!(noted(&running, &failed(1), 1_010), Some((attempt(2), at(1_015), None)));
    assert_eq!(
        noted(&waits, &failed(1), 1_010),
        Some((attempt(2), at(1_015), None)),
        "it no longer waits for capacity"
    );
    assert_eq!(noted(&running, &failed(1), 1_058), Some((attempt(2), at(1_060), None)), "not past the deadline");
    assert_eq!(noted(&running, &failed(1), 1_060), None, "its deadline has passed");
    assert_eq!(noted(&cancelling, &failed(1), 1_010), None, "it is being cancelled");
    assert_eq!(noted(&running, &failed(2), 1_010), None, "it was the last attempt");
    assert_eq!(noted(&waits, &failed(2), 1_010), None, "it was the last attempt, so nothing is waited for");
}

/// Only the first three attempts that the platform ended are not counted.
#[test]
fn the_timeline_marks_uncounted_attempts() {
    let failed = |number, excused| Event::AttemptFailed {
        attempt: Attempt::new(number).unwrap(),
        error: JobError::new("stopped", "any"),
        excused,
        exit_code: None,
    };
    let started =
        |number| Event::TaskStarted { attempt: Attempt::new(number).unwrap(), task_arn: format!("t{number}") };
    let start = Execution { request: Request { max_attempts: 9, ..execution().request }, ..execution() };
    let mut events = vec![started(1), failed(1, false), started(2)];
    events.extend((2..=5).map(|number| failed(number, true)));
    events.push(started(6));
    let end = events.iter().fold(start, |now, event| now.after(event, at(1_001)).unwrap().unwrap());
    assert_eq!((end.uncounted_attempts(), end.attempts()), (3, 12));
    let told: Vec<_> = told(&end).into_iter().filter_map(|(_, detail)| detail).collect();
    let expected = [
        "attempt 1",
        "attempt 1: stopped: any",
        "attempt 2",
        "attempt 2: stopped (not counted): any",
        "attempt 3: stopped (not counted): any",
        "attempt 4: stopped (not counted): any",
        "attempt 5: stopped: any",
        "attempt 6 (3 not counted)",
    ];
    assert_eq!(told, expected);
}

fn told(execution: &Execution) -> Vec<(Moment, Option<&str>)> {
    let entries = execution.timeline.entries().iter();
    entries.map(|entry| (entry.what.clone(), entry.detail.as_deref())).collect()
}

/// In the sync pattern, the workflow records the failure of the last attempt before the outcome. In the callback pattern, no separate
/// event records it.
#[test]
fn the_timeline_has_the_last_failure_in_both_patterns() {
    let started = |from: &Execution, number| {
        let event = Event::TaskStarted { attempt: Attempt::new(number).unwrap(), task_arn: format!("arn:{number}") };
        from.after(&event, at(1_001)).unwrap().unwrap()
    };
    let error = || JobError::new("exit-code", "exited with code 3");
    let outcome = Outcome { exit_code: Some(3), ..Outcome::without_job(OutcomeKind::Failed(error()), at(1_002)) };
    let failed = |attempt| Event::AttemptFailed { attempt, error: error(), excused: false, exit_code: Some(1) };
    let mut twice = execution();
    twice.request.max_attempts = 2;
    let first = started(&twice, 1).after(&failed(Attempt::FIRST), at(1_002)).unwrap().unwrap();
    let second = started(&first, 2);
    let by_worker = second.after(&Event::Ended(outcome.clone()), at(1_003)).unwrap().unwrap();
    let noted = second.after(&failed(Attempt::new(2).unwrap()), at(1_003)).unwrap().unwrap();
    let by_workflow = noted.after(&Event::Ended(outcome.clone()), at(1_003)).unwrap().unwrap();
    assert_eq!(told(&by_worker), told(&by_workflow));
    assert!(told(&by_worker).contains(&(Moment::AttemptFailed, Some("attempt 2: exit-code"))));
    let at_once = started(&twice, 1).after(&Event::Ended(outcome.clone()), at(1_003)).unwrap().unwrap();
    assert!(told(&at_once).contains(&(Moment::AttemptFailed, Some("attempt 1: exit-code"))));
    let host_lost = Event::AttemptFailed { attempt: Attempt::FIRST, error: error(), excused: true, exit_code: None };
    let again = started(&started(&execution(), 1).after(&host_lost, at(1_002)).unwrap().unwrap(), 2);
    let again = again.after(&Event::Ended(outcome.clone()), at(1_003)).unwrap().unwrap();
    assert!(told(&again).contains(&(Moment::AttemptFailed, Some("attempt 2: exit-code"))), "one was not counted");
    let only = started(&execution(), 1).after(&Event::Ended(outcome), at(1_003)).unwrap().unwrap();
    assert!(
        !told(&only).iter().any(|(what, _)| *what == Moment::AttemptFailed),
        "with one attempt, the outcome says it all"
    );
}

#[test]
fn the_timeline_explains_a_missing_result_before_the_end() {
    let start = Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "arn".into() };
    let running = execution().after(&start, at(1_001)).unwrap().unwrap();
    let done = Outcome {
        result_source: ResultSource::NoneInText,
        artifacts: None,
        exit_code: Some(0),
        ..Outcome::without_job(OutcomeKind::Completed, at(1_002))
    };
    let ended = running.after(&Event::Ended(done), at(1_003)).unwrap().unwrap();
    let why = ResultSource::NoneInText.explanation(true);
    assert_eq!(told(&ended)[2..], [(Moment::NoResult, why), (Moment::Ended, Some("COMPLETED"))]);
}

/// ECS's start time may arrive late, and other times come from other clocks.
#[test]
fn the_start_time_is_that_of_ecs_and_never_after_the_end() {
    let stopped = |started| {
        let task = Task {
            arn: "t1".into(),
            stopped: true,
            started_at: Some(at(started)),
            stop_code: None,
            stopped_reason: None,
            stopped_at: None,
            containers: Vec::new(),
            environment: Vec::new(),
        };
        Event::TaskStopped { task: Box::new(task) }
    };
    let started = Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "t1".into() };
    let ended = |second| Event::Ended(Outcome::without_job(OutcomeKind::Completed, at(second)));
    let live = |pattern, events: &[Event]| {
        let new = Execution { pattern, ..execution() };
        let end = events.iter().fold(new, |now, event| now.after(event, at(1_009)).unwrap().unwrap());
        end.state.started_task().unwrap().started_at
    };
    for pattern in [Pattern::Sync, Pattern::Callback] {
        assert_eq!(live(pattern, &[started.clone(), stopped(1_003), ended(1_005)]), at(1_003), "{pattern}");
        assert_eq!(live(pattern, &[started.clone(), ended(1_005)]), at(1_005), "its end is known first: {pattern}");
        assert_eq!(live(pattern, &[started.clone(), ended(1_020)]), at(1_009), "{pattern}");
    }
    let told_first = [stopped(1_003), started.clone(), ended(1_005)];
    assert_eq!(live(Pattern::Sync, &told_first), at(1_003));
    let cancelled = [started.clone(), Event::CancelRequested, ended(1_005)];
    assert_eq!(live(Pattern::Callback, &cancelled), at(1_005));
}
