//! Cancels and deadlines while no task is running.

use super::*;
use crate::{Event, ExecutionId, Json, Owner, Pattern, Request, Status, limits};

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap()
}

fn new(pattern: Pattern) -> Execution {
    let request = Request { timeout: Duration::from_mins(1), max_attempts: 3, ..Request::of(Json::null()) };
    let id: ExecutionId = "e1".parse().unwrap();
    Execution::new(id, pattern, Owner::new("ada"), request, at(0))
}

fn step(from: &Execution, event: &Event, millisecond: i64) -> Execution {
    from.after(event, at(millisecond)).unwrap().unwrap()
}

fn accepted(pattern: Pattern) -> Execution {
    step(&new(pattern), &Event::WorkflowStarted { durable_execution_arn: "arn:d".into(), log: None }, 100)
}

fn failed(attempt: Attempt, exit_code: Option<i32>) -> Event {
    let error = JobError::new("exit-code", "exited with code 1");
    Event::AttemptFailed { attempt, error, excused: false, exit_code }
}

/// Two attempts failed; the third follows at 21 s.
fn between_attempts(pattern: Pattern) -> Execution {
    let first = step(&accepted(pattern), &started(Attempt::FIRST), 1_000);
    let second = step(&step(&first, &failed(Attempt::FIRST, Some(1)), 2_000), &started(Attempt::FIRST.next()), 8_000);
    step(&second, &failed(Attempt::FIRST.next(), Some(1)), 11_000)
}

fn started(attempt: Attempt) -> Event {
    Event::TaskStarted { attempt, task_arn: format!("arn:task/{attempt}") }
}

fn no_capacity(until: i64) -> Event {
    Event::NoCapacity { attempt: Attempt::FIRST, why: "RESOURCE:CPU".into(), until: at(until) }
}

fn denied(until: i64) -> Event {
    Event::StartDenied { attempt: Attempt::FIRST, why: "AccessDenied".into(), until: at(until) }
}

fn told(execution: &Execution) -> (Status, String, Option<i32>) {
    let outcome = execution.state.outcome().unwrap();
    let message = match &outcome.kind {
        OutcomeKind::Completed => String::new(),
        OutcomeKind::Failed(error)
        | OutcomeKind::TimedOut(error)
        | OutcomeKind::Cancelled(error)
        | OutcomeKind::Expired(error) => error.message.clone(),
    };
    (execution.status(), message, outcome.exit_code)
}

#[test]
fn a_cancel_takes_effect_at_once_if_no_task_is_running_or_starting() {
    for pattern in [Pattern::Sync, Pattern::Callback] {
        let before_anything = new(pattern);
        let waits_for_capacity = step(&accepted(pattern), &no_capacity(20_000), 10_000);
        let denied_start = step(&accepted(pattern), &denied(20_000), 10_000);
        let between = between_attempts(pattern);
        let cases = [
            (before_anything, "cancelled before its task was started", None),
            (waits_for_capacity, "cancelled while waiting for capacity (RESOURCE:CPU)", None),
            (denied_start, "cancelled while the start of its task was denied (AccessDenied)", None),
            (between, "cancelled while waiting to retry; attempt 2 of 3 exited with code 1", Some(1)),
        ];
        for (execution, message, exit_code) in cases {
            let cancelled = step(&execution, &Event::CancelRequested, 12_000);
            assert_eq!(told(&cancelled), (Status::Cancelled, message.into(), exit_code), "{pattern}");
            assert_eq!(cancelled.version, execution.version + 1, "one write");
            assert_eq!(cancelled.waiting, None);
            // A start may not have been recorded, so the sweep looks for its task once more.
            assert!(cancelled.due.is_some());
            // A workflow that begins after the cancel starts no task and changes nothing.
            let outcome = cancelled.outcome_without_task(at(30_000)).unwrap();
            assert_eq!(cancelled.after(&Event::Ended(outcome), at(30_000)), Ok(None));
            assert!(cancelled.after(&started(Attempt::new(3).unwrap()), at(30_000)).is_err());
        }
    }
}

/// A task may be starting, so the execution is CANCELLED only once the task has stopped.
#[test]
fn a_cancel_waits_if_a_task_may_be_starting() {
    let waits_for_capacity = step(&accepted(Pattern::Sync), &no_capacity(20_000), 10_000);
    let runs = step(&accepted(Pattern::Sync), &started(Attempt::FIRST), 1_000);
    let cases = [
        (accepted(Pattern::Sync), 12_000),
        (step(&accepted(Pattern::Sync), &denied(20_000), 10_000), 19_000),
        (waits_for_capacity.clone(), 19_000),
        (waits_for_capacity, 25_000),
        (between_attempts(Pattern::Sync), 20_500),
        (runs, 2_000),
    ];
    for (execution, when) in cases {
        let cancelling = step(&execution, &Event::CancelRequested, when);
        assert_eq!(cancelling.status(), Status::Cancelling, "{execution:?} at {when}");
    }
}

#[test]
fn starting_a_task_ends_the_wait() {
    let waits = step(&accepted(Pattern::Sync), &no_capacity(50_000), 10_000);
    let still = |now| waits.still_waits(Attempt::FIRST, at(now)).map(|wait| wait.as_secs());
    assert_eq!([still(11_000), still(49_000), still(51_000)], [Some(39), None, None]);
    let runs = step(&waits, &started(Attempt::FIRST), 11_000);
    assert!(!runs.is_idle(at(12_000)));
    assert_eq!(runs.after(&no_capacity(50_000), at(12_000)), Ok(None), "a late word");
}

#[test]
fn an_attempt_that_fails_while_the_execution_is_cancelled_is_cancelled_if_another_would_have_followed() {
    let running = step(&accepted(Pattern::Sync), &started(Attempt::FIRST), 1_000);
    let failed = |code| {
        let error = JobError::new("exit-code", "exited with code 3: why");
        Event::Ended(Outcome { exit_code: code, ..Outcome::without_job(OutcomeKind::Failed(error), at(2_000)) })
    };
    let cancelling = step(&running, &Event::CancelRequested, 1_500);
    let ended = step(&cancelling, &failed(Some(3)), 2_000);
    assert_eq!(told(&ended), (Status::Cancelled, "cancelled; attempt 1 of 3 exited with code 3".into(), Some(3)));
    let one_attempt = Request { max_attempts: 1, ..cancelling.request.clone() };
    let last = Execution { request: one_attempt, ..cancelling };
    assert_eq!(step(&last, &failed(Some(3)), 2_000).status(), Status::Failed, "it was the last");
    assert_eq!(step(&running, &failed(Some(3)), 2_000).status(), Status::Failed, "no cancel was requested");
}

#[test]
fn a_timeout_says_what_the_execution_waited_for() {
    let waits_for_capacity = step(&accepted(Pattern::Sync), &no_capacity(90_000), 10_000);
    assert_eq!(waits_for_capacity.waiting.as_ref().unwrap().until, at(60_000), "no wait extends past the deadline");
    let cases = [
        (accepted(Pattern::Sync), ErrorKind::TimedOut, "no task could be started before the deadline", None),
        (
            step(&accepted(Pattern::Sync), &denied(90_000), 10_000),
            ErrorKind::TaskRefused,
            "the start of its task was denied until the deadline (AccessDenied)",
            None,
        ),
        (waits_for_capacity, ErrorKind::NoCapacity, "ECS had no capacity until the deadline (RESOURCE:CPU)", None),
        (
            between_attempts(Pattern::Callback),
            ErrorKind::TimedOut,
            "the deadline passed while waiting to retry; attempt 2 of 3 exited with code 1",
            Some(1),
        ),
    ];
    for (execution, kind, message, exit_code) in cases {
        assert_eq!(execution.outcome_without_task(at(59_999)), None);
        let outcome = execution.outcome_without_task(at(60_000)).unwrap();
        let OutcomeKind::TimedOut(error) = &outcome.kind else { panic!("{outcome:?}") };
        assert_eq!((error.kind.clone(), &*error.message, outcome.exit_code), (kind, message, exit_code));
    }
}

#[test]
fn an_outcome_between_two_attempts_has_the_stop_code_of_the_last_one() {
    let error = JobError { stop_code: Some("SpotInterruption".into()), ..JobError::new("stopped", "host lost") };
    let failed = Event::AttemptFailed { attempt: Attempt::FIRST, error: error.clone(), excused: true, exit_code: None };
    let between = step(&step(&accepted(Pattern::Sync), &started(Attempt::FIRST), 1_000), &failed, 2_000);
    let cancelled = step(&between, &Event::CancelRequested, 3_000).outcome_without_task(at(3_000)).unwrap();
    let timed_out = between.outcome_without_task(at(60_000)).unwrap();
    for (outcome, what) in
        [(&cancelled, "cancelled while waiting to retry"), (&timed_out, "the deadline passed while waiting to retry")]
    {
        let (OutcomeKind::Cancelled(error) | OutcomeKind::TimedOut(error)) = &outcome.kind else {
            panic!("{outcome:?}")
        };
        assert_eq!(error.message, format!("{what}; attempt 1 of 4 (1 not counted) failed: stopped: host lost"));
        assert_eq!(error.stop_code.as_deref(), Some("SpotInterruption"));
    }
    let cancelling =
        step(&step(&accepted(Pattern::Sync), &started(Attempt::FIRST), 1_000), &Event::CancelRequested, 1_500);
    let ended = Event::Ended(Outcome::without_job(OutcomeKind::Failed(error), at(2_000)));
    let outcome = step(&cancelling, &ended, 2_000).state.outcome().cloned().unwrap();
    let OutcomeKind::Cancelled(error) = &outcome.kind else { panic!("{outcome:?}") };
    assert_eq!(error.message, "cancelled; attempt 1 of 3 failed: stopped: host lost");
    assert_eq!(error.stop_code.as_deref(), Some("SpotInterruption"));
}

/// A workflow that cannot continue has failed, even if a cancel was requested in the meantime.
#[test]
fn a_workflow_failure_during_a_cancel_is_a_failure() {
    let running = step(&accepted(Pattern::Sync), &started(Attempt::FIRST), 1_000);
    let cancelling = step(&running, &Event::CancelRequested, 1_500);
    let error = JobError::new(ErrorKind::WorkflowFailed, "AWS refused ecs:StopTask");
    let ended = step(&cancelling, &Event::Ended(Outcome::without_job(OutcomeKind::Failed(error), at(2_000))), 2_000);
    assert_eq!(ended.status(), Status::Failed);
}

#[test]
fn waits_for_capacity_grow() {
    let request = Request { timeout: limits::TIMEOUT, ..Request::of(Json::null()) };
    let young = Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(0));
    let wait = |execution: &Execution, second: i64| execution.wait_for_capacity(Attempt::FIRST, at(second * 1_000));
    assert_eq!(wait(&young, 10), Duration::from_secs(1), "it has not waited yet");
    let waits = step(&young, &no_capacity(11_000), 10_000);
    let seconds = [10, 11, 50, 309, 311, 36_000, 360_000].map(|second| wait(&waits, second).as_secs());
    assert_eq!(seconds, [1, 1, 40, 299, 300, 360, 3_600], "as long as it has waited, or a hundredth of its age");
    assert_eq!(wait(&waits, 300 * 86_400), Duration::from_hours(12));
}

#[test]
fn waits_for_a_denied_start_grow() {
    let request = Request { timeout: limits::TIMEOUT, ..Request::of(Json::null()) };
    let young = Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(0));
    let wait = |execution: &Execution, second: i64| execution.wait_for_permission(Attempt::FIRST, at(second * 1_000));
    assert_eq!(wait(&young, 10), Duration::from_secs(1), "it was not denied yet");
    let first = step(&young, &denied(11_000), 10_000);
    let second = step(&first, &denied(12_000), 11_000);
    assert_eq!(second.denied_since(Attempt::FIRST), Some(at(10_000)), "the first time");
    assert_eq!(second.version, young.version + 2);
    assert_eq!(second.denied_since(Attempt::FIRST.next()), None);
    assert_eq!([11, 50, 400].map(|at| wait(&second, at).as_secs()), [1, 40, 300]);
    assert_eq!(second.after(&denied(12_000), at(11_000)), Ok(None), "recorded already");
    let has_room = step(&second, &no_capacity(13_000), 12_000);
    assert_eq!(has_room.denied_since(Attempt::FIRST), None, "ECS answered");
    let runs = step(&second, &started(Attempt::FIRST), 12_000);
    assert_eq!(runs.after(&denied(14_000), at(13_000)), Ok(None), "a late word");
}

#[test]
fn a_wait_ends_just_past_the_deadline() {
    let execution = new(Pattern::Sync);
    let wait = |seconds, now| execution.until_deadline(Duration::from_secs(seconds), at(now)).as_secs();
    assert_eq!([wait(5, 0), wait(300, 0), wait(300, 57_400), wait(5, 90_000)], [5, 61, 3, 1]);
}

/// A durable execution may have 3,000 operations: see `LONGEST_FOR_CAPACITY`.
#[test]
fn a_year_without_capacity_fits_the_operation_limit() {
    for attempts in [1, 10] {
        let request = Request { timeout: limits::TIMEOUT, ..Request::of(Json::null()) };
        let mut execution = Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(0));
        let (mut now, mut tries, mut longest) = (at(0), 0, Duration::ZERO);
        while now < execution.deadline {
            let share = now.as_second() * attempts / limits::TIMEOUT.as_secs().cast_signed();
            let attempt = Attempt::new(u32::try_from(share).unwrap() + 1).unwrap();
            let wait = execution.wait_for_capacity(attempt, now);
            let until = now.checked_add(wait).unwrap();
            let event = Event::NoCapacity { attempt, why: "RESOURCE:CPU".into(), until };
            execution = execution.after(&event, now).unwrap().unwrap_or(execution);
            assert!(tries < 100 || wait >= Duration::from_secs(1));
            longest = longest.max(wait);
            tries += 1;
            now = until;
        }
        assert!(tries < 1_400, "{tries} tries");
        assert_eq!(longest, Duration::from_hours(12));
    }
}

#[test]
fn tasks_are_not_listed_while_the_client_token_is_valid() {
    let waits = step(&accepted(Pattern::Sync), &no_capacity(20_000), 10_000);
    assert!(waits.token_is_alive(Attempt::FIRST, at(20_000)));
    let fifty_minutes_later = 20_000 + 50 * 60_000;
    assert!(waits.token_is_alive(Attempt::FIRST, at(fifty_minutes_later - 1)));
    assert!(!waits.token_is_alive(Attempt::FIRST, at(fifty_minutes_later)), "the next try may have started one");
    assert!(!waits.token_is_alive(Attempt::FIRST.next(), at(20_000)), "another attempt's");
    assert!(!between_attempts(Pattern::Sync).token_is_alive(Attempt::new(3).unwrap(), at(12_000)));
}
