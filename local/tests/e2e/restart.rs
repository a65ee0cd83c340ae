//! Killed at any moment and started again, the stack goes on where it was.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::stack::{Stack, eventually};

/// SIGKILL to the whole stack, at moments all over the life of its executions: each of them still comes to an end, and no
/// attempt to two tasks.
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
        // Each round lets the executions come a little further.
        tokio::time::sleep(Duration::from_millis(60 * round)).await;
        stack.process.kill().await.unwrap();
    }
    let stack = Stack::start_over(directory.path(), &["--movable-clock"]).await;
    for id in ids {
        let mut looks = 0;
        let execution = eventually(&format!("the end of {id}"), async || {
            // What the reconciler was told when it was killed comes again after a minute. What it never heard of a sweep sees, a
            // minute after the last change; then more may change. So a minute passes every few seconds.
            if looks % 100 == 0 {
                stack.forward(Duration::from_mins(1)).await;
            }
            looks += 1;
            let execution = stack.execution(&id).await;
            (execution["done"] == true).then_some(execution)
        })
        .await;
        // Each attempt has one task; the loss of the machine is not the job's fault and gives it another attempt.
        let started = |entry: &&Value| entry["what"] == "taskStarted";
        let timeline = execution["timeline"].as_array().unwrap();
        let attempts: Vec<_> = timeline.iter().filter(started).map(|entry| entry["detail"].as_str().unwrap()).collect();
        assert_eq!(attempts.len(), attempts.iter().collect::<BTreeSet<_>>().len(), "{execution:#}");
    }
}
