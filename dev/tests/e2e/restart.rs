//! After a crash or a stop, a restarted stack resumes its work.

use std::{collections::BTreeSet, time::Duration};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    blocked_jobs::BlockedJobs,
    stack::{PATIENCE, Stack, command, eventually},
};

/// The stack is killed at different points of its executions. Each execution ends, and no attempt has two tasks.
#[tokio::test]
async fn every_execution_survives_sigkill_of_the_stack() {
    let directory = tempfile::tempdir().unwrap();
    let mut ids = Vec::new();
    for round in 0..6_u64 {
        let mut stack = Stack::start_over(directory.path(), &[]).await;
        for pattern in ["sync", "callback"] {
            let body = json!({ "input": { "message": "Hello", "processingTime": 0.3 } });
            let started = stack.start_execution(pattern, &body).await;
            ids.push(started["executionId"].as_str().unwrap().to_owned());
        }
        // Each round lets the executions progress a little further.
        tokio::time::sleep(Duration::from_millis(60 * round)).await;
        stack.process.kill().await.unwrap();
    }
    let stack = Stack::start_over(directory.path(), &["--movable-clock"]).await;
    for id in ids {
        let mut polls = 0;
        let execution = eventually(&format!("the end of {id}"), async || {
            // Events that were in flight when a stack was killed are delivered again by the next one. What no event reports is found by a
            // sweep, which visits an execution a minute after its last change, and may need several visits. So move the clock by a minute
            // every few seconds.
            if polls % 100 == 0 {
                stack.forward(Duration::from_mins(1)).await;
            }
            polls += 1;
            let execution = stack.execution(&id).await;
            (execution["done"] == true).then_some(execution)
        })
        .await;
        // Each attempt has one task. The loss of the machine does not count as an attempt, so the job gets another one.
        let started = |entry: &&Value| entry["what"] == "taskStarted";
        let timeline = execution["timeline"].as_array().unwrap();
        let attempts: Vec<_> = timeline.iter().filter(started).map(|entry| entry["detail"].as_str().unwrap()).collect();
        assert_eq!(attempts.len(), attempts.iter().collect::<BTreeSet<_>>().len(), "{execution:#}");
    }
}

/// The child has left the job's session, and the next stack listens on another port. The same job of another stack keeps running.
#[tokio::test]
async fn a_restarted_stack_ends_detached_processes_of_its_earlier_jobs() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [ours, theirs] = directories.each_ref().map(async |directory| {
        let pids = directory.path().join("pids").display().to_string();
        let job = format!("away=setsid sh -c 'echo $$ >> {pids}; exec sleep 1000' & wait");
        let stack = Stack::start_over(&directory.path().join("data"), &["--job", &job]).await;
        stack.start_execution("sync", &json!({ "job": "away", "input": null })).await;
        let pid = eventually("the job's child", async || {
            let pids = std::fs::read_to_string(&pids).ok()?;
            pids.lines().next().filter(|_| pids.ends_with('\n')).map(str::to_owned)
        })
        .await;
        (stack, pid, job)
    });
    let (mut stack, pid, job) = ours.await;
    let (_other, other_pid, _) = theirs.await;
    let lives = |pid: &str| std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|read| !read.is_empty());
    stack.process.kill().await.unwrap();
    assert!(lives(&pid), "the kill of the stack ended it");
    let next = Stack::start_over(&stack.data, &["--job", &job]).await;
    assert!(!lives(&pid), "it must end before the next stack is ready");
    assert_ne!(next.aws, stack.aws);
    assert!(lives(&other_pid), "it belongs to another stack");
}

#[tokio::test]
async fn a_task_definition_gets_a_new_revision_only_if_it_differs_from_the_command_line() {
    let directory = tempfile::tempdir().unwrap();
    let newest = async |stack: &Stack| {
        let ask = json!({ "taskDefinition": "longhaul-job" });
        stack.call("AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition", ask).await["taskDefinition"].take()
    };
    let start = async || Stack::start_over(directory.path(), &["--job", "job=echo '[1]'"]).await;
    let stack = start().await;
    let first = newest(&stack).await;
    let mut other = first.clone();
    other["containerDefinitions"][0]["environment"] = json!([{ "name": "A", "value": "1" }]);
    for added in ["taskDefinitionArn", "revision", "registeredAt", "status", "compatibilities"] {
        other.as_object_mut().unwrap().remove(added);
    }
    stack.call("AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition", other).await;
    drop(stack);
    for _ in 0..2 {
        let stack = start().await;
        let now = newest(&stack).await;
        assert_eq!((&now["revision"], &now["containerDefinitions"]), (&json!(3), &first["containerDefinitions"]));
    }
}

/// Stops a stack as Ctrl-C does.
async fn interrupt(mut stack: Stack) {
    let pid = rustix::process::Pid::from_raw(stack.process.id().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    tokio::time::timeout(PATIENCE, stack.process.wait()).await.unwrap().unwrap();
}

#[tokio::test]
async fn executions_of_a_removed_job_wait_until_it_is_configured_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let blocked = BlockedJobs::new();
    let job = blocked.job_then("words", "echo '[1]'").replacen('=', "=echo began; ", 1);
    let first = Stack::start_over(&data, &["--job", &job]).await;
    let mut ids = Vec::new();
    for pattern in ["sync", "callback", "sync"] {
        ids.push(first.start_running(pattern, "words").await);
    }
    interrupt(first).await;

    let mut without_job = command(&data, &[]);
    let stderr = directory.path().join("stderr");
    without_job.stderr(std::fs::File::create(&stderr).unwrap());
    let second = Stack::run_as(without_job, &data).await;
    let stderr = std::fs::read_to_string(stderr).unwrap();
    assert!(stderr.contains("job `words` is not configured, and 3 executions wait for it"), "{stderr}");
    assert!(stderr.contains("--job words='COMMAND'"), "{stderr}");
    for id in &ids {
        let waits = |execution: &Value| execution["timeline"].to_string().contains("waitingForCapacity");
        let execution = second.wait_for(id, waits).await;
        assert_eq!(execution["done"], false, "{execution:#}");
        assert!(
            execution.to_string().contains("job words is neither in the job file nor given with --job"),
            "{execution:#}"
        );
        let logs = second.get(&format!("/executions/{id}/logs?attempt=1")).send().await.unwrap();
        let logs: Value = logs.json().await.unwrap();
        assert_eq!(logs["lines"][0]["text"], "began", "its log is still readable: {logs:#}");
    }
    let body = json!({ "job": "words", "input": null });
    let refused = second.post("/executions/sync").json(&body).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "a removed job cannot be started");
    let jobs: Value = second.get("/jobs").send().await.unwrap().json().await.unwrap();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1, "{jobs}");
    let cancelled = ids.pop().unwrap();
    second.post(&format!("/executions/{cancelled}/cancel")).send().await.unwrap();
    let cancelled = second.wait_for(&cancelled, |execution| execution["done"] == true).await;
    assert_eq!(cancelled["status"], "CANCELLED");
    interrupt(second).await;

    let third = Stack::start_over(&data, &["--job", &job]).await;
    for id in &ids {
        blocked.release_attempt(id, 2);
        let done = third.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!((&done["status"], &done["result"]), (&json!("COMPLETED"), &json!([1])), "{done:#}");
    }
}

/// The job is neither in the catalog nor in ECS.
#[tokio::test]
async fn the_logs_of_a_removed_job_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let first = Stack::start_over(directory.path(), &["--job", "words=echo began"]).await;
    let mut ids = Vec::new();
    for pattern in ["sync", "callback"] {
        let started = first.start_execution(pattern, &json!({ "job": "words", "input": null })).await;
        ids.push(started["executionId"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        first.wait_for(id, |execution| execution["done"] == true).await;
    }
    let gone = json!({ "taskDefinition": "longhaul-words:1" });
    first.call("AmazonEC2ContainerServiceV20141113.DeregisterTaskDefinition", gone).await;
    interrupt(first).await;
    let second = Stack::start_over(directory.path(), &[]).await;
    let call = json!({ "familyPrefix": "longhaul-words", "status": "ACTIVE" });
    let families = second.call("AmazonEC2ContainerServiceV20141113.ListTaskDefinitions", call).await;
    assert_eq!(families["taskDefinitionArns"], json!([]));
    for id in ids {
        let logs = second.get(&format!("/executions/{id}/logs")).send().await.unwrap();
        let logs: Value = logs.json().await.unwrap();
        assert_eq!(logs["lines"][0]["text"], "began", "{logs:#}");
    }
}

/// The execution and its timeline both show that the attempt is not counted.
#[tokio::test]
async fn an_attempt_that_ended_with_the_stack_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = BlockedJobs::new();
    let job = blocked.job("job");
    let mut ids = Vec::new();
    let first = Stack::start_over(directory.path(), &["--job", &job]).await;
    for pattern in ["sync", "callback"] {
        ids.push(first.start_running(pattern, "job").await);
    }
    assert_eq!(first.execution(&ids[0]).await["uncountedAttempts"], Value::Null);
    interrupt(first).await;
    let second = Stack::start_over(directory.path(), &["--job", &job]).await;
    for id in ids {
        blocked.release_attempt(&id, 2);
        let done = second.wait_for(&id, |execution| execution["done"] == true).await;
        let attempts = (&done["attempt"], &done["maxAttempts"], &done["uncountedAttempts"]);
        assert_eq!(attempts, (&json!(2), &json!(1), &json!(1)), "{done:#}");
        assert_eq!(done["status"], "COMPLETED", "{done:#}");
        let timeline = done["timeline"].as_array().unwrap();
        let details: Vec<_> = timeline.iter().filter_map(|entry| entry["detail"].as_str()).collect();
        assert!(details.contains(&"attempt 2 (1 not counted)"), "{done:#}");
        let failed = "attempt 1: stopped (not counted): ";
        assert!(details.iter().any(|detail| detail.starts_with(failed)), "{done:#}");
    }
}
