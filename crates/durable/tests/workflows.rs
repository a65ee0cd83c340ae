//! The real workflows, driven by the SDK's own runner through everything that can go wrong with an effect.

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
use domain::{Attempt, Json, Pattern, Status, Verdict};
use durable::{Finished, callback, sync};
use support::{Fault, Script, World};

/// More than any run here needs.
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

async fn run_on(runner: LocalRunner, world: &World, pattern: Pattern) -> TestResult<Finished> {
    let world = Arc::new(world.clone());
    match pattern {
        Pattern::Sync => runner.run(move |input: Json, ctx| sync(world.clone(), input, ctx), Json::null()).await,
        Pattern::Callback => {
            runner.run(move |input: Json, ctx| callback(world.clone(), input, ctx), Json::null()).await
        }
    }
}

async fn run(world: &World, life: &Life) -> TestResult<Finished> {
    run_on(runner(life.wake), world, life.pattern).await
}

/// A scenario and its expected outcome, whatever goes wrong.
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
    // More tries than any other failure is allowed.
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
        told(life("is told of the end", Pattern::Sync, Script { looks: 1, ..plain() }, Status::Completed, 1)),
        told(life(
            "is told of the end of each attempt",
            Pattern::Sync,
            Script { looks: 1, exits: vec![3, 0], max_attempts: 3, ..plain() },
            Status::Completed,
            2,
        )),
        told(life("is told of an end too early", Pattern::Sync, plain(), Status::Completed, 1)),
        life(
            "is seen to have stopped too early",
            Pattern::Sync,
            Script { wrong_look: Some(1), ..plain() },
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
            Script { looks: 9, cancel_at_look: Some(2), ..plain() },
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
fn check(life: &Life, world: &World, run: &TestResult<Finished>, what: &str) {
    let name = life.name;
    let final_states = usize::from(life.status.is_final());
    assert_eq!(world.status(), life.status, "{name}, {what}: {:?}", run.error_message());
    assert_eq!(world.tasks_started(), life.tasks, "{name}, {what}: tasks");
    assert_eq!(world.final_states(), final_states, "{name}, {what}: final states");
    let succeeds = matches!(life.status, Status::Completed | Status::Running);
    assert_eq!(run.is_success(), succeeds, "{name}, {what}: {:?}", run.error_message());
    if life.pattern == Pattern::Sync {
        assert_eq!(world.tasks_running(), 0, "{name}, {what}: a task is left running");
    }
}

#[tokio::test]
async fn every_life_ends_as_it_should() {
    for life in lives() {
        let world = World::new(life.pattern, life.script.clone(), Fault::None);
        check(&life, &world, &run(&world, &life).await, "undisturbed");
    }
}

/// At every effect of every scenario: it does not happen, AWS denies it, its reply is lost, or it happens twice.
#[tokio::test]
async fn survives_every_fault_at_every_effect() {
    for life in lives() {
        let undisturbed = World::new(life.pattern, life.script.clone(), Fault::None);
        run(&undisturbed, &life).await;
        for nth in 1..=undisturbed.effects() {
            for fault in [Fault::FailBefore(nth), Fault::DenyOnce(nth), Fault::LoseReply(nth), Fault::Repeat(nth)] {
                let world = World::new(life.pattern, life.script.clone(), fault);
                check(&life, &world, &run(&world, &life).await, &format!("{fault:?}"));
            }
        }
    }
}

/// The process crashes between an effect and its record: the checkpoint never arrives, and the next invocation replays.
#[tokio::test]
async fn survives_the_loss_of_every_checkpoint() {
    for life in lives() {
        // Each operation writes two checkpoints at most.
        let undisturbed = World::new(life.pattern, life.script.clone(), Fault::None);
        let operations = run(&undisturbed, &life).await.operations().len();
        for skip in 0..operations * 2 {
            let world = World::new(life.pattern, life.script.clone(), Fault::None);
            let runner = runner(life.wake).fail_checkpoints_after_retryable(skip, 1);
            check(&life, &world, &run_on(runner, &world, life.pattern).await, &format!("checkpoint {skip} lost"));
        }
    }
}

/// From some effect on, AWS refuses everything that the workflow does: that is recorded, and nothing is left running.
#[tokio::test]
async fn what_cannot_be_mended_is_recorded() {
    let mut kept = 0;
    for life in lives() {
        let undisturbed = World::new(life.pattern, life.script.clone(), Fault::None);
        run(&undisturbed, &life).await;
        // The first effect is accepting the execution. Without it, there is no item to record anything in.
        for nth in 2..=undisturbed.effects() {
            let world = World::new(life.pattern, life.script.clone(), Fault::RefuseFrom(nth));
            let run = run(&world, &life).await;
            assert_eq!(world.tasks_running(), 0, "{}, refused from {nth}", life.name);
            // The job's outcome is known by then, and must not be dropped.
            if let Some(known) = world.known_at_the_end() {
                kept += 1;
                let mut recorded = world.ending().unwrap();
                let failed = matches!(known.verdict, Verdict::Failed(_));
                if life.script.cancel_at_failure && failed && world.status() == Status::Cancelled {
                    // The cancel kept another attempt from following: the record says so, and keeps the rest.
                    recorded.verdict = known.verdict.clone();
                }
                assert_eq!(recorded, known, "{}, refused from {nth}", life.name);
                continue;
            }
            assert!(run.is_failure(), "{}, refused from {nth}", life.name);
            assert!(run.error_message().is_some_and(|why| why.contains("access denied")), "{:?}", run.error_message());
            assert_eq!(
                (world.status(), world.final_states()),
                (Status::Failed, 1),
                "{}, refused from {nth}",
                life.name
            );
        }
    }
    assert!(kept >= 10, "only {kept} ends were known");
}

/// The execution ends between the start of its task and the record of it, so nothing else knows the task.
#[tokio::test]
async fn a_task_of_an_execution_that_ended_meanwhile_is_stopped() {
    for pattern in [Pattern::Sync, Pattern::Callback] {
        let world = World::new(pattern, Script { ends_at_start: true, ..Script::default() }, Fault::None);
        run_on(runner(Wake::Timeout), &world, pattern).await;
        assert_eq!((world.tasks_started(), world.tasks_running(), world.final_states()), (1, 0, 1), "{pattern}");
    }
}

/// A wake-up that does not say that the task has ended ends the wait, and the next look sees why: a cancel, for example, or an
/// older version that woke it.
#[tokio::test]
async fn a_wake_up_ends_a_wait() {
    for said in ["null", r#"{"stopped":false}"#, r#""come and see""#, r#"{"stopped":"yes"}"#] {
        let world = World::new(Pattern::Sync, Script::default(), Fault::None);
        let run = run_on(runner(Wake::Says(said)), &world, Pattern::Sync).await;
        assert_eq!((run.is_success(), world.status()), (true, Status::Completed), "{said}");
        let looks = run.operations().iter().filter(|operation| operation.name() == Some("check-task")).count();
        assert_eq!(looks, 3, "{said}");
    }
}

/// What a workflow records, in order. A change here breaks executions in flight, unless they stay on the old version.
#[tokio::test]
async fn the_operations_of_a_run_are_a_contract() {
    let mut contract = String::new();
    for life in lives() {
        let world = World::new(life.pattern, life.script.clone(), Fault::None);
        let run = run(&world, &life).await;
        writeln!(contract, "{} {}:", life.pattern, life.name).unwrap();
        for operation in run.operations() {
            let (name, kind) = (operation.name().unwrap_or("-"), operation.op_type());
            let recorded = operation.result().or(operation.error_type()).unwrap_or("-");
            writeln!(contract, "  {name:<14} {kind:<9} {:<10} {recorded}", operation.status()).unwrap();
        }
    }
    insta::assert_snapshot!(contract);
}
