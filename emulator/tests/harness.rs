//! The harness for tests, `emulator::testing`, in a test's own process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

use std::{fs, path::Path};

use emulator::testing::{Pipe, TestEmulator, eventually};
use serde_json::json;

/// An emulator, the pipe that its task reads its exit code from, and the task's ARN.
async fn start_task() -> (TestEmulator, Pipe, String) {
    let script = r#"cd "$TEST_DIRECTORY" && echo $$ > pid.new && mv pid.new pid && read -r code < end && exit "$code""#;
    let container = json!({ "name": "main", "image": "any", "command": ["sh", "-c", script] });
    let emulator = TestEmulator::start(json!({
        "cluster": "jobs",
        "taskDefinitions": [{ "family": "demo", "containerDefinitions": [container] }],
    }));
    let end = emulator.pipe("end");
    let run = json!({ "cluster": "jobs", "taskDefinition": "demo" });
    let started = emulator.call("AmazonEC2ContainerServiceV20141113.RunTask", run).await;
    (emulator, end, started["tasks"][0]["taskArn"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_task_runs_until_the_test_lets_it_end() {
    let (emulator, end, task) = start_task().await;
    end.say("3");
    emulator.wait_for_task_to_stop(&task).await;
    assert_eq!(emulator.tasks("jobs").await[0]["containers"][0]["exitCode"], 3);
}

#[tokio::test]
async fn dropping_the_emulator_ends_its_tasks_and_deletes_its_directory() {
    let (emulator, _end, _) = start_task().await;
    let directory = emulator.directory().to_owned();
    let pid = eventually("the task's process", async || fs::read_to_string(directory.join("pid")).ok()).await;
    let process = Path::new("/proc").join(pid.trim());
    assert!(process.exists());
    drop(emulator);
    assert!(!process.exists() && !directory.exists());
}
