//! The real workflows, run by the SDK's own runner, with every fault at every activity.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

mod support;

use std::{fmt::Write as _, sync::Arc};

use aws_durable_execution_sdk::test_util::{LocalRunner, TestResult};
use contract::checkpoint::Finished;
use domain::{Attempt, Json, OutcomeKind, Pattern, Status};
use durable::{callback, sync};
use support::{FakeActivities, Fault, Script};

/// More waits than any workflow here needs.
const WAITS: usize = 40;

/// How each wait for a task ends.
#[derive(Debug, Clone, Copy)]
enum Wake {
    /// By its timeout, as if no event ever came.
    Timeout,
    /// By a wake-up with this result.
    Says(&'static str),
}

/// The reconciler's payload. It must never change, because workflows in flight receive it.
const STOPPED: Wake = Wake::Says(r#"{"stopped":true}"#);

fn runner(wake: Wake) -> LocalRunner {
    (0..WAITS).fold(LocalRunner::new().max_invocations(200), |runner, _| match wake {
        Wake::Timeout => runner.callback_timeout(),
        Wake::Says(result) => runner.callback_success(&serde_json::from_str::<serde_json::Value>(result).unwrap()),
    })
}

async fn run_on(runner: LocalRunner, activities: &FakeActivities, pattern: Pattern) -> TestResult<Finished> {
    let activities = Arc::new(activities.clone());
    match pattern {
        Pattern::Sync => runner.run(move |input: Json, ctx| sync(activities.clone(), input, ctx), Json::null()).await,
        Pattern::Callback => {
            runner.run(move |input: Json, ctx| callback(activities.clone(), input, ctx), Json::null()).await
        }
    }
}

async fn run(activities: &FakeActivities, life: &Life) -> TestResult<Finished> {
    run_on(runner(life.wake), activities, life.pattern).await
}

/// A scenario and its expected outcome, which no fault changes.
#[derive(Debug, Clone)]
struct Life {
    name: &'static str,
    pattern: Pattern,
    script: Script,
    wake: Wake,
    status: Status,
    tasks: usize,
}

fn lives() -> Vec<Life> {
    let life =
        |name, pattern, script, status, tasks| Life { name, pattern, script, wake: Wake::Timeout, status, tasks };
    let told = |life| Life { wake: STOPPED, ..life };
    let plain = Script::default;
    // More tries than any other failure gets.
    let no_room = || Script { busy: 30, never_room: true, ..plain() };
    let refused = || Script { refused: true, max_attempts: 3, ..plain() };
    vec![
        life("completes", Pattern::Sync, plain(), Status::Completed, 1),
        life("fails", Pattern::Sync, Script { exits: vec![3], ..plain() }, Status::Failed, 1),
        life(
            "completes at the second attempt",
            Pattern::Sync,
            Script { exits: vec![3, 0], max_attempts: 3, ..plain() },
            Status::Completed,
            2,
        ),
        told(life("is told of the end", Pattern::Sync, Script { checks: 1, ..plain() }, Status::Completed, 1)),
        told(life(
            "is told of the end of each attempt",
            Pattern::Sync,
            Script { checks: 1, exits: vec![3, 0], max_attempts: 3, ..plain() },
            Status::Completed,
            2,
        )),
        told(life("is told of an end too early", Pattern::Sync, plain(), Status::Completed, 1)),
        life(
            "is seen to have stopped too early",
            Pattern::Sync,
            Script { wrong_check: Some(1), ..plain() },
            Status::Completed,
            1,
        ),
        life("waits for capacity", Pattern::Sync, Script { busy: 3, ..plain() }, Status::Completed, 1),
        life("finds no capacity", Pattern::Sync, no_room(), Status::TimedOut, 0),
        life(
            "is cancelled while an attempt fails",
            Pattern::Sync,
            Script { exits: vec![3, 0], max_attempts: 3, cancel_at_failure: true, ..plain() },
            Status::Cancelled,
            1,
        ),
        life(
            "is cancelled",
            Pattern::Sync,
            Script { checks: 9, cancel_at_check: Some(2), ..plain() },
            Status::Cancelled,
            1,
        ),
        life("is cancelled first", Pattern::Sync, Script { cancelled_before: true, ..plain() }, Status::Cancelled, 0),
        life("is refused its task", Pattern::Sync, refused(), Status::Failed, 0),
        life("starts", Pattern::Callback, plain(), Status::Running, 1),
        life("cannot start", Pattern::Callback, no_room(), Status::TimedOut, 0),
        life(
            "starts again",
            Pattern::Callback,
            Script { begin_with: Attempt::FIRST.next(), max_attempts: 2, ..plain() },
            Status::Running,
            1,
        ),
        life("is refused its task", Pattern::Callback, refused(), Status::Failed, 0),
    ]
}

/// Checks that each attempt has exactly one task, that the final state is the expected one, and that the durable execution's own
/// status agrees.
fn check(life: &Life, activities: &FakeActivities, run: &TestResult<Finished>, what: &str) {
    let name = life.name;
    let final_states = usize::from(life.status.is_final());
    assert_eq!(activities.status(), life.status, "{name}, {what}: {:?}", run.error_message());
    assert_eq!(activities.tasks_started(), life.tasks, "{name}, {what}: tasks");
    assert_eq!(activities.final_states(), final_states, "{name}, {what}: final states");
    let succeeds = matches!(life.status, Status::Completed | Status::Running);
    assert_eq!(run.is_success(), succeeds, "{name}, {what}: {:?}", run.error_message());
    if life.pattern == Pattern::Sync {
        assert_eq!(activities.tasks_running(), 0, "{name}, {what}: a task is left running");
    }
}

#[tokio::test]
async fn every_scenario_has_its_expected_outcome() {
    for life in lives() {
        let activities = FakeActivities::new(life.pattern, life.script.clone(), Fault::None);
        check(&life, &activities, &run(&activities, &life).await, "undisturbed");
    }
}

/// At every activity of every scenario, the call fails, AWS denies it, its reply is lost, or it is made twice.
#[tokio::test]
async fn every_fault_at_every_activity_leaves_the_outcome_unchanged() {
    for life in lives() {
        let undisturbed = FakeActivities::new(life.pattern, life.script.clone(), Fault::None);
        run(&undisturbed, &life).await;
        for nth in 1..=undisturbed.activities_run() {
            for fault in [Fault::FailBefore(nth), Fault::DenyOnce(nth), Fault::LoseReply(nth), Fault::Repeat(nth)] {
                let activities = FakeActivities::new(life.pattern, life.script.clone(), fault);
                check(&life, &activities, &run(&activities, &life).await, &format!("{fault:?}"));
            }
        }
    }
}

/// The process crashes between an activity and its record: the checkpoint never arrives, and the next invocation replays.
#[tokio::test]
async fn the_loss_of_any_checkpoint_leaves_the_outcome_unchanged() {
    for life in lives() {
        // Each operation writes two checkpoints at most.
        let undisturbed = FakeActivities::new(life.pattern, life.script.clone(), Fault::None);
        let operations = run(&undisturbed, &life).await.operations().len();
        for skip in 0..operations * 2 {
            let activities = FakeActivities::new(life.pattern, life.script.clone(), Fault::None);
            let runner = runner(life.wake).fail_checkpoints_after_retryable(skip, 1);
            check(
                &life,
                &activities,
                &run_on(runner, &activities, life.pattern).await,
                &format!("checkpoint {skip} lost"),
            );
        }
    }
}

/// AWS refuses every activity from one of them on. The failure is recorded, and no task is left running.
#[tokio::test]
async fn a_permanent_failure_is_recorded_and_leaves_nothing_running() {
    let mut kept = 0;
    for life in lives() {
        let undisturbed = FakeActivities::new(life.pattern, life.script.clone(), Fault::None);
        run(&undisturbed, &life).await;
        // The first activity is accepting the execution. Without it, there is no item to record anything in.
        for nth in 2..=undisturbed.activities_run() {
            let activities = FakeActivities::new(life.pattern, life.script.clone(), Fault::RefuseFrom(nth));
            let run = run(&activities, &life).await;
            assert_eq!(activities.tasks_running(), 0, "{}, refused from {nth}", life.name);
            // The job's outcome is known by then, and must not be dropped.
            if let Some(known) = activities.known_at_the_end() {
                kept += 1;
                let mut recorded = activities.outcome().unwrap();
                let failed = matches!(known.kind, OutcomeKind::Failed(_));
                if life.script.cancel_at_failure && failed && activities.status() == Status::Cancelled {
                    // The cancel prevented another attempt, so the recorded outcome is CANCELLED, with the rest unchanged.
                    recorded.kind = known.kind.clone();
                }
                assert_eq!(recorded, known, "{}, refused from {nth}", life.name);
                continue;
            }
            assert!(run.is_failure(), "{}, refused from {nth}", life.name);
            assert!(run.error_message().is_some_and(|why| why.contains("access denied")), "{:?}", run.error_message());
            assert_eq!(
                (activities.status(), activities.final_states()),
                (Status::Failed, 1),
                "{}, refused from {nth}",
                life.name
            );
        }
    }
    assert!(kept >= 10, "only {kept} outcomes were known");
}

/// The execution ends between the start of its task and the record of it, so nothing else knows the task.
#[tokio::test]
async fn a_task_of_an_execution_that_ended_during_the_start_is_stopped() {
    for pattern in [Pattern::Sync, Pattern::Callback] {
        let activities = FakeActivities::new(pattern, Script { ends_at_start: true, ..Script::default() }, Fault::None);
        run_on(runner(Wake::Timeout), &activities, pattern).await;
        assert_eq!(
            (activities.tasks_started(), activities.tasks_running(), activities.final_states()),
            (1, 0, 1),
            "{pattern}"
        );
    }
}

/// A wake-up that does not say that the task has ended ends the wait, and the next check sees why: a cancel, for example, or an
/// older version that woke it.
#[tokio::test]
async fn a_wake_up_ends_a_wait() {
    for said in ["null", r#"{"stopped":false}"#, r#""come and see""#, r#"{"stopped":"yes"}"#] {
        let activities = FakeActivities::new(Pattern::Sync, Script::default(), Fault::None);
        let run = run_on(runner(Wake::Says(said)), &activities, Pattern::Sync).await;
        assert_eq!((run.is_success(), activities.status()), (true, Status::Completed), "{said}");
        let checks = run.operations().iter().filter(|operation| operation.name() == Some("check-task")).count();
        assert_eq!(checks, 3, "{said}");
    }
}

/// What a workflow records, in order. A change here breaks executions in flight, unless they stay on the old version.
#[tokio::test]
async fn the_operations_of_a_workflow_are_a_contract() {
    let mut contract = String::new();
    for life in lives() {
        let activities = FakeActivities::new(life.pattern, life.script.clone(), Fault::None);
        let run = run(&activities, &life).await;
        writeln!(contract, "{} {}:", life.pattern, life.name).unwrap();
        for operation in run.operations() {
            let (name, kind) = (operation.name().unwrap_or("-"), operation.op_type());
            let recorded = operation.result().or(operation.error_type()).unwrap_or("-");
            writeln!(contract, "  {name:<14} {kind:<9} {:<10} {recorded}", operation.status()).unwrap();
        }
    }
    insta::assert_snapshot!(contract);
}
