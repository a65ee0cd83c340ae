//! A call that AWS denies for good: each operation of each function and of the worker, from the beginning of a life to its end.
//!
//! An undisturbed life says which calls there are. The execution ends as what it was: with the exit code of its job, if that ran,
//! and unless it completed all the same, with an error that names the permission.

use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::stack::{Stack, eventually};

/// A job that succeeds and one that fails, and their exit codes.
const JOBS: [(&str, &str, u8); 2] = [("works", "echo '[1]'", 0), ("fails", "exit 3", 3)];

/// Whose calls are denied. Those of the API are answered to its caller.
const CALLERS: [&str; 4] = ["longhaul-sync", "longhaul-callback", "longhaul-reconciler", "task"];

/// How far the clock is put forward at once: as far as the longest wait between two tries.
const STEP: Duration = Duration::from_mins(5);

/// How long all of it may take. A day of denials is some three hundred steps.
const LONGEST: Duration = Duration::from_mins(10);

/// Far off: whatever the denials take, it is no deadline that ends an execution.
const DEADLINE: u64 = 300 * 86_400;

/// What is denied in a life.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Case {
    pattern: &'static str,
    job: &'static str,
    exit_code: u8,
    by: String,
    call: String,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pattern, job, by, call, .. } = self;
        write!(f, "{pattern} {job}: {by} may not {call}")
    }
}

#[tokio::test]
async fn a_call_that_is_denied_for_good_leaves_what_is_known() {
    let jobs = JOBS.map(|(name, command, _)| format!("{name}={command}"));
    let options: Vec<_> = jobs.iter().flat_map(|job| ["--job", job]).chain(["--movable-clock"]).collect();
    let stack = Stack::start(&options).await;
    let cases = cases(&stack).await;
    println!("denied: {} calls", cases.len());
    let mut left = Vec::new();
    for (number, case) in cases.into_iter().enumerate() {
        let key = format!("case {number}");
        let id = id_of(&key);
        let refuse = json!({ "refuse": "AccessDeniedException" });
        let denied = json!({ "on": case.call, "by": case.by, "execution": id, "does": refuse, "times": "all" });
        stack.arm(&denied).await;
        start(&stack, &case, &key).await;
        left.push((case, id));
    }
    let deadline = Instant::now() + LONGEST;
    let mut wrong = Vec::new();
    while !left.is_empty() && Instant::now() < deadline {
        stack.forward(STEP).await;
        let mut going_on = Vec::new();
        for (case, id) in left {
            let execution = stack.execution(&id).await;
            if execution["done"] == true {
                println!("denied: {case}: {} {}", execution["status"], execution["error"]["message"]);
                wrong.extend(what_is_wrong(&stack, &case, &execution).await);
            } else {
                going_on.push((case, id));
            }
        }
        left = going_on;
    }
    for (case, id) in left {
        wrong.push(format!("{case}: stuck: {:#}", stack.execution(&id).await));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The calls of the callers in undisturbed lives.
async fn cases(stack: &Stack) -> BTreeSet<Case> {
    let mut cases = BTreeSet::new();
    for pattern in ["sync", "callback"] {
        for (job, _, exit_code) in JOBS {
            let key = format!("{pattern} {job}");
            let watch = json!({ "on": "*", "does": "watch", "times": "all", "execution": id_of(&key) });
            let watch = stack.arm(&watch).await;
            let plain = Case { pattern, job, exit_code, by: String::new(), call: String::new() };
            start(stack, &plain, &key).await;
            let done = stack.wait_for(&id_of(&key), |execution| execution["done"] == true).await;
            if let Some(arn) = done["durableExecutionArn"].as_str() {
                eventually("the end of the workflow", async || {
                    (stack.durable_execution(arn).await["Status"] != "RUNNING").then_some(())
                })
                .await;
            }
            for seen in stack.fault(watch).await["calls"].as_array().unwrap() {
                let by = seen["by"].as_str().unwrap().split('.').next().unwrap().to_owned();
                let call = seen["call"].as_str().unwrap().to_owned();
                if CALLERS.contains(&by.as_str()) {
                    cases.insert(Case { by, call, ..plain.clone() });
                }
            }
            stack.disarm(watch).await;
        }
    }
    cases
}

fn id_of(key: &str) -> String {
    domain::ExecutionId::for_key(&domain::Owner::new("local"), key).to_string()
}

async fn start(stack: &Stack, case: &Case, key: &str) {
    let body = json!({ "job": case.job, "input": null, "timeoutSeconds": DEADLINE });
    let request = stack.post(&format!("/executions/{}", case.pattern)).header("idempotency-key", key).json(&body);
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{case}: {response:?}");
    let started: Value = response.json().await.unwrap();
    assert_eq!(started["executionId"], id_of(key));
}

async fn what_is_wrong(stack: &Stack, case: &Case, execution: &Value) -> Option<String> {
    let id = execution["executionId"].as_str().unwrap();
    let ran = stack.tasks_of(id).await.iter().any(|task| task["containers"][0]["exitCode"] == case.exit_code);
    let error = &execution["error"];
    let says = |words: &str| {
        ["message", "logTail"].iter().any(|part| error[part].as_str().is_some_and(|text| text.contains(words)))
    };
    let told = match execution["status"].as_str().unwrap() {
        "COMPLETED" => case.exit_code == 0 && execution["result"] == json!([1]),
        // The job's own failure needs no permission to be explained. The SDK words its own call's.
        "FAILED" if ran && case.exit_code != 0 => error["type"] == "exit-code",
        "FAILED" if case.call == "lambda:CheckpointDurableExecution" => says("checkpoint") && says("AccessDenied"),
        "FAILED" => says(&case.call),
        _ => false,
    };
    let kept = !ran || execution["exitCode"] == case.exit_code;
    (!told || !kept).then(|| format!("{case}: {execution:#}"))
}
