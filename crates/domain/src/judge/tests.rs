//! Tasks as ECS describes them, and their outcomes.

use std::time::Duration;

use super::*;
use crate::{Attempt, Event, JobLog, Json, Owner, Pattern, Request, Unknown, limits};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Running since second 0, with its deadline at second 60.
fn execution() -> Execution {
    let request = Request { timeout: Duration::from_mins(1), ..Request::of(Json::null()) };
    let new = Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), request, at(0));
    let new = Execution { log: Some(log_of("job")), ..new };
    let started = Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "arn".into() };
    new.after(&started, at(0)).unwrap().unwrap()
}

fn log_of(container: &str) -> JobLog {
    JobLog {
        group: "group".into(),
        stream_prefix: "task".into(),
        container: container.into(),
        unknown: Unknown::default(),
    }
}

fn cancelling() -> Execution {
    execution().after(&Event::CancelRequested, at(1)).unwrap().unwrap()
}

fn task(exit_code: Option<i32>, stop_code: &str) -> Task {
    let job = Container { name: "job".into(), exit_code, reason: None };
    let other = Container { name: "sidecar".into(), exit_code: Some(143), reason: None };
    Task {
        arn: "arn".into(),
        stopped: true,
        started_at: None,
        stop_code: Some(stop_code.into()),
        stopped_reason: Some("why it stopped".into()),
        stopped_at: Some(at(30)),
        containers: vec![other, job],
        environment: Vec::new(),
    }
}

fn lines(texts: &[&str]) -> Vec<Line> {
    texts.iter().map(|text| Line { at: at(1), text: (*text).to_owned() }).collect()
}

fn judged(execution: &Execution, task: &Task, log: &[&str]) -> (Outcome, String) {
    let outcome = outcome(execution, Some(task), &lines(log), at(99));
    let told = match &outcome.kind {
        OutcomeKind::Completed => "completed".to_owned(),
        OutcomeKind::Failed(error) => format!("failed: {}: {}", error.kind, error.message),
        OutcomeKind::TimedOut(error) => format!("timed out: {}", error.message),
        OutcomeKind::Cancelled(error) | OutcomeKind::Expired(error) => format!("cancelled: {}", error.message),
    };
    (outcome, told)
}

const EXITED: &str = "EssentialContainerExited";

#[test]
fn a_task_that_exits_with_0_completes_with_its_last_json_line() {
    let (outcome, told) = judged(&execution(), &task(Some(0), EXITED), &["hello", r#"{"n":1}"#, "bye"]);
    assert_eq!(told, "completed");
    assert_eq!(outcome.result.unwrap().text(), r#"{"n":1}"#);
    assert_eq!((outcome.exit_code, outcome.finished_at), (Some(0), at(30)));
}

#[test]
fn the_exit_code_is_that_of_the_job_s_container() {
    let codes = [Some(0), Some(3), None];
    assert_eq!(codes.map(|code| exit_code(&execution(), &task(code, EXITED))), codes);
    for (container, code) in [("sidecar", Some(143)), ("no such container", None)] {
        let prints = Execution { log: Some(log_of(container)), ..execution() };
        assert_eq!(exit_code(&prints, &task(Some(3), EXITED)), code);
    }
    assert_eq!(exit_code(&Execution { log: None, ..execution() }, &task(Some(3), EXITED)), None);
}

#[test]
fn a_failure_has_an_exit_code_a_log_tail_and_a_stop_code() {
    let (outcome, told) = judged(&execution(), &task(Some(3), EXITED), &["working", "no such order"]);
    assert_eq!(told, "failed: exit-code: exited with code 3");
    let OutcomeKind::Failed(error) = outcome.kind else { panic!("{told}") };
    assert_eq!(error.log_tail.as_deref(), Some("working\nno such order"));
    assert_eq!(error.stop_code.as_deref(), Some(EXITED));
}

#[test]
fn the_log_tail_is_20_lines_or_the_end_of_a_long_line() {
    let tail = |texts: &[String]| {
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let (outcome, told) = judged(&execution(), &task(Some(3), EXITED), &texts);
        let OutcomeKind::Failed(error) = outcome.kind else { panic!("{told}") };
        error.log_tail.unwrap()
    };
    let lines: Vec<_> = (1..=25).map(|number| format!("line {number}")).collect();
    assert_eq!(tail(&lines), lines[5..].join("\n"));
    let long = format!("{} no such order", "x".repeat(2 * limits::LOG_TAIL_BYTES));
    let kept = tail(&["before".to_owned(), long]);
    assert_eq!(kept.len(), limits::LOG_TAIL_BYTES);
    assert!(kept.starts_with("…x") && kept.ends_with("x no such order"), "{kept}");
}

#[test]
fn a_task_is_stopped_if_its_execution_is_cancelled_overdue_or_over() {
    let reasons = |execution: &Execution| [59, 60].map(|now| reason_to_stop(execution, at(now)));
    assert_eq!(reasons(&execution()), [None, Some("the execution's deadline has passed")]);
    assert_eq!(reasons(&cancelling()), [Some("the execution was cancelled"); 2]);
    let ended = Event::Ended(outcome(&execution(), Some(&task(Some(0), EXITED)), &[], at(30)));
    assert_eq!(reasons(&execution().after(&ended, at(30)).unwrap().unwrap()), [Some("the execution is over"); 2]);
}

/// ECS may not know a task that it has just started.
#[test]
fn a_task_that_ecs_does_not_know_is_lost_after_ten_minutes() {
    let execution = execution();
    let started = execution.state.started_task().unwrap();
    assert_eq!([1, 600, 601, 86_400].map(|now| is_forgotten(started, at(now))), [false, false, true, true]);
}

#[test]
fn the_reason_for_a_stop_decides_the_outcome() {
    let stopped = task(Some(143), "UserInitiated");
    assert!(judged(&cancelling(), &stopped, &[]).1.starts_with("cancelled: "));
    assert!(judged(&execution(), &stopped, &[]).1.starts_with("failed: stopped: "));
    let late = Task { stopped_at: Some(at(61)), ..stopped };
    assert_eq!(judged(&execution(), &late, &[]).1, "timed out: timed out after 1 min");
    assert_eq!(judged(&cancelling(), &late, &[]).1, "cancelled: cancelled");
}

/// A program that answers the SIGTERM of a Spot interruption with exit code 0 has not completed.
#[test]
fn a_task_that_the_platform_stopped_has_failed_and_is_excused() {
    for (code, kind, excuse) in [
        ("SpotInterruption", "stopped", true),
        ("InfrastructureHealth", "stopped", true),
        ("TerminationNotice", "task-retired", true),
        ("ServiceSchedulerInitiated", "task-retired", true),
        ("UserInitiated", "stopped", false),
    ] {
        for exit_code in [Some(0), Some(143), None] {
            let (outcome, told) = judged(&execution(), &task(exit_code, code), &["1"]);
            assert!(told.starts_with(&format!("failed: {kind}: ")), "{code}: {told}");
            assert_eq!(excused(&outcome), excuse, "{code}");
        }
    }
    // A retirement is also recognized by its reason, whatever the stop code.
    for code in ["UserInitiated", EXITED, "SomethingNew"] {
        let reason = format!("{MAINTENANCE}.");
        let retired = Task { stopped_reason: Some(reason.clone()), ..task(Some(143), code) };
        let (outcome, told) = judged(&execution(), &retired, &[]);
        assert_eq!(told, format!("failed: task-retired: AWS retired the platform of the task: {reason}"), "{code}");
        assert!(excused(&outcome) && may_be_retried(&outcome), "{code}");
    }
    let cancelled = Task { stopped_reason: Some(MAINTENANCE.into()), ..task(Some(143), "TerminationNotice") };
    assert!(judged(&cancelling(), &cancelled, &[]).1.starts_with("cancelled: "));
    assert!(excused(&judged(&execution(), &task(None, FAILED_TO_START), &[]).0));
    assert!(!excused(&judged(&execution(), &task(Some(3), EXITED), &[]).0));
}

#[test]
fn a_job_that_completed_before_it_was_stopped_is_completed() {
    assert_eq!(judged(&cancelling(), &task(Some(0), EXITED), &["1"]).1, "completed");
    let late = Task { stopped_at: Some(at(61)), ..task(Some(0), EXITED) };
    assert_eq!(judged(&execution(), &late, &["1"]).1, "completed");
}

#[test]
fn a_job_that_a_cancel_kept_from_starting_is_cancelled() {
    assert!(judged(&cancelling(), &task(Some(143), EXITED), &[]).1.starts_with("cancelled: "));
}

#[test]
fn a_job_that_its_worker_stopped_at_the_deadline_is_timed_out() {
    let late = Task { stopped_at: Some(at(61)), ..task(Some(143), EXITED) };
    assert!(judged(&execution(), &late, &[]).1.starts_with("timed out: "));
}

#[test]
fn a_task_that_failed_to_start_has_the_reason_in_its_error() {
    let mut failed = task(None, FAILED_TO_START);
    failed.containers[1].reason = Some("CannotPullContainerError: no such image".into());
    let told = judged(&execution(), &failed, &[]).1;
    assert_eq!(told, "failed: task-failed-to-start: CannotPullContainerError: no such image");
}

#[test]
fn a_container_s_reason_precedes_the_message() {
    let mut killed = task(Some(137), EXITED);
    killed.containers[1].reason = Some("OutOfMemoryError: Container killed due to memory usage".into());
    let told = judged(&execution(), &killed, &[]).1;
    assert!(told.starts_with("failed: signal: OutOfMemoryError"), "{told}");
}

#[test]
fn a_task_that_ecs_has_forgotten_is_task_lost() {
    let outcome = outcome(&execution(), None, &lines(&["1"]), at(99));
    let OutcomeKind::Failed(error) = outcome.kind else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::TaskLost);
    assert_eq!(outcome.finished_at, at(99));
}

#[test]
fn a_line_that_the_log_driver_split_is_too_large_for_a_result() {
    assert_eq!(MAX_EVENT_BYTES, 262_118);
    let full = format!("[\"{}", "x".repeat(MAX_EVENT_BYTES - 2));
    let (outcome, told) = judged(&execution(), &task(Some(0), EXITED), &["[1]", &full, "rest\"]"]);
    assert!(told.starts_with("failed: result-too-large"), "{told}");
    assert_eq!(outcome.result, None);
    // The log driver splits only between characters, so it may split a line a little before the maximum.
    let wide = format!("[ \"{}", "€".repeat((MAX_EVENT_BYTES - 3) / 3));
    assert!(wide.len() < MAX_EVENT_BYTES);
    let told = judged(&execution(), &task(Some(0), EXITED), &[&wide, "€\"]"]).1;
    assert!(told.starts_with("failed: result-too-large"), "{told}");
    let plain = "x".repeat(MAX_EVENT_BYTES);
    for (log, result) in [(&["[1]", &plain, "[2]"], "[1]"), (&[&full, "rest\"]", "[2]"], "[2]")] {
        assert_eq!(judged(&execution(), &task(Some(0), EXITED), log).0.result.unwrap().text(), result);
    }
}

/// A line that is shorter than the longest event by a character of four bytes was not split, so the next event is another line.
#[test]
fn a_long_line_that_was_not_split_ends_at_its_event() {
    let source = |bytes| judged(&execution(), &task(Some(0), EXITED), &[&"x".repeat(bytes), "[1]"]).0.result_source;
    assert_eq!(source(MAX_EVENT_BYTES - 4), ResultSource::Log);
    assert_eq!(source(MAX_EVENT_BYTES - 3), ResultSource::NoneInText);
}

/// Reading stops at a result, so the first lines may begin in the middle of another document.
#[test]
fn lines_before_a_result_are_ignored() {
    let (outcome, _) = judged(&execution(), &task(Some(0), EXITED), &["  [1,", "{\"n\": 1}", "bye"]);
    assert_eq!(outcome.result.unwrap().text(), "{\"n\": 1}");
}

#[test]
fn a_json_document_in_the_log_can_span_lines() {
    let (outcome, _) =
        judged(&execution(), &task(Some(0), EXITED), &["hello", "{", "  \"n\": [", "    1", "  ]", "}", "bye"]);
    assert_eq!(outcome.result.unwrap().text(), "{\n  \"n\": [\n    1\n  ]\n}");
    assert_eq!(outcome.result_source, ResultSource::Log);
}

#[test]
fn a_log_is_read_until_it_has_a_complete_document() {
    assert!(holds_result(&lines(&["{\"n\": 1}", "bye"])));
    for part in [&["    {\"x\": 1}", "  ]", "}"][..], &["bye"], &["{\"n\": NaN}"], &[]] {
        assert!(!holds_result(&lines(part)), "{part:?}");
    }
}

/// If the maximum number of lines was read, the log may have a result before them.
#[test]
fn the_result_source_says_why_there_is_no_result() {
    let told = |texts: Vec<&str>| judged(&execution(), &task(Some(0), EXITED), &texts).0.result_source;
    let many = |count| vec!["[INFO] working"; count];
    assert_eq!(told(many(LINES - 1)), ResultSource::NoneInText);
    assert_eq!(told(many(LINES)), ResultSource::NoneInReach);
    assert_eq!(told(vec!["{\"n\": NaN}"]), ResultSource::NoneButBroken);
    assert_eq!(told(vec![]), ResultSource::None);
}

#[test]
fn a_callback_log_is_complete_ten_seconds_after_the_end() {
    let ended = Event::Ended(outcome(&execution(), Some(&task(Some(0), EXITED)), &[], at(99)));
    let ended = execution().after(&ended, at(30)).unwrap().unwrap();
    let callback = Execution { pattern: Pattern::Callback, ..ended.clone() };
    assert!(!has_printed_all(&execution(), at(50)));
    assert!(has_printed_all(&ended, at(30)));
    assert_eq!([30, 40, 41].map(|now| has_printed_all(&callback, at(now))), [false, false, true]);
}

/// AWS allows access to the task but not to its log: the exit code is kept, the error names the permission, and the job is not run
/// again for its result.
#[test]
fn without_access_to_the_log_the_exit_code_is_kept_and_the_result_is_lost() {
    const WHY: &str = "logs:GetLogEvents was denied";
    let without = |exit_code, code| outcome_without_log(&execution(), Some(&task(exit_code, code)), WHY, at(5));
    let error = |outcome: &Outcome| match &outcome.kind {
        OutcomeKind::Failed(error) => (error.kind.clone(), error.message.clone()),
        other => panic!("{other:?}"),
    };
    let completed = without(Some(0), EXITED);
    let told = format!("exited with code 0, but its result could not be read: {WHY}");
    assert_eq!((completed.exit_code, error(&completed)), (Some(0), ("result-unreadable".into(), told)));
    assert!(!may_be_retried(&completed) && !excused(&completed));
    let failed = without(Some(3), EXITED);
    let told = format!("exited with code 3; its log could not be read: {WHY}");
    assert_eq!((failed.exit_code, error(&failed)), (Some(3), ("exit-code".into(), told)));
    assert!(may_be_retried(&failed));
}

fn report(exit_code: i32, told: Option<Told>, second: i64) -> Report {
    let exit = Exit::Code(exit_code);
    let result = Output::Json(Json::parse("[1]").unwrap());
    Report::new(judge(exit, result, ResultSource::Stdout, "last words", at(second)), told)
}

/// In each case, the job exits with 0, and ECS says that the task was stopped.
#[test]
fn a_report_says_who_stopped_the_job() {
    let stopped = task(Some(0), "UserInitiated");
    for (execution, told, second, kind) in [
        (execution(), None, 30, "Completed"),
        (cancelling(), None, 30, "Completed"),
        (execution(), Some(Told::BySignal), 30, "Failed(stopped: the task was stopped: why it stopped)"),
        (cancelling(), Some(Told::BySignal), 30, "Cancelled(cancelled: cancelled)"),
        (execution(), Some(Told::BySignal), 61, "TimedOut(timed-out: timed out after 1 min)"),
        (execution(), Some(Told::ByDeadline), 59, "TimedOut(timed-out: timed out after 1 min)"),
        (cancelling(), Some(Told::ByDeadline), 61, "Cancelled(cancelled: cancelled)"),
    ] {
        let outcome = reported(&execution, Some(&stopped), &report(0, told, second), at(99));
        let (name, error) = match &outcome.kind {
            OutcomeKind::Completed => ("Completed", None),
            OutcomeKind::Failed(error) => ("Failed", Some(error)),
            OutcomeKind::TimedOut(error) => ("TimedOut", Some(error)),
            OutcomeKind::Cancelled(error) | OutcomeKind::Expired(error) => ("Cancelled", Some(error)),
        };
        let seen = error.map_or(name.to_owned(), |error| format!("{name}({}: {})", error.kind, error.message));
        assert_eq!(seen, kind, "{told:?}");
        assert_eq!((outcome.exit_code, outcome.result.unwrap().text()), (Some(0), "[1]"));
        assert_eq!(outcome.finished_at, at(second));
    }
}

#[test]
fn a_report_does_not_hide_a_platform_failure() {
    let interrupted = reported(
        &execution(),
        Some(&task(Some(143), "SpotInterruption")),
        &report(143, Some(Told::BySignal), 30),
        at(99),
    );
    assert!(excused(&interrupted));
    let OutcomeKind::Failed(error) = &interrupted.kind else { panic!("{interrupted:?}") };
    assert_eq!(error.log_tail.as_deref(), Some("last words"));
    // Without the task, the report decides.
    let forgotten = reported(&execution(), None, &report(3, None, 30), at(99));
    let OutcomeKind::Failed(error) = &forgotten.kind else { panic!("{forgotten:?}") };
    assert_eq!((error.kind.clone(), forgotten.exit_code), (ErrorKind::ExitCode, Some(3)));
    for (said, finished) in [(-5, 0), (500, 99)] {
        let outcome = reported(&execution(), None, &report(0, None, said), at(99));
        assert_eq!(outcome.finished_at, at(finished), "the worker's clock is wrong");
    }
}
