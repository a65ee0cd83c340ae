//! What follows an attempt: every state, outcome, number of attempts, deadline, and whether the failure is recorded already.

use std::{collections::BTreeSet, fmt::Write as _};

use super::*;
use crate::{Json, Owner, Pattern, Request, RetryRule, output::ResultSource};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const DEADLINE: i64 = 60;

fn step(from: &Execution, event: &Event) -> Execution {
    from.after(event, at(1)).unwrap().unwrap()
}

fn pending(max_attempts: u32) -> Execution {
    let timeout = Duration::from_secs(DEADLINE.unsigned_abs());
    let request = Request { timeout, max_attempts, ..Request::of(Json::null()) };
    Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(0))
}

fn running(max_attempts: u32) -> Execution {
    step(&pending(max_attempts), &Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "t1".into() })
}

fn ended(kind: OutcomeKind, exit_code: Option<i32>) -> Outcome {
    Outcome { kind, result: None, result_source: ResultSource::None, artifacts: None, exit_code, finished_at: at(1) }
}

fn failed(kind: ErrorKind, stop_code: Option<&str>, exit_code: Option<i32>) -> Outcome {
    let error = JobError { stop_code: stop_code.map(str::to_owned), ..JobError::new(kind, "why") };
    ended(OutcomeKind::Failed(error), exit_code)
}

fn outcomes() -> [(&'static str, Outcome); 11] {
    [
        ("completed", ended(OutcomeKind::Completed, Some(0))),
        ("timed out", ended(OutcomeKind::TimedOut(JobError::new(ErrorKind::TimedOut, "why")), Some(143))),
        ("cancelled", ended(OutcomeKind::Cancelled(JobError::new(ErrorKind::Cancelled, "why")), Some(143))),
        ("exited with 1", failed(ErrorKind::ExitCode, None, Some(1))),
        ("lost its host", failed(ErrorKind::Stopped, Some("InfrastructureHealth"), None)),
        ("did not start", failed(ErrorKind::TaskFailedToStart, Some("TaskFailedToStart"), None)),
        ("was retired", failed(ErrorKind::TaskRetired, Some("TerminationNotice"), None)),
        ("left its result unreadable", failed(ErrorKind::ResultUnreadable, None, Some(0))),
        ("was given up", failed(ErrorKind::WorkflowFailed, None, None)),
        ("was refused its task", failed(ErrorKind::TaskRefused, None, None)),
        ("left the catalog", failed(ErrorKind::UnknownJob, None, None)),
    ]
}

fn states(max_attempts: u32) -> [(&'static str, Execution); 4] {
    let running = running(max_attempts);
    let over = step(&running, &Event::Ended(ended(OutcomeKind::Completed, Some(0))));
    [
        ("PENDING", pending(max_attempts)),
        ("RUNNING", running.clone()),
        ("CANCELLING", step(&running, &Event::CancelRequested)),
        ("COMPLETED", over),
    ]
}

fn told(next: &Next) -> String {
    match next {
        Next::End => "end".to_owned(),
        Next::Cancelled => "cancelled".to_owned(),
        Next::Retry(retry) => format!("attempt {} in {} s", retry.attempt, retry.wait.as_secs()),
    }
}

#[test]
fn each_outcome_in_each_state_leads_to_the_step_in_the_table() {
    let mut table = String::new();
    let mut seen = BTreeSet::new();
    for (what, outcome) in outcomes() {
        for max_attempts in [1, 2] {
            for (state, execution) in states(max_attempts) {
                for (time, now) in [("in time", 30), ("late", DEADLINE)] {
                    let next = execution.next(Attempt::FIRST, &outcome, at(now));
                    writeln!(table, "{what}, 1 of {max_attempts}, {state}, {time}: {}", told(&next)).unwrap();
                    seen.insert(told(&next));
                    // The answer is the same after the failure is recorded.
                    if let Next::Retry(retry) = &next {
                        let recorded = step(&execution, &retry.failed);
                        assert_eq!(recorded.next(Attempt::FIRST, &outcome, at(now)), next, "{what} {state}");
                    }
                    let cancels = matches!(next, Next::Cancelled);
                    assert_eq!(execution.cancelled_instead(&outcome, at(now)).is_some(), cancels, "{what} {state}");
                    assert!(may_retry(max_attempts, &outcome) || next == Next::End, "{what} {state}");
                }
            }
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    insta::assert_snapshot!(table);
}

#[test]
fn a_job_with_one_attempt_is_retried_only_after_a_failure_of_the_platform() {
    let expected = |what: &str| match what {
        "exited with 1" => [false, true],
        "lost its host" | "did not start" | "was retired" => [true, true],
        _ => [false, false],
    };
    for (what, outcome) in outcomes() {
        assert_eq!([1, 2].map(|attempts| may_retry(attempts, &outcome)), expected(what), "{what}");
    }
}

#[test]
fn both_counted_and_uncounted_attempts_are_limited() {
    for (outcome, limit) in [
        (failed(ErrorKind::ExitCode, None, Some(1)), 2),
        (failed(ErrorKind::Stopped, Some("SpotInterruption"), None), 2 + limits::EXCUSED),
        (failed(ErrorKind::TaskRetired, None, None), 2 + limits::RETIRED),
    ] {
        let mut execution = running(2);
        let mut attempt = Attempt::FIRST;
        while let Next::Retry(retry) = execution.next(attempt, &outcome, at(1)) {
            execution = step(&execution, &retry.failed);
            attempt = retry.attempt;
            execution = step(&execution, &Event::TaskStarted { attempt, task_arn: format!("t{attempt}") });
        }
        assert_eq!(attempt.get(), limit, "{outcome:?}");
    }
}

#[test]
fn the_wait_before_the_next_attempt_ends_at_the_deadline() {
    let outcome = failed(ErrorKind::ExitCode, None, Some(1));
    let wait = |now| match running(2).next(Attempt::FIRST, &outcome, at(now)) {
        Next::Retry(retry) => retry.wait.as_secs(),
        next => panic!("{next:?}"),
    };
    assert_eq!([wait(1), wait(55), wait(58)], [5, 5, 3]);
}

#[test]
fn the_rule_of_the_execution_decides_which_exit_codes_are_retried_and_when() {
    let rule = RetryRule {
        on_exit_codes: Some(BTreeSet::from([75])),
        first: Duration::from_secs(7),
        longest: Duration::from_secs(10),
    };
    let with_rule = |mut execution: Execution| {
        execution.request.retry = rule.clone();
        execution
    };
    let exited = |code| failed(ErrorKind::ExitCode, None, Some(code));
    let execution = with_rule(running(3));
    let retried = execution.next(Attempt::FIRST, &exited(75), at(1));
    assert_eq!(told(&retried), "attempt 2 in 7 s");
    assert_eq!(execution.next(Attempt::FIRST, &exited(1), at(1)), Next::End);
    let second = execution.next(Attempt::FIRST.next(), &exited(75), at(1));
    assert_eq!(told(&second), "attempt 3 in 10 s");
    let Next::Retry(retry) = retried else { panic!("{retried:?}") };
    let waits = step(&execution, &retry.failed).waiting.map(|waiting| waiting.until);
    assert_eq!(waits, Some(at(8)), "the recorded wait is the same");
    let cancelling = step(&execution, &Event::CancelRequested);
    assert_eq!(cancelling.next(Attempt::FIRST, &exited(75), at(1)), Next::Cancelled);
    assert_eq!(cancelling.next(Attempt::FIRST, &exited(1), at(1)), Next::End);
    let lost = failed(ErrorKind::Stopped, Some("InfrastructureHealth"), None);
    assert_eq!(told(&execution.next(Attempt::FIRST, &lost, at(1))), "attempt 2 in 7 s");
}

/// The longest reason that ECS gives still shows which secret it is about.
#[test]
fn the_timeline_says_why_a_task_failed_to_start() {
    const ECS: &str = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable \
                       to retrieve secrets from ssm: service call has been retried 1 time(s): invalid parameters: /app/key";
    let error = JobError {
        stop_code: Some("TaskFailedToStart".to_owned()),
        ..JobError::new(ErrorKind::TaskFailedToStart, format!("{ECS}\nmore"))
    };
    let failed = ended(OutcomeKind::Failed(error), None);
    let Next::Retry(retry) = running(1).next(Attempt::FIRST, &failed, at(1)) else { panic!("it is retried") };
    let failed = step(&running(1), &retry.failed);
    let detail = failed.timeline.entries().last().unwrap().detail.clone().unwrap();
    assert_eq!(
        detail,
        "attempt 1: task-failed-to-start (not counted): ResourceInitializationError: unab…al failed: unable to retrieve secrets \
         from ssm: service call has been retried 1 time(s): invalid parameters: /app/key"
    );
}

/// The timeline has every attempt that failed, including one whose task could not be started.
#[test]
fn the_timeline_has_the_failure_of_the_last_attempt() {
    let timeline = |execution: &Execution, outcome: &Outcome| {
        let over = step(execution, &Event::Ended(outcome.clone()));
        let entries = over.timeline.entries().iter().filter(|entry| entry.what == Moment::AttemptFailed);
        entries.filter_map(|entry| entry.detail.clone()).collect::<Vec<_>>()
    };
    let exited = failed(ErrorKind::ExitCode, None, Some(1));
    let refused = failed(ErrorKind::TaskRefused, None, None);
    let Next::Retry(retry) = running(2).next(Attempt::FIRST, &exited, at(1)) else { panic!("it is retried") };
    let between = step(&running(2), &retry.failed);
    let second = step(&between, &Event::TaskStarted { attempt: retry.attempt, task_arn: "t2".into() });
    assert_eq!(timeline(&second, &exited), ["attempt 1: exit-code", "attempt 2: exit-code"]);
    assert_eq!(timeline(&between, &refused), ["attempt 1: exit-code", "attempt 2: task-refused: why"]);
    assert_eq!(timeline(&between, &exited), ["attempt 1: exit-code"], "the second attempt never began");
    assert_eq!(timeline(&second, &failed(ErrorKind::WorkflowFailed, None, None)), ["attempt 1: exit-code"]);
    assert_eq!(timeline(&running(1), &exited), [] as [&str; 0], "the end of the execution says the same");
}
