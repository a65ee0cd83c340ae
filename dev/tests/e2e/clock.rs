//! Tests with a clock that is moved forward.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    stack::{Stack, command, eventually},
    year::next_wait,
};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// Whether a time that a program reported is not before `day`, and not later than `day` plus the time that has passed since `read`.
fn agrees(at: &Value, day: Timestamp, read: Instant) -> bool {
    let at: Timestamp = at.as_str().unwrap().parse().unwrap();
    let passed = SignedDuration::try_from(read.elapsed()).unwrap() + SignedDuration::from_secs(1);
    (SignedDuration::ZERO..=passed).contains(&at.duration_since(day))
}

/// The API, the functions, the worker and the job's program, also after a restart of the stack.
#[tokio::test]
async fn all_programs_see_the_moved_clock() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--movable-clock", "--job", r#"date=date -u +'["%Y-%m-%dT%H:%M:%SZ"]'"#];
    let mut stack = Stack::start_over(directory.path(), &arguments).await;
    let read = Instant::now();
    let began: Timestamp = stack.local("clock").await["now"].as_str().unwrap().parse().unwrap();
    for days in [100_u64, 200] {
        stack.forward(Duration::from_secs(100 * DAY)).await;
        let day = began.checked_add(Duration::from_secs(days * DAY)).unwrap();
        for pattern in ["sync", "callback"] {
            let done = stack.run(pattern, json!({ "job": "date", "input": null })).await;
            let timeline = done["timeline"].as_array().unwrap().iter().map(|entry| &entry["at"]);
            for at in timeline.chain([&done["createdAt"], &done["finishedAt"]]) {
                assert!(agrees(at, day, read), "{at} is not {day}: {done:#}");
            }
            // The job prints whole seconds.
            let day = day.checked_sub(SignedDuration::from_secs(1)).unwrap();
            assert!(agrees(&done["result"][0], day, read), "{} is not {day}", done["result"]);
        }
        stack.process.kill().await.unwrap();
        stack = Stack::start_over(directory.path(), &arguments).await;
    }
}

/// For a callback execution, the sweep notices the deadline.
#[tokio::test]
async fn moving_the_clock_past_a_deadline_times_the_execution_out() {
    let stack = Stack::start(&["--movable-clock", "--job", "long=exec sleep 300"]).await;
    let mut ids = Vec::new();
    for pattern in ["sync", "callback"] {
        let job = json!({ "job": "long", "input": null, "timeoutSeconds": DAY });
        let started = stack.start_execution(pattern, &job).await;
        let id = started["executionId"].as_str().unwrap().to_owned();
        stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
        ids.push(id);
    }
    stack.forward(Duration::from_secs(DAY + 60)).await;
    for id in ids {
        let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
        assert_eq!(done["status"], "TIMED_OUT", "{done:#}");
    }
}

/// There are no events and no sweep. The workflow must poll at the deadline, not only at its next regular poll.
#[tokio::test]
async fn a_workflow_notices_its_deadline_without_events_and_sweeps() {
    let stack = Stack::start(&["--movable-clock", "--job", "long=exec sleep 300"]).await;
    for rule in ["longhaul-sweep", "longhaul-task-stopped", "longhaul-workflow-ended"] {
        stack.call("AWSEvents.DisableRule", json!({ "Name": rule })).await;
    }
    let job = json!({ "job": "long", "input": null, "timeoutSeconds": HOUR });
    let id = stack.start_execution("sync", &job).await["executionId"].as_str().unwrap().to_owned();
    let running = stack.wait_for(&id, |execution| execution["status"] == "RUNNING").await;
    let arn = running["durableExecutionArn"].as_str().unwrap();
    let mut last = 0;
    while let Some((event, wait)) = next_wait(&stack, arn, last).await {
        last = event;
        if stack.tasks_of(&id).await[0]["desiredStatus"] == "STOPPED" {
            // Moving the clock does not make the task stop sooner.
            stack.wait_for_tasks_to_stop(&id).await;
        }
        stack.forward(wait).await;
    }
    let done = stack.execution(&id).await;
    assert_eq!(done["status"], "TIMED_OUT", "{done:#}");
    let time = |at: &Value| at.as_str().unwrap().parse::<Timestamp>().unwrap();
    let recorded = time(&done["timeline"].as_array().unwrap().last().unwrap()["at"]);
    let late = recorded.duration_since(time(&done["deadline"]));
    println!("the end is recorded {late:#} after the deadline");
    // This includes the waits for the task to stop.
    assert!(late < SignedDuration::from_mins(3), "{late:#}");
}

/// Debian's libfaketime breaks Python's sleep.
#[tokio::test]
async fn the_stack_warns_if_the_movable_clock_breaks_pythons_sleep() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let sleeps = "sleeps=python3 -c 'import time; time.sleep(0.01)'";
    let mut start = command(&path("data"), &["--movable-clock", "--job", sleeps]);
    start.stderr(std::fs::File::create(path("stderr")).unwrap());
    let stack = Stack::run_as(start, &path("data")).await;
    let done = stack.run("sync", json!({ "job": "sleeps", "input": null })).await;
    if done["status"] == "COMPLETED" {
        // This machine's libfaketime works.
        return;
    }
    eventually("the warning", async || {
        let stderr = std::fs::read_to_string(path("stderr")).unwrap();
        stderr.contains("--movable-clock breaks time.sleep of this machine's python3").then_some(())
    })
    .await;
}
