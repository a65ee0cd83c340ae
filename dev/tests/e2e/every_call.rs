//! A fault at every AWS call that the API, the functions, the reconciler and the worker make, in every kind of execution.
//!
//! - Crashes: the caller dies before or after the call takes effect, loses the reply, or the call takes effect twice.
//! - Refusals: AWS refuses the call once, with each kind of error, or the reply is lost.
//!
//! Undisturbed executions show which calls there are. After each fault there must be one task for each attempt, one recorded outcome
//! that is the right one, and a durable execution whose status agrees.
//!
//! There are about 1,200 crashes. `CRASHES_EVERY` selects every fifth by default, and all of them with 1 (`make crashes`). Of the refusals,
//! at least one for each operation of each caller is tested. `REFUSALS_EVERY` and `REFUSALS_SEED` choose from the others: one in twenty
//! by default, and all of them with 1 (`make refusals`).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    api_on_lambda,
    choices::{Choices, option},
    stack::{LONGHAUL, PATIENCE, Stack},
};

/// The faults that kill a caller, cut its connection, or repeat its call.
const CRASHES: [&str; 4] = ["killBefore", "killAfter", "cutAfter", "repeat"];

/// The faults that refuse a call once: a fault, or an error code. A retry succeeds.
const REFUSALS: [&str; 6] =
    ["AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException", "throttle", "fail", "cutAfter"];

/// Executions at a time. Each of them mostly waits.
const AT_ONCE: usize = 24;

/// The programs that call AWS. The API runs as a function here, so that it can be killed too.
const CALLERS: [&str; 5] = [API_FUNCTION, "longhaul-sync", "longhaul-callback", "longhaul-reconciler", "task"];
const API_FUNCTION: &str = "api-function";

/// The minimum percentage of faults that must hit a call. Not all do, because the calls of an execution vary: batches of events differ,
/// workflow and worker race to record a start, and a slow machine polls less often before a deadline.
const MIN_HIT_PERCENT: usize = 75;

/// The timeout of an execution: much longer than needed, even after a killed invocation and a lost event.
const LONGEST_EXECUTION: Duration = Duration::from_mins(4);

/// A kind of execution, and its expected status.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    name: &'static str,
    pattern: &'static str,
    job: &'static str,
    attempts: u32,
    seconds: u32,
    cancelled: bool,
    /// The size of its input in bytes. The worker reads a large input from the table.
    input: usize,
    status: &'static str,
}

const PLAIN: Scenario = Scenario {
    name: "completes",
    pattern: "sync",
    job: "quick",
    attempts: 1,
    seconds: 600,
    cancelled: false,
    input: 0,
    status: "COMPLETED",
};

const SCENARIOS: [Scenario; 5] = [
    PLAIN,
    Scenario { name: "reads a large input", input: 8_000, ..PLAIN },
    Scenario { name: "completes at the second attempt", job: "flaky", attempts: 2, ..PLAIN },
    Scenario { name: "is cancelled", job: "long", cancelled: true, status: "CANCELLED", ..PLAIN },
    Scenario { name: "times out", job: "long", seconds: 8, status: "TIMED_OUT", ..PLAIN },
];

/// The jobs: one that succeeds, one that fails at the first attempt, and one that must be stopped.
const JOBS: [&str; 6] = [
    "--job",
    "quick=echo '{\"n\": 1}'",
    "--job",
    "flaky=test $EXECUTION_ATTEMPT = 2 || exit 3; echo '{\"n\": 1}'",
    "--job",
    "long=exec sleep 300",
];

/// One call of an execution: its caller, its operation, and how many of the same come before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    by: String,
    operation: String,
    nth: usize,
}

/// An execution with one fault.
#[derive(Debug, Clone)]
struct Case {
    scenario: Scenario,
    fault: &'static str,
    call: Call,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, fault, call: Call { by, operation, nth } } = self;
        write!(f, "{} {}: {fault} at {by}'s {operation} no. {nth}", scenario.pattern, scenario.name)
    }
}

impl Case {
    /// Whether this is a possible status. A killed task fails its execution, unless its outcome was already recorded.
    fn may_end_as(&self, status: &str) -> bool {
        let dies = self.call.by == "task" && self.fault.starts_with("kill");
        status == self.scenario.status || (dies && status == "FAILED")
    }

    fn fault(&self, id: &str) -> Value {
        let Call { by, operation, nth } = &self.call;
        json!({ "on": operation, "does": does(self.fault), "by": by, "execution": id, "skip": nth })
    }
}

/// The field `does` of a fault. An error code means a refusal with that code.
fn does(fault: &str) -> Value {
    if fault.ends_with("Exception") { json!({ "refuse": fault }) } else { json!(fault) }
}

#[tokio::test]
async fn a_crash_at_any_call_changes_no_outcome() {
    let stack = start().await;
    // There are four faults for each call, so a step that is coprime to four reaches each kind of fault.
    let every = usize::try_from(option("CRASHES_EVERY", 5)).unwrap();
    let cases = cases(&stack, &CRASHES).await.into_iter().step_by(every).collect();
    run_all(&stack, "crashes", cases).await;
}

#[tokio::test]
async fn a_refusal_of_any_call_changes_no_outcome() {
    let stack = start().await;
    let all = cases(&stack, &REFUSALS).await;
    let calls: BTreeSet<_> = all.iter().map(|case| (case.scenario.pattern, case.scenario.name, &case.call)).collect();
    println!("{} calls, {} refusals of each: {}", calls.len(), REFUSALS.len(), all.len());
    let cases = sample(all, option("REFUSALS_EVERY", 20), option("REFUSALS_SEED", 1));
    run_all(&stack, "refusals", cases).await;
}

/// Chooses one case for each operation of each caller, and one in `every` of the others.
fn sample(mut cases: Vec<Case>, every: u64, seed: u64) -> Vec<Case> {
    let mut choices = Choices(seed);
    let mut covered = BTreeSet::new();
    let mut chosen = Vec::new();
    while !cases.is_empty() {
        let next = choices.below(u64::try_from(cases.len()).unwrap());
        let case = cases.swap_remove(usize::try_from(next).unwrap());
        let is_new = covered.insert((case.call.by.clone(), case.call.operation.clone()));
        if is_new || choices.below(every) == 0 {
            chosen.push(case);
        }
    }
    chosen
}

/// Starts a stack that has the API as a function too.
async fn start() -> Arc<Stack> {
    let api = format!("{API_FUNCTION}={} function api", Path::new(LONGHAUL).display());
    Arc::new(Stack::start(&[&JOBS[..], &["--function", &api]].concat()).await)
}

/// Runs every case, and fails with a list of those that did not end as expected.
async fn run_all(stack: &Arc<Stack>, what: &str, cases: Vec<Case>) {
    let began = Instant::now();
    println!("{} {what}", cases.len());
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let count = cases.len();
    for (number, case) in cases.into_iter().enumerate() {
        let (stack, permits) = (stack.clone(), permits.clone());
        running.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            let key = format!("case {number}");
            let fault = stack.arm(&case.fault(&id_of(&key))).await;
            let outcome = run(&stack, case.scenario, &key).await;
            let hit = stack.fault(fault).await["hit"] == 1;
            stack.disarm(fault).await;
            (case, key, hit, outcome)
        });
    }
    let (mut wrong, mut hits, mut ended) = (Vec::new(), 0, BTreeMap::new());
    while let Some(done) = running.join_next().await {
        let (case, key, hit, outcome) = done.unwrap();
        hits += usize::from(hit);
        match outcome {
            Ok(item) if case.may_end_as(&status(&item)) => drop(ended.insert(id_of(&key), item)),
            Ok(item) => wrong.push(format!("{case}: ended as {item:#}")),
            Err(why) => wrong.push(format!("{case}: {why}")),
        }
    }
    wrong.extend(wrong_at_the_end(stack, &ended).await);
    println!("{count} {what}, {hits} of them hit, in {:.0?}: {} wrong", began.elapsed(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(hits * 100 >= count * MIN_HIT_PERCENT, "too few faults hit a call");
}

fn scenarios() -> impl Iterator<Item = Scenario> {
    ["sync", "callback"].into_iter().flat_map(|pattern| SCENARIOS.map(|scenario| Scenario { pattern, ..scenario }))
}

/// Runs every scenario undisturbed, and makes a case for every fault at each of its calls.
async fn cases(stack: &Arc<Stack>, faults: &[&'static str]) -> Vec<Case> {
    let mut undisturbed = JoinSet::new();
    for scenario in scenarios() {
        let stack = stack.clone();
        undisturbed.spawn(async move {
            let key = format!("{} {}", scenario.pattern, scenario.name);
            let watch = json!({ "on": "*", "does": "watch", "times": "all", "execution": id_of(&key) });
            let watch = stack.arm(&watch).await;
            let item = run(&stack, scenario, &key).await.unwrap();
            assert_eq!(status(&item), scenario.status, "{key}: {item:#}");
            let seen = stack.fault(watch).await;
            stack.disarm(watch).await;
            (scenario, calls(&seen))
        });
    }
    let mut cases = Vec::new();
    while let Some(done) = undisturbed.join_next().await {
        let (scenario, calls) = done.unwrap();
        println!("sweep: {} {}: {} calls", scenario.pattern, scenario.name, calls.len());
        for call in &calls {
            cases.extend(faults.iter().map(|fault| Case { scenario, fault, call: call.clone() }));
        }
    }
    cases
}

/// The calls that a fault has seen, without those of this test.
fn calls(fault: &Value) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for seen in fault["calls"].as_array().unwrap() {
        let by = seen["by"].as_str().unwrap().split('.').next().unwrap().to_owned();
        let operation = seen["call"].as_str().unwrap().to_owned();
        if CALLERS.contains(&by.as_str()) {
            let nth = calls.iter().filter(|call| call.by == by && call.operation == operation).count();
            calls.push(Call { by, operation, nth });
        }
    }
    calls
}

fn id_of(key: &str) -> String {
    domain::ExecutionId::for_key(&domain::Owner::new("jwt:ada"), key).to_string()
}

/// Runs an execution to its end, and returns its item, or what is wrong with it.
async fn run(stack: &Stack, scenario: Scenario, key: &str) -> Result<Value, String> {
    let Scenario { pattern, job, attempts, seconds, .. } = scenario;
    let input = "x".repeat(scenario.input);
    let body = json!({ "job": job, "input": input, "retry": { "maxAttempts": attempts }, "timeoutSeconds": seconds });
    ask(stack, &format!("/executions/{pattern}"), key, &body.to_string()).await?;
    let id = id_of(key);
    let mut cancel = scenario.cancelled;
    let deadline = Instant::now() + LONGEST_EXECUTION;
    loop {
        let item = stack.item(&id).await;
        match status(&item).as_str() {
            "RUNNING" if cancel => {
                ask(stack, &format!("/executions/{id}/cancel"), key, "").await?;
                cancel = false;
            }
            "PENDING" | "RUNNING" | "CANCELLING" => {}
            _ => return checked_end(stack, item, deadline).await,
        }
        if Instant::now() > deadline {
            return Err(format!("stuck: {item:#}"));
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

/// Sends a request as a client, and repeats it until it succeeds.
async fn ask(stack: &Stack, path: &str, key: &str, body: &str) -> Result<(), String> {
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let mut event = api_on_lambda::event("POST", path, Some(body), &ada);
    event["headers"]["idempotency-key"] = json!(key);
    let deadline = Instant::now() + LONGEST_EXECUTION;
    loop {
        let request = stack.post_to_aws(&format!("/2015-03-31/functions/{API_FUNCTION}/invocations"));
        let response = request.body(event.to_string()).send().await.unwrap();
        let answer: Value = response.json().await.unwrap();
        match answer["statusCode"].as_u64() {
            Some(200..300) => return Ok(()),
            None | Some(500..) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => return Err(format!("{path} was answered with {answer}")),
        }
    }
}

fn status(item: &Value) -> String {
    item["status"]["S"].as_str().unwrap().to_owned()
}

/// Checks that the item has one outcome, and that the durable execution agrees.
async fn checked_end(stack: &Stack, item: Value, deadline: Instant) -> Result<Value, String> {
    let timeline = item["timeline"]["L"].as_array().unwrap();
    let ends = timeline.iter().filter(|entry| entry["M"]["what"]["S"] == "ended").count();
    if ends != 1 {
        return Err(format!("{ends} recorded ends: {item:#}"));
    }
    let completed = status(&item) == "COMPLETED";
    let has_result = item["result"]["S"].as_str().is_some_and(|result| result.contains("\"n\""));
    if completed && (!has_result || item["exitCode"]["N"] != "0") {
        return Err(format!("its result or its exit code is lost: {item:#}"));
    }
    // The workflow of a callback execution succeeds once the task is running.
    let agrees = |durable: &Value| match durable["Status"].as_str().unwrap() {
        "SUCCEEDED" => completed || item["pattern"]["S"] == "callback",
        "FAILED" => !completed,
        _ => false,
    };
    let arn = item["durableExecutionArn"]["S"].as_str().unwrap();
    loop {
        let durable = stack.durable_execution(arn).await;
        if agrees(&durable) {
            return Ok(item);
        }
        if durable["Status"] != "RUNNING" || Instant::now() > deadline {
            return Err(format!("its durable execution is {durable:#}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Returns what is wrong after all executions have ended: outcomes that changed, and tasks that are still running or one too many.
async fn wrong_at_the_end(stack: &Stack, ended: &BTreeMap<String, Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut tasks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let runs =
        |task: &Value| ended.contains_key(task["startedBy"].as_str().unwrap()) && task["lastStatus"] != "STOPPED";
    // The outcome is recorded before the task is stopped.
    let deadline = Instant::now() + PATIENCE;
    let mut all = stack.tasks().await;
    while all.iter().any(runs) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
        all = stack.tasks().await;
    }
    for task in all {
        if runs(&task) {
            wrong.push(format!("the execution has ended, but its task is running: {task:#}"));
        }
        let id = task["startedBy"].as_str().unwrap().to_owned();
        let environment = task["overrides"]["containerOverrides"][0]["environment"].as_array().unwrap();
        let attempt = environment.iter().find(|one| one["name"] == "EXECUTION_ATTEMPT").unwrap()["value"].to_string();
        tasks.entry(id).or_default().push(attempt);
    }
    for (id, before) in ended {
        let now = stack.item(id).await;
        if now["status"] != before["status"] || now["result"] != before["result"] {
            wrong.push(format!("the outcome of {id} has changed: {before:#} {now:#}"));
        }
        let mut attempts = tasks.remove(id).unwrap_or_default();
        attempts.sort();
        let expected: Vec<_> = (1..=attempts.len()).map(|attempt| format!("\"{attempt}\"")).collect();
        // An execution that timed out or was cancelled before its task started may have no task, or one that did nothing.
        let ran = !now["run"].is_null();
        if attempts != expected || (ran && attempts.is_empty()) {
            wrong.push(format!("{id} has tasks for the attempts {attempts:?}: {now:#}"));
        }
    }
    wrong
}
