//! The real workflows and activities, run by the SDK's own runner against an emulator of AWS, with every fault at every activity.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

mod support;

use std::fmt::Write as _;

use domain::{OutcomeKind, Pattern, Status};
use support::{Account, Case, Fault, Ran, Scenario, Script, Wake, long_starts, scenarios};

/// Checks that each attempt has exactly one task, that the final state is the expected one, and that the durable execution's own
/// status agrees.
fn check(ran: &Ran) {
    let (scenario, name) = (&ran.scenario, ran.name());
    assert_eq!(ran.execution.status(), scenario.status, "{name}");
    assert_eq!(ran.tasks.len(), scenario.tasks, "{name}: tasks");
    assert_eq!(ran.ends(), usize::from(scenario.status.is_final()), "{name}: ends");
    let succeeds = matches!(scenario.status, Status::Completed | Status::Running);
    assert_eq!(ran.result.is_success(), succeeds, "{name}");
    if scenario.pattern == Pattern::Sync {
        assert_eq!(ran.tasks_running(), 0, "{name}: a task is left running");
    }
}

/// Every scenario without a fault.
async fn undisturbed(account: &Account) -> Vec<Ran> {
    account.run_all(scenarios().iter().map(|scenario| Case::new(scenario, Fault::None))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_has_its_expected_outcome() {
    undisturbed(&Account::open().await).await.iter().for_each(check);
}

/// At every activity of every scenario, the call is made twice, or it fails, is denied, and its reply is lost, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn every_fault_at_every_activity_leaves_the_outcome_unchanged() {
    let account = Account::open().await;
    let mut cases = Vec::new();
    for Ran { scenario, activities, .. } in undisturbed(&account).await {
        for nth in 1..=activities {
            cases.extend([Fault::ThreeTries(nth), Fault::Repeat(nth)].map(|fault| Case::new(&scenario, fault)));
        }
    }
    account.run_all(cases).await.iter().for_each(check);
}

/// The process crashes between an activity and its record: the checkpoint never arrives, and the next invocation replays.
#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_any_checkpoint_leaves_the_outcome_unchanged() {
    let account = Account::open().await;
    let mut cases = Vec::new();
    for Ran { scenario, result, .. } in undisturbed(&account).await {
        // Each operation writes two checkpoints at most.
        let checkpoints = result.operations().len() * 2;
        cases.extend((0..checkpoints).map(|nth| Case::with_lost_checkpoint(&scenario, nth)));
    }
    account.run_all(cases).await.iter().for_each(check);
}

/// A fault at a late try of a start changes nothing, even after more tries than any other activity gets.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_is_retried_for_as_long_as_waiting_helps() {
    let account = Account::open().await;
    let cases = long_starts()
        .into_iter()
        .flat_map(|scenario| [Fault::None, Fault::LoseReply(22)].map(|fault| Case::new(&scenario, fault)));
    for ran in account.run_all(cases).await {
        check(&ran);
        let tries = if ran.scenario.status == Status::TimedOut { 30 } else { 8 };
        assert!(ran.activities > tries, "{}: {} activities", ran.name(), ran.activities);
    }
}

/// AWS refuses every activity from one of them on. The failure is recorded, and no task is left running.
#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_failure_is_recorded_and_leaves_nothing_running() {
    let account = Account::open().await;
    let mut cases = Vec::new();
    for Ran { scenario, activities, .. } in undisturbed(&account).await {
        // The first activity is accepting the execution. Without it, the workflow does not know that there is an item.
        // A cancel before the start time ends the execution at once, at the second activity.
        let last = if scenario.script.cancelled_while_scheduled { 2 } else { activities };
        cases.extend((2..=last).map(|nth| Case::new(&scenario, Fault::RefuseFrom(nth))));
    }
    let mut kept = 0;
    for ran in account.run_all(cases).await {
        let name = ran.name();
        assert_eq!(ran.tasks_running(), 0, "{name}");
        let status = ran.execution.status();
        // The job's outcome is known by then, and must not be dropped.
        if let Some(known) = ran.known {
            kept += 1;
            let mut recorded = ran.execution.state.outcome().unwrap().clone();
            let failed = matches!(known.kind, OutcomeKind::Failed(_));
            if ran.scenario.script.cancel_at_failure && failed && status == Status::Cancelled {
                // The cancel prevented another attempt, so the recorded outcome is CANCELLED, with the rest unchanged.
                recorded.kind = known.kind.clone();
            }
            assert_eq!(recorded, known, "{name}");
            continue;
        }
        assert!(ran.result.is_failure(), "{name}");
        assert!(ran.result.error_message().is_some_and(|why| why.contains("access denied")), "{name}");
        assert_eq!((status, ran.ends()), (Status::Failed, 1), "{name}");
    }
    assert!(kept >= 10, "only {kept} outcomes were known");
}

/// The execution ends between the start of its task and the record of it, so nothing else knows the task.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_an_execution_that_ended_during_the_start_is_stopped() {
    let account = Account::open().await;
    for pattern in [Pattern::Sync, Pattern::Callback] {
        let script = Script { ends_at_start: true, ..Script::default() };
        let scenario = Scenario::new("ends during the start", pattern, script, Status::Failed, 1);
        let ran = account.run_one(Case::new(&scenario, Fault::None)).await;
        assert_eq!((ran.tasks.len(), ran.tasks_running(), ran.ends()), (1, 0, 1), "{pattern}");
    }
}

/// A wake-up may end a wait without saying that the task has stopped, for example because of a cancel, or because an older version sent it.
/// Then the next check shows what happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_wake_up_ends_a_wait() {
    let account = Account::open().await;
    let script = Script { checks: 2, ..Script::default() };
    let plain = Scenario::new("is woken", Pattern::Sync, script, Status::Completed, 1);
    let words = ["null", r#"{"stopped":false}"#, r#""come and see""#, r#"{"stopped":"yes"}"#];
    let scenarios = words.map(|said| Scenario { wake: Wake::Says(said), ..plain.clone() });
    let cases = scenarios.iter().map(|scenario| Case::new(scenario, Fault::None));
    for ran in account.run_all(cases).await {
        check(&ran);
        let checks = ran.result.operations().iter().filter(|operation| operation.name() == Some("check-task"));
        assert_eq!(checks.count(), 3, "{:?}", ran.scenario.wake);
    }
}

/// What a workflow records, in order. A change here breaks executions in flight, unless they stay on the old version.
#[tokio::test(flavor = "multi_thread")]
async fn the_operations_of_a_workflow_are_a_contract() {
    let mut contract = String::new();
    for ran in undisturbed(&Account::open().await).await {
        writeln!(contract, "{} {}:", ran.scenario.pattern, ran.scenario.name).unwrap();
        for operation in ran.result.operations() {
            let (name, kind) = (operation.name().unwrap_or("-"), operation.op_type());
            let recorded = operation.result().or(operation.error_type()).unwrap_or("-");
            let recorded = ran.without_names_and_times(recorded);
            writeln!(contract, "  {name:<14} {kind:<9} {:<10} {recorded}", operation.status()).unwrap();
        }
    }
    insta::assert_snapshot!(contract);
}
