//! An execution of a year, in minutes: the clock is moved forward to each poll of the task.
//!
//! `YEAR_DAYS` is the number of days. Each poll replays all earlier ones, so a year takes minutes in a debug build. The gate runs a
//! month, because after three days every day costs the same. `make year` runs the whole year.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    blocked_jobs::BlockedJobs,
    choices::option,
    stack::{PATIENCE, Stack},
};

/// AWS's limit on the operations of a durable execution.
const MOST_OPERATIONS: usize = 3_000;
/// The limit that this test sets for a year.
const FEW_OPERATIONS: usize = 1_600;

const DAY: Duration = Duration::from_hours(24);
const YEAR_DAYS: u64 = 365;

/// The sweep visits an old execution every half hour.
const UNTIL_SWEEP: Duration = Duration::from_mins(31);

/// Two polls a day, each with a callback and a step.
const OPERATIONS_A_DAY: usize = 4;

/// All events are lost. Every poll is due to a timeout, and the sweep sees the task's end. The workflow's next poll, up to twelve hours
/// later, would come too late, because ECS forgets a stopped task after an hour.
#[tokio::test]
async fn a_year_of_waiting_stays_within_the_limit_of_operations() {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--movable-clock", "--job", &blocked.job("blocked")]).await;
    for on in ["events:ECS Task State Change", "events:Durable Execution Status Change"] {
        stack.arm(&json!({ "on": on, "does": "cutBefore", "times": "all" })).await;
    }
    let days = option("YEAR_DAYS", 30).min(YEAR_DAYS);
    let began = Instant::now();
    let body = json!({ "job": "blocked", "input": null, "timeoutSeconds": YEAR_DAYS * DAY.as_secs() });
    let id = stack.start_execution("sync", &body).await["executionId"].as_str().unwrap().to_owned();
    stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
    let (mut waited, mut polls, mut last) = (Duration::ZERO, 0, 0);
    // The last poll comes before the deadline, which is a year after the start.
    while let Some((event, wait)) = next_wait(&stack, &arn, last).await {
        (last, polls) = (event, polls + 1);
        if waited + 2 * wait >= u32::try_from(days).unwrap() * DAY {
            blocked.release(&id);
            stack.wait_for_tasks_to_stop(&id).await;
            stack.forward(UNTIL_SWEEP).await;
            break;
        }
        stack.forward(wait).await;
        waited += wait;
    }
    let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{done:#}");
    let operations = operations(&stack, &arn).await;
    let waited = waited.as_secs() / DAY.as_secs();
    println!("year: {waited} days, {polls} polls, {operations} operations, in {:.0?}", began.elapsed());
    assert!(waited + 1 >= days, "{waited} days");
    let left = usize::try_from(YEAR_DAYS - waited).unwrap();
    let year = operations + left * OPERATIONS_A_DAY;
    assert!(year < MOST_OPERATIONS, "a year costs {year} operations");
    assert!(year < FEW_OPERATIONS, "a year costs {year} operations, more than our own limit");
}

/// The workflow's next wait after the event `last`: the event with which it began, and its duration. `None` if the workflow has ended.
pub(crate) async fn next_wait(stack: &Stack, arn: &str, last: u64) -> Option<(u64, Duration)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let newest = stack.of_durable_execution(arn, "/history?ReverseOrder=true&MaxItems=6").await;
        let events = newest["Events"].as_array().unwrap();
        let of = |kind: &str| events.iter().find(|event| event["EventType"] == kind);
        if of("ExecutionSucceeded").or_else(|| of("ExecutionFailed")).is_some() {
            return None;
        }
        // The invocation that created the callback and polled has ended, so the workflow is waiting.
        let waits = events.first().is_some_and(|event| event["EventType"] == "InvocationCompleted");
        if let (true, Some(callback), Some(_)) = (waits, of("CallbackStarted"), of("StepSucceeded")) {
            let event = callback["EventId"].as_u64().unwrap();
            if event > last {
                let timeout = callback["CallbackStartedDetails"]["Timeout"].as_u64().unwrap();
                return Some((event, Duration::from_secs(timeout)));
            }
        }
        assert!(Instant::now() < deadline, "no wait after event {last}: {newest:#}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The operations that count against an execution's limit: each that started, including each retry of a step.
async fn operations(stack: &Stack, arn: &str) -> usize {
    let mut count = 0;
    let mut marker = String::new();
    loop {
        let page = stack.of_durable_execution(arn, &format!("/history?MaxItems=1000{marker}")).await;
        let begins = |event: &&Value| event["EventType"].as_str().unwrap().ends_with("Started");
        count += page["Events"].as_array().unwrap().iter().filter(begins).count();
        let Some(next) = page["NextMarker"].as_str() else { return count };
        marker.clear();
        write!(marker, "&Marker={next}").unwrap();
    }
}

#[tokio::test]
async fn with_events_the_end_of_a_task_is_recorded_before_a_sweep() {
    const RUNS: usize = 80;
    const AT_ONCE: usize = 10;
    let stack = Stack::start(&["--job", "nap=sleep 1; echo '[1]'"]).await;
    let mut lags = Vec::new();
    for _ in 0..RUNS / AT_ONCE {
        let mut ids = Vec::new();
        for _ in 0..AT_ONCE {
            let started = stack.start_execution("sync", &json!({ "job": "nap", "input": null })).await;
            ids.push(started["executionId"].as_str().unwrap().to_owned());
        }
        for id in ids {
            let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
            assert_eq!(done["status"], "COMPLETED", "{done:#}");
            let time = |at: &Value| at.as_str().unwrap().parse::<Timestamp>().unwrap();
            let recorded = time(&done["timeline"].as_array().unwrap().last().unwrap()["at"]);
            lags.push(recorded.duration_since(time(&done["finishedAt"])));
        }
    }
    lags.sort();
    let [p50, p99] = [lags[RUNS / 2], lags[RUNS * 99 / 100]];
    println!("a task's end is recorded after {p50:#} (p50), {p99:#} (p99), in {RUNS} runs");
    // Without events it would take a minute, until the next sweep. With events it takes seconds on a busy machine.
    assert!(p50 < SignedDuration::from_secs(20), "{p50:#}");
}
