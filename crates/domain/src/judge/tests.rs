//! Tasks as ECS describes them, and what they came to.

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

fn judged(execution: &Execution, task: &Task, log: &[&str]) -> (Ending, String) {
    let ending = ending(execution, Some(task), &lines(log), at(99));
    let told = match &ending.verdict {
        Verdict::Completed => "completed".to_owned(),
        Verdict::Failed(error) => format!("failed: {}: {}", error.kind, error.message),
        Verdict::TimedOut(error) => format!("timed out: {}", error.message),
        Verdict::Cancelled(error) => format!("cancelled: {}", error.message),
    };
    (ending, told)
}

const EXITED: &str = "EssentialContainerExited";

#[test]
fn a_task_that_exits_with_0_completes_with_its_last_json_line() {
    let (ending, told) = judged(&execution(), &task(Some(0), EXITED), &["hello", r#"{"n":1}"#, "bye"]);
    assert_eq!(told, "completed");
    assert_eq!(ending.result.unwrap().text(), r#"{"n":1}"#);
    assert_eq!((ending.exit_code, ending.finished_at), (Some(0), at(30)));
}

#[test]
fn an_exit_code_is_that_of_the_container_that_works() {
    let codes = [Some(0), Some(3), None];
    assert_eq!(codes.map(|code| exit_code(&execution(), &task(code, EXITED))), codes);
    for (container, code) in [("sidecar", Some(143)), ("no such container", None)] {
        let prints = Execution { log: Some(log_of(container)), ..execution() };
        assert_eq!(exit_code(&prints, &task(Some(3), EXITED)), code);
    }
    assert_eq!(exit_code(&Execution { log: None, ..execution() }, &task(Some(3), EXITED)), None);
}

#[test]
fn a_failure_has_its_code_its_last_words_and_its_stop_code() {
    let (ending, told) = judged(&execution(), &task(Some(3), EXITED), &["working", "no such order"]);
    assert_eq!(told, "failed: exit-code: exited with code 3");
    let Verdict::Failed(error) = ending.verdict else { panic!("{told}") };
    assert_eq!(error.log_tail.as_deref(), Some("working\nno such order"));
    assert_eq!(error.stop_code.as_deref(), Some(EXITED));
}

#[test]
fn an_error_has_the_last_20_lines_or_the_end_of_a_long_one() {
    let tail = |texts: &[String]| {
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let (ending, told) = judged(&execution(), &task(Some(3), EXITED), &texts);
        let Verdict::Failed(error) = ending.verdict else { panic!("{told}") };
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
fn a_task_is_stopped_for_a_cancel_a_deadline_or_an_end() {
    let reasons = |execution: &Execution| [59, 60].map(|now| reason_to_stop(execution, at(now)));
    assert_eq!(reasons(&execution()), [None, Some("the execution's deadline has passed")]);
    assert_eq!(reasons(&cancelling()), [Some("the execution was cancelled"); 2]);
    let ended = Event::Ended(ending(&execution(), Some(&task(Some(0), EXITED)), &[], at(30)));
    assert_eq!(reasons(&execution().after(&ended, at(30)).unwrap().unwrap()), [Some("the execution is over"); 2]);
}

/// ECS may not know a task that it has just started.
#[test]
fn a_task_that_ecs_does_not_know_is_lost_after_ten_minutes() {
    let execution = execution();
    let run = execution.state.run().unwrap();
    assert_eq!([1, 600, 601, 86_400].map(|now| is_forgotten(run, at(now))), [false, false, true, true]);
}

#[test]
fn whose_stop_it_was_decides_what_it_is_called() {
    let stopped = task(Some(143), "UserInitiated");
    assert!(judged(&cancelling(), &stopped, &[]).1.starts_with("cancelled: "));
    assert!(judged(&execution(), &stopped, &[]).1.starts_with("failed: stopped: "));
    let late = Task { stopped_at: Some(at(61)), ..stopped };
    assert_eq!(judged(&execution(), &late, &[]).1, "timed out: timed out after 1 min");
    assert_eq!(judged(&cancelling(), &late, &[]).1, "cancelled: cancelled");
}

/// A program that answers the SIGTERM of a Spot interruption with exit code 0 has not completed.
#[test]
fn what_the_platform_stopped_has_not_completed_and_is_excused() {
    for (code, kind, excuse) in [
        ("SpotInterruption", "stopped", true),
        ("InfrastructureHealth", "stopped", true),
        ("TerminationNotice", "task-retired", true),
        ("ServiceSchedulerInitiated", "task-retired", true),
        ("UserInitiated", "stopped", false),
    ] {
        for exit_code in [Some(0), Some(143), None] {
            let (ending, told) = judged(&execution(), &task(exit_code, code), &["1"]);
            assert!(told.starts_with(&format!("failed: {kind}: ")), "{code}: {told}");
            assert_eq!(excused(&ending), excuse, "{code}");
        }
    }
    // A retirement is told by its reason too, whatever the code.
    for code in ["UserInitiated", EXITED, "SomethingNew"] {
        let reason = format!("{MAINTENANCE}.");
        let retired = Task { stopped_reason: Some(reason.clone()), ..task(Some(143), code) };
        let (ending, told) = judged(&execution(), &retired, &[]);
        assert_eq!(told, format!("failed: task-retired: AWS retired the platform of the task: {reason}"), "{code}");
        assert!(excused(&ending) && worth_another(&ending), "{code}");
    }
    let cancelled = Task { stopped_reason: Some(MAINTENANCE.into()), ..task(Some(143), "TerminationNotice") };
    assert!(judged(&cancelling(), &cancelled, &[]).1.starts_with("cancelled: "));
    assert!(excused(&judged(&execution(), &task(None, FAILED_TO_START), &[]).0));
    assert!(!excused(&judged(&execution(), &task(Some(3), EXITED), &[]).0));
}

#[test]
fn a_job_that_was_through_before_it_was_stopped_has_completed() {
    assert_eq!(judged(&cancelling(), &task(Some(0), EXITED), &["1"]).1, "completed");
    let late = Task { stopped_at: Some(at(61)), ..task(Some(0), EXITED) };
    assert_eq!(judged(&execution(), &late, &["1"]).1, "completed");
}

#[test]
fn a_job_that_does_not_begin_because_it_is_cancelled_is_cancelled() {
    assert!(judged(&cancelling(), &task(Some(143), EXITED), &[]).1.starts_with("cancelled: "));
}

#[test]
fn the_worker_in_the_task_keeps_the_deadline_too() {
    let late = Task { stopped_at: Some(at(61)), ..task(Some(143), EXITED) };
    assert!(judged(&execution(), &late, &[]).1.starts_with("timed out: "));
}

#[test]
fn a_task_that_never_ran_says_why() {
    let mut failed = task(None, FAILED_TO_START);
    failed.containers[1].reason = Some("CannotPullContainerError: no such image".into());
    let told = judged(&execution(), &failed, &[]).1;
    assert_eq!(told, "failed: task-failed-to-start: CannotPullContainerError: no such image");
}

#[test]
fn a_reason_of_the_containers_stands_in_front() {
    let mut killed = task(Some(137), EXITED);
    killed.containers[1].reason = Some("OutOfMemoryError: Container killed due to memory usage".into());
    let told = judged(&execution(), &killed, &[]).1;
    assert!(told.starts_with("failed: signal: OutOfMemoryError"), "{told}");
}

#[test]
fn a_task_that_ecs_has_forgotten_is_lost() {
    let ending = ending(&execution(), None, &lines(&["1"]), at(99));
    let Verdict::Failed(error) = ending.verdict else { panic!("{ending:?}") };
    assert_eq!(error.kind, ErrorKind::TaskLost);
    assert_eq!(ending.finished_at, at(99));
}

#[test]
fn a_line_that_the_log_driver_cut_is_too_large_for_a_result() {
    assert_eq!(MAX_EVENT_BYTES, 262_118);
    let full = format!("[\"{}", "x".repeat(MAX_EVENT_BYTES - 2));
    let (ending, told) = judged(&execution(), &task(Some(0), EXITED), &["[1]", &full, "rest\"]"]);
    assert!(told.starts_with("failed: result-too-large"), "{told}");
    assert_eq!(ending.result, None);
    // Between characters, it is cut a little earlier.
    let wide = format!("[ \"{}", "€".repeat((MAX_EVENT_BYTES - 3) / 3));
    assert!(wide.len() < MAX_EVENT_BYTES);
    let told = judged(&execution(), &task(Some(0), EXITED), &[&wide, "€\"]"]).1;
    assert!(told.starts_with("failed: result-too-large"), "{told}");
    let plain = "x".repeat(MAX_EVENT_BYTES);
    for (log, result) in [(&["[1]", &plain, "[2]"], "[1]"), (&[&full, "rest\"]", "[2]"], "[2]")] {
        assert_eq!(judged(&execution(), &task(Some(0), EXITED), log).0.result.unwrap().text(), result);
    }
}

/// A line that is shorter by a character of four bytes than the longest event was not cut: the next one is of its own.
#[test]
fn a_long_line_that_was_not_cut_ends() {
    let source = |bytes| judged(&execution(), &task(Some(0), EXITED), &[&"x".repeat(bytes), "[1]"]).0.result_source;
    assert_eq!(source(MAX_EVENT_BYTES - 4), ResultSource::Log);
    assert_eq!(source(MAX_EVENT_BYTES - 3), ResultSource::NoneInText);
}

/// Reading stops where a result is, which may be in the middle of something else.
#[test]
fn what_was_read_before_a_result_does_not_matter() {
    let (ending, _) = judged(&execution(), &task(Some(0), EXITED), &["  [1,", "{\"n\": 1}", "bye"]);
    assert_eq!(ending.result.unwrap().text(), "{\"n\": 1}");
}

#[test]
fn a_document_in_the_log_may_span_lines() {
    let (ending, _) =
        judged(&execution(), &task(Some(0), EXITED), &["hello", "{", "  \"n\": [", "    1", "  ]", "}", "bye"]);
    assert_eq!(ending.result.unwrap().text(), "{\n  \"n\": [\n    1\n  ]\n}");
    assert_eq!(ending.result_source, ResultSource::Log);
}

#[test]
fn reading_a_log_goes_on_until_a_whole_document_is_there() {
    assert!(holds_result(&lines(&["{\"n\": 1}", "bye"])));
    for part in [&["    {\"x\": 1}", "  ]", "}"][..], &["bye"], &["{\"n\": NaN}"], &[]] {
        assert!(!holds_result(&lines(part)), "{part:?}");
    }
}

/// More lines behind a result than are read.
#[test]
fn a_result_out_of_reach_is_told() {
    let told = |texts: Vec<&str>| judged(&execution(), &task(Some(0), EXITED), &texts).0.result_source;
    let many = |count| vec!["[INFO] working"; count];
    assert_eq!(told(many(LINES - 1)), ResultSource::NoneInText);
    assert_eq!(told(many(LINES)), ResultSource::NoneInReach);
    assert_eq!(told(vec!["{\"n\": NaN}"]), ResultSource::NoneButBroken);
    assert_eq!(told(vec![]), ResultSource::None);
}

#[test]
fn a_callback_s_last_lines_come_after_its_end() {
    let ended = Event::Ended(ending(&execution(), Some(&task(Some(0), EXITED)), &[], at(99)));
    let ended = execution().after(&ended, at(30)).unwrap().unwrap();
    let callback = Execution { pattern: Pattern::Callback, ..ended.clone() };
    assert!(!has_printed_all(&execution(), at(50)));
    assert!(has_printed_all(&ended, at(30)));
    assert_eq!([30, 40, 41].map(|now| has_printed_all(&callback, at(now))), [false, false, true]);
}

/// AWS shows the task and not its log: the exit code is kept, the missing permission is named, and nothing is run again for its
/// result.
#[test]
fn a_log_that_may_not_be_read_costs_the_result_and_not_the_exit_code() {
    const WHY: &str = "logs:GetLogEvents was denied";
    let without = |exit_code, code| ending_without_log(&execution(), Some(&task(exit_code, code)), WHY, at(5));
    let error = |ending: &Ending| match &ending.verdict {
        Verdict::Failed(error) => (error.kind.clone(), error.message.clone()),
        other => panic!("{other:?}"),
    };
    let completed = without(Some(0), EXITED);
    let told = format!("exited with code 0, but its result could not be read: {WHY}");
    assert_eq!((completed.exit_code, error(&completed)), (Some(0), ("result-unreadable".into(), told)));
    assert!(!worth_another(&completed) && !excused(&completed));
    let failed = without(Some(3), EXITED);
    let told = format!("exited with code 3; its log could not be read: {WHY}");
    assert_eq!((failed.exit_code, error(&failed)), (Some(3), ("exit-code".into(), told)));
    assert!(worth_another(&failed));
}

fn report(exit_code: i32, told: Option<Told>, second: i64) -> Report {
    let exit = Exit::Code(exit_code);
    let result = Output::Json(Json::parse("[1]").unwrap());
    Report::new(judge(exit, result, ResultSource::Stdout, "last words", at(second)), told)
}

/// Each of them exits with 0, and ECS's own word is that the task was stopped.
#[test]
fn a_worker_s_report_tells_what_an_exit_code_does_not() {
    let stopped = task(Some(0), "UserInitiated");
    for (execution, told, second, verdict) in [
        (execution(), None, 30, "Completed"),
        (cancelling(), None, 30, "Completed"),
        (execution(), Some(Told::BySignal), 30, "Failed(stopped: the task was stopped)"),
        (cancelling(), Some(Told::BySignal), 30, "Cancelled(cancelled: cancelled)"),
        (execution(), Some(Told::BySignal), 61, "TimedOut(timed-out: timed out after 1 min)"),
        (execution(), Some(Told::ByDeadline), 59, "TimedOut(timed-out: timed out after 1 min)"),
        (cancelling(), Some(Told::ByDeadline), 61, "Cancelled(cancelled: cancelled)"),
    ] {
        let ending = reported(&execution, Some(&stopped), &report(0, told, second), at(99));
        let (name, error) = match &ending.verdict {
            Verdict::Completed => ("Completed", None),
            Verdict::Failed(error) => ("Failed", Some(error)),
            Verdict::TimedOut(error) => ("TimedOut", Some(error)),
            Verdict::Cancelled(error) => ("Cancelled", Some(error)),
        };
        let seen = error.map_or(name.to_owned(), |error| format!("{name}({}: {})", error.kind, error.message));
        assert_eq!(seen, verdict, "{told:?}");
        assert_eq!((ending.exit_code, ending.result.unwrap().text()), (Some(0), "[1]"));
        assert_eq!(ending.finished_at, at(second));
    }
}

#[test]
fn a_report_does_not_hide_what_the_platform_did() {
    let interrupted = reported(
        &execution(),
        Some(&task(Some(143), "SpotInterruption")),
        &report(143, Some(Told::BySignal), 30),
        at(99),
    );
    assert!(excused(&interrupted));
    let Verdict::Failed(error) = &interrupted.verdict else { panic!("{interrupted:?}") };
    assert_eq!(error.log_tail.as_deref(), Some("last words"));
    // Without the task there is the report.
    let forgotten = reported(&execution(), None, &report(3, None, 30), at(99));
    let Verdict::Failed(error) = &forgotten.verdict else { panic!("{forgotten:?}") };
    assert_eq!((error.kind.clone(), forgotten.exit_code), (ErrorKind::ExitCode, Some(3)));
    for (said, finished) in [(-5, 0), (500, 99)] {
        let ending = reported(&execution(), None, &report(0, None, said), at(99));
        assert_eq!(ending.finished_at, at(finished), "the worker's clock is wrong");
    }
}
