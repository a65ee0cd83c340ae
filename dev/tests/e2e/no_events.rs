//! Executions do not depend on events: if all events are lost, they end later.

use std::time::Duration;

use serde_json::json;

use crate::{blocked_jobs::BlockedJobs, stack::Stack};

/// The sweep visits an execution a minute after its last change. The workflow's next poll would come only after five minutes.
const UNTIL_SWEEP: Duration = Duration::from_secs(61);

const EVENTS: [&str; 2] = ["events:ECS Task State Change", "events:Durable Execution Status Change"];

#[tokio::test]
async fn every_execution_ends_even_if_all_events_are_lost() {
    let jobs = [("ok", "COMPLETED"), ("dies", "FAILED")];
    let blocked = BlockedJobs::new();
    let (ok, dies) = (blocked.job("ok"), blocked.job_then("dies", "kill -9 $PPID"));
    let stack = Stack::start(&["--movable-clock", "--job", &ok, "--job", &dies]).await;
    let mut faults = Vec::new();
    for on in EVENTS {
        faults.push(stack.arm(&json!({ "on": on, "does": "cutBefore", "times": "all" })).await);
    }
    let watch = json!({ "on": "ecs:DescribeTasks", "by": "longhaul-sync", "does": "watch", "times": "all" });
    let asked = stack.arm(&watch).await;
    let mut started = Vec::new();
    for pattern in ["sync", "callback"] {
        for (job, status) in jobs {
            let id = stack.start_running(pattern, job).await;
            let running = stack.wait_for(&id, |execution| execution["durableExecutionArn"].is_string()).await;
            stack.wait_for_sleep(running["durableExecutionArn"].as_str().unwrap()).await;
            started.push((pattern, job, status, id));
        }
    }
    for (_, _, _, id) in &started {
        blocked.release(id);
        stack.wait_for_tasks_to_stop(id).await;
    }
    stack.forward(UNTIL_SWEEP).await;
    for (pattern, job, status, id) in started {
        let done = stack.wait_for(&id, |execution| execution["done"] == true).await;
        assert_eq!(done["status"], status, "{pattern} {job}: {done:#}");
    }
    assert_eq!(stack.fault(asked).await["seen"], 0, "the workflow uses what the sweep has recorded");
    let mut lost = 0;
    for fault in faults {
        lost += stack.fault(fault).await["hit"].as_u64().unwrap();
    }
    assert!(lost >= 4, "only {lost} events were lost, but each task has at least one");
}
