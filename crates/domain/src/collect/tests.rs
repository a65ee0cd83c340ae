//! Every result of each read, with each patience.

use std::fmt::Write as _;

use super::*;
use crate::{
    Attempt, Event, JobLog, Json, OutcomeKind, Owner, Pattern, Request, Unknown,
    output::{Exit, Output, ResultSource, judge as outcome_of},
    task::Container,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn execution(log: Option<JobLog>) -> Execution {
    let new = Execution::new("e1".parse().unwrap(), Pattern::Sync, Owner::new("ada"), Request::of(Json::null()), at(0));
    let started = Event::TaskStarted { attempt: Attempt::FIRST, task_arn: "arn".into() };
    Execution { log, ..new }.after(&started, at(1)).unwrap().unwrap()
}

fn log() -> JobLog {
    JobLog { group: "group".into(), stream_prefix: "task".into(), container: "job".into(), unknown: Unknown::default() }
}

fn exited(code: i32) -> Task {
    Task {
        arn: "arn".into(),
        stopped: true,
        started_at: None,
        stop_code: Some("EssentialContainerExited".into()),
        stopped_reason: None,
        stopped_at: Some(at(2)),
        containers: vec![Container { name: "job".into(), exit_code: Some(code), reason: None }],
        environment: Vec::new(),
    }
}

fn report() -> Report {
    let output = Output::Json(Json::parse("[1]").unwrap());
    Report::new(outcome_of(Exit::Code(0), output, ResultSource::File, "", at(2)), None)
}

fn failed(transient: bool) -> ReadFailed {
    ReadFailed { why: "the read failed".into(), transient }
}

fn told(step: &Step) -> String {
    match step {
        Step::ReadLog => "read the log".to_owned(),
        Step::Retry => "retry".to_owned(),
        Step::Decided(outcome) => match &outcome.kind {
            OutcomeKind::Completed => format!("completed, result from {}", outcome.result_source.as_str()),
            OutcomeKind::Failed(error) => format!("{}: {}", error.kind, error.message),
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn each_read_leads_to_the_step_in_the_table() {
    let mut table = String::new();
    for (logs, execution) in [("a log", execution(Some(log()))), ("no log", execution(None))] {
        let task = exited(0);
        let stopped = StoppedTask { execution: &execution, arn: "arn", described: Some(&task) };
        for patience in [Patience::Late, Patience::Failures, Patience::None] {
            let report = report();
            for (read, result) in [
                ("a report", Ok(Some(&report))),
                ("no report", Ok(None)),
                ("a transient failure", Err(failed(true))),
                ("a permanent failure", Err(failed(false))),
            ] {
                let step = stopped.after_report(result, patience, at(3));
                writeln!(table, "report, {logs}, {patience:?}, {read}: {}", told(&step)).unwrap();
            }
        }
    }
    let (execution, task) = (execution(Some(log())), exited(0));
    let stopped = StoppedTask { execution: &execution, arn: "arn", described: Some(&task) };
    for patience in [Patience::Late, Patience::Failures, Patience::None] {
        let lines = [Line { at: at(1), text: "[1]".into() }];
        for (read, result) in [
            ("a result", Ok(&lines[..])),
            ("nothing", Ok(&[][..])),
            ("a transient failure", Err(failed(true))),
            ("a permanent failure", Err(failed(false))),
        ] {
            let step = stopped.after_log(result, patience, at(3));
            writeln!(table, "log, {patience:?}, {read}: {}", told(&step)).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// Without the report, the exit code can come from ECS and the result from the log.
#[test]
fn the_log_is_read_if_the_report_can_never_be_read() {
    let (execution, task) = (execution(Some(log())), exited(0));
    let stopped = StoppedTask { execution: &execution, arn: "arn", described: Some(&task) };
    for (failed, patience) in [(failed(false), Patience::Late), (failed(true), Patience::None)] {
        assert_eq!(stopped.after_report(Err(failed), patience, at(3)), Step::ReadLog);
    }
}
