//! Nothing waits on an event that may not come: with all of them lost, every execution ends all the same, later.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::stack::Stack;

/// The longest that an end may be late: a look of the sweep is due a minute after the last change, and a sweep comes once a
/// minute.
const LATEST: Duration = Duration::from_mins(3);

const EVENTS: [&str; 2] = ["events:ECS Task State Change", "events:Durable Execution Status Change"];

/// Seconds from the end of the job to its record, as the execution tells.
fn lag(done: &Value) -> f64 {
    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let recorded = time(&done["timeline"].as_array().unwrap().last().unwrap()["at"]);
    recorded.duration_since(time(&done["finishedAt"])).as_secs_f64()
}

async fn over(stack: &Stack, id: &str) -> Value {
    let deadline = Instant::now() + LATEST + Duration::from_mins(2);
    loop {
        let execution = stack.execution(id).await;
        if execution["done"] == true {
            return execution;
        }
        assert!(Instant::now() < deadline, "it waits for an event: {execution:#}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn every_execution_ends_without_a_single_event() {
    let jobs = [("ok", "COMPLETED"), ("dies", "FAILED")];
    let stack = Stack::start(&["--task", "ok=sleep 2; echo 1", "--task", "dies=sleep 2; kill -9 $PPID"]).await;
    let mut faults = Vec::new();
    for on in EVENTS {
        faults.push(stack.arm(&json!({ "on": on, "does": "cutBefore", "times": "all" })).await);
    }
    let watch = json!({ "on": "ecs:DescribeTasks", "by": "longhaul-sync", "does": "watch", "times": "all" });
    let asked = stack.arm(&watch).await;
    let mut started = Vec::new();
    for pattern in ["sync", "callback"] {
        for (job, status) in jobs {
            let execution = stack.start_execution(pattern, &json!({ "task": job, "input": null })).await;
            started.push((pattern, job, status, execution["executionId"].as_str().unwrap().to_owned()));
        }
    }
    for (pattern, job, status, id) in started {
        let done = over(&stack, &id).await;
        assert_eq!(done["status"], status, "{pattern} {job}: {done:#}");
        let late = lag(&done);
        println!("without events: {pattern} {job} is recorded {late:.1} s after its end");
        assert!(late < LATEST.as_secs_f64(), "{pattern} {job}: {late} s");
    }
    assert_eq!(stack.fault(asked).await["seen"], 0, "what the sweep saw is noted for the workflow");
    let mut lost = 0;
    for fault in faults {
        lost += stack.fault(fault).await["hit"].as_u64().unwrap();
    }
    assert!(lost >= 4, "{lost} events were lost: each task tells at least of its end");
}
