//! Denies one AWS operation to one program for the whole execution: each operation of each function and of the worker.
//!
//! Undisturbed executions show which calls there are. An execution with a denied call must end with the exit code of its job, if the
//! job ran. If it fails because of the denial, its error must name the permission.

use std::{
    collections::BTreeSet,
    fmt,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::stack::{Stack, eventually};

/// A job that succeeds and one that fails, and their exit codes.
const JOBS: [(&str, &str, u8); 2] = [("works", "echo '[1]'", 0), ("fails", "exit 3", 3)];

/// The programs whose calls are denied. Denied calls of the API are returned to its caller, so they are not tested here.
const CALLERS: [&str; 4] = ["longhaul-sync", "longhaul-callback", "longhaul-reconciler", "task"];

/// How far the clock is moved forward at once: the longest wait between two retries.
const STEP: Duration = Duration::from_mins(5);

/// How long the test may take. A day of denials is about three hundred steps.
const LONGEST: Duration = Duration::from_mins(10);

/// Far in the future, so that no deadline ends an execution.
const DEADLINE: u64 = 300 * 86_400;

/// One execution and the call that is denied to it.
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
async fn a_permanently_denied_call_does_not_lose_the_outcome() {
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
        let mut unfinished = Vec::new();
        for (case, id) in left {
            let execution = stack.execution(&id).await;
            if execution["done"] == true {
                println!("denied: {case}: {} {}", execution["status"], execution["error"]["message"]);
                wrong.extend(what_is_wrong(&stack, &case, &execution).await);
            } else {
                unfinished.push((case, id));
            }
        }
        left = unfinished;
    }
    for (case, id) in left {
        wrong.push(format!("{case}: stuck: {:#}", stack.execution(&id).await));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The calls of undisturbed executions.
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
                eventually("the workflow to end", async || {
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
    let explained = match execution["status"].as_str().unwrap() {
        "COMPLETED" => case.exit_code == 0 && execution["result"] == json!([1]),
        // The job's own failure takes precedence over the denial. The SDK makes checkpoint calls itself, and words their errors.
        "FAILED" if ran && case.exit_code != 0 => error["type"] == "exit-code",
        "FAILED" if case.call == "lambda:CheckpointDurableExecution" => says("checkpoint") && says("AccessDenied"),
        "FAILED" => says(&case.call),
        _ => false,
    };
    let kept = !ran || execution["exitCode"] == case.exit_code;
    (!explained || !kept).then(|| format!("{case}: {execution:#}"))
}
