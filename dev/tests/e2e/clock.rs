//! A clock that is put forward: everything that reads the time agrees on it.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    stack::{Stack, command, eventually},
    year::next_wait,
};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;

/// The answers of programs on a moved clock are not older than the move, and as much younger at most as has passed since it was
/// read first.
fn agrees(at: &Value, day: Timestamp, read: Instant) -> bool {
    let at: Timestamp = at.as_str().unwrap().parse().unwrap();
    let passed = SignedDuration::try_from(read.elapsed()).unwrap() + SignedDuration::from_secs(1);
    (SignedDuration::ZERO..=passed).contains(&at.duration_since(day))
}

/// The API, the functions, the worker and the job's own program, also after the stack was started again.
#[tokio::test]
async fn everybody_agrees_on_the_time() {
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
            // The program tells whole seconds.
            let day = day.checked_sub(SignedDuration::from_secs(1)).unwrap();
            assert!(agrees(&done["result"][0], day, read), "{} is not {day}", done["result"]);
        }
        stack.process.kill().await.unwrap();
        stack = Stack::start_over(directory.path(), &arguments).await;
    }
}

/// Nobody sleeps through a move: a deadline of a day passes in seconds, and the sweep sees it for a callback.
#[tokio::test]
async fn a_deadline_passes_when_the_clock_does() {
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

/// Nobody but the workflow sees the deadline pass: it looks then, and not when its next look would be due.
#[tokio::test]
async fn a_workflow_sees_its_deadline_pass_by_itself() {
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
            // The clock does not make it stop sooner.
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
    // The waits for the task to stop are put forward too.
    assert!(late < SignedDuration::from_mins(3), "{late:#}");
}

/// Debian's libfaketime breaks Python's sleep. A user is to hear of it before a job does.
#[tokio::test]
async fn a_clock_that_breaks_python_is_warned_of() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let sleeps = "sleeps=python3 -c 'import time; time.sleep(0.01)'";
    let mut start = command(&path("data"), &["--movable-clock", "--job", sleeps]);
    start.stderr(std::fs::File::create(path("stderr")).unwrap());
    let stack = Stack::run_as(start, &path("data")).await;
    let done = stack.run("sync", json!({ "job": "sleeps", "input": null })).await;
    if done["status"] == "COMPLETED" {
        // A libfaketime that is as it should be.
        return;
    }
    eventually("the warning", async || {
        let said = std::fs::read_to_string(path("stderr")).unwrap();
        said.contains("--movable-clock breaks time.sleep of this machine's python3").then_some(())
    })
    .await;
}
