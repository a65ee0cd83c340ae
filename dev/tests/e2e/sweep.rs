//! A fault at every call: in every life of an execution, at every call of AWS that the API, the functions, the reconciler and
//! the worker make in it.
//!
//! - Crashes: the caller dies before the call works, dies after it, loses its reply, or the call works twice.
//! - Refusals: AWS refuses the call once, in each of its ways, or the reply gets lost.
//!
//! An undisturbed life says which calls there are. After each fault there is one task for each attempt, one end was recorded
//! and it is the right one, and the durable execution's own status agrees.
//!
//! There are about 1,200 such crashes. `SWEEP_EVERY` says which are tried: every fifth, or with 1 every one: `make sweep`. Of
//! the refusals, `REFUSALS_EVERY` and `REFUSALS_SEED` choose: one at least for each operation of each caller, and one in
//! twenty of all, or with 1 every one: `make refusals`.

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

/// What befalls a call whose caller or connection dies.
const CRASHES: [&str; 4] = ["killBefore", "killAfter", "cutAfter", "repeat"];

/// What befalls a call that is refused once: a fault, or the code of a refusal. The same call works a moment later.
const REFUSALS: [&str; 6] =
    ["AccessDeniedException", "ExpiredTokenException", "UnrecognizedClientException", "throttle", "fail", "cutAfter"];

/// Lives at a time: most of each is waiting.
const AT_ONCE: usize = 24;

/// Who calls AWS in a life. The API is a function here, so that it can die too.
const CALLERS: [&str; 5] = [FRONT, "longhaul-sync", "longhaul-callback", "longhaul-reconciler", "task"];
const FRONT: &str = "front";

/// How many percent of the calls have to come again in a disturbed life. Some need not: there may be an event more or less in
/// a batch, workflow and worker race to record a start, and a machine that is slow looks less often before a deadline.
const COME_AGAIN: usize = 75;

/// How long a life may take: far longer than it takes, and than a dead invocation and a lost event cost together.
const LONGEST_LIFE: Duration = Duration::from_mins(4);

/// A life, and what it is to come to.
#[derive(Debug, Clone, Copy)]
struct Life {
    name: &'static str,
    pattern: &'static str,
    job: &'static str,
    attempts: u32,
    seconds: u32,
    cancelled: bool,
    /// Bytes of its input: a large one is read by the worker.
    input: usize,
    status: &'static str,
}

const PLAIN: Life = Life {
    name: "completes",
    pattern: "sync",
    job: "quick",
    attempts: 1,
    seconds: 600,
    cancelled: false,
    input: 0,
    status: "COMPLETED",
};

const LIVES: [Life; 5] = [
    PLAIN,
    Life { name: "reads a large input", input: 8_000, ..PLAIN },
    Life { name: "completes at the second attempt", job: "flaky", attempts: 2, ..PLAIN },
    Life { name: "is cancelled", job: "long", cancelled: true, status: "CANCELLED", ..PLAIN },
    Life { name: "runs out of time", job: "long", seconds: 8, status: "TIMED_OUT", ..PLAIN },
];

/// The jobs: one that succeeds, one that fails at the first attempt, one that never ends by itself.
const JOBS: [&str; 6] = [
    "--job",
    "quick=echo '{\"n\": 1}'",
    "--job",
    "flaky=test $EXECUTION_ATTEMPT = 2 || exit 3; echo '{\"n\": 1}'",
    "--job",
    "long=exec sleep 300",
];

/// One call of a life: by whom, which, and how many of the same come before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    by: String,
    call: String,
    nth: usize,
}

/// A life with one thing that goes wrong in it.
#[derive(Debug, Clone)]
struct Case {
    life: Life,
    fault: &'static str,
    effect: Effect,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { life, fault, effect: Effect { by, call, nth } } = self;
        write!(f, "{} {}: {fault} at {by}'s {call} no. {nth}", life.pattern, life.name)
    }
}

impl Case {
    /// A task that dies has failed, unless its end was recorded before.
    fn may_come_to(&self, status: &str) -> bool {
        let dies = self.effect.by == "task" && self.fault.starts_with("kill");
        status == self.life.status || (dies && status == "FAILED")
    }

    fn fault(&self, id: &str) -> Value {
        let Effect { by, call, nth } = &self.effect;
        json!({ "on": call, "does": does(self.fault), "by": by, "execution": id, "skip": nth })
    }
}

/// What a fault does: a code is what a call is refused with.
fn does(fault: &str) -> Value {
    if fault.ends_with("Exception") { json!({ "refuse": fault }) } else { json!(fault) }
}

#[tokio::test]
async fn nothing_that_dies_at_a_call_does_harm() {
    let stack = start().await;
    // Four faults at each call: a number that is prime to four tries each kind of fault.
    let every = usize::try_from(option("SWEEP_EVERY", 5)).unwrap();
    let cases = cases(&stack, &CRASHES).await.into_iter().step_by(every).collect();
    try_all(&stack, "crashes", cases).await;
}

#[tokio::test]
async fn a_call_that_is_refused_once_changes_no_outcome() {
    let stack = start().await;
    let all = cases(&stack, &REFUSALS).await;
    let calls: BTreeSet<_> = all.iter().map(|case| (case.life.pattern, case.life.name, &case.effect)).collect();
    println!("sweep: {} calls, {} refusals of each: {}", calls.len(), REFUSALS.len(), all.len());
    let cases = sample(all, option("REFUSALS_EVERY", 20), option("REFUSALS_SEED", 1));
    try_all(&stack, "refusals", cases).await;
}

/// Chooses one case for each operation of each caller, and so many of the others.
fn sample(mut cases: Vec<Case>, every: u64, seed: u64) -> Vec<Case> {
    let mut choices = Choices(seed);
    let mut covered = BTreeSet::new();
    let mut chosen = Vec::new();
    while !cases.is_empty() {
        let next = choices.below(u64::try_from(cases.len()).unwrap());
        let case = cases.swap_remove(usize::try_from(next).unwrap());
        let is_new = covered.insert((case.effect.by.clone(), case.effect.call.clone()));
        if is_new || choices.below(every) == 0 {
            chosen.push(case);
        }
    }
    chosen
}

/// A stack whose API is a function too.
async fn start() -> Arc<Stack> {
    let front = format!("{FRONT}={} function api", Path::new(LONGHAUL).display());
    Arc::new(Stack::start(&[&JOBS[..], &["--function", &front]].concat()).await)
}

/// Lives every case, and says what came of each that came to something else than it should.
async fn try_all(stack: &Arc<Stack>, what: &str, cases: Vec<Case>) {
    let began = Instant::now();
    println!("sweep: {} {what}", cases.len());
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let count = cases.len();
    for (number, case) in cases.into_iter().enumerate() {
        let (stack, room) = (stack.clone(), room.clone());
        running.spawn(async move {
            let _turn = room.acquire().await.unwrap();
            let key = format!("case {number}");
            let fault = stack.arm(&case.fault(&id_of(&key))).await;
            let came_to = live(&stack, case.life, &key).await;
            let hit = stack.fault(fault).await["hit"] == 1;
            stack.disarm(fault).await;
            (case, key, hit, came_to)
        });
    }
    let (mut wrong, mut hits, mut ended) = (Vec::new(), 0, BTreeMap::new());
    while let Some(done) = running.join_next().await {
        let (case, key, hit, came_to) = done.unwrap();
        hits += usize::from(hit);
        match came_to {
            Ok(item) if case.may_come_to(&status(&item)) => drop(ended.insert(id_of(&key), item)),
            Ok(item) => wrong.push(format!("{case}: came to {item:#}")),
            Err(why) => wrong.push(format!("{case}: {why}")),
        }
    }
    wrong.extend(lasting(stack, &ended).await);
    println!("sweep: {count} {what}, {hits} of them hit, in {:.0?}: {} wrong", began.elapsed(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(hits * 100 >= count * COME_AGAIN, "too few calls came again");
}

fn lives() -> impl Iterator<Item = Life> {
    ["sync", "callback"].into_iter().flat_map(|pattern| LIVES.map(|life| Life { pattern, ..life }))
}

/// Lives every life undisturbed, and makes a case of every fault at each call that came.
async fn cases(stack: &Arc<Stack>, faults: &[&'static str]) -> Vec<Case> {
    let mut undisturbed = JoinSet::new();
    for life in lives() {
        let stack = stack.clone();
        undisturbed.spawn(async move {
            let key = format!("{} {}", life.pattern, life.name);
            let watch = json!({ "on": "*", "does": "watch", "times": "all", "execution": id_of(&key) });
            let watch = stack.arm(&watch).await;
            let item = live(&stack, life, &key).await.unwrap();
            assert_eq!(status(&item), life.status, "{key}: {item:#}");
            let seen = stack.fault(watch).await;
            stack.disarm(watch).await;
            (life, effects(&seen))
        });
    }
    let mut cases = Vec::new();
    while let Some(done) = undisturbed.join_next().await {
        let (life, effects) = done.unwrap();
        println!("sweep: {} {}: {} calls", life.pattern, life.name, effects.len());
        for effect in &effects {
            cases.extend(faults.iter().map(|fault| Case { life, fault, effect: effect.clone() }));
        }
    }
    cases
}

/// The calls that a fault has seen, but for those of this test.
fn effects(fault: &Value) -> Vec<Effect> {
    let mut effects: Vec<Effect> = Vec::new();
    for seen in fault["calls"].as_array().unwrap() {
        let by = seen["by"].as_str().unwrap().split('.').next().unwrap().to_owned();
        let call = seen["call"].as_str().unwrap().to_owned();
        if CALLERS.contains(&by.as_str()) {
            let nth = effects.iter().filter(|effect| effect.by == by && effect.call == call).count();
            effects.push(Effect { by, call, nth });
        }
    }
    effects
}

fn id_of(key: &str) -> String {
    domain::ExecutionId::for_key(&domain::Owner::new("jwt:ada"), key).to_string()
}

/// Lives one life to its end, and gives its item then, or says what is wrong with it.
async fn live(stack: &Stack, life: Life, key: &str) -> Result<Value, String> {
    let Life { pattern, job, attempts, seconds, .. } = life;
    let input = "x".repeat(life.input);
    let body = json!({ "job": job, "input": input, "retry": { "maxAttempts": attempts }, "timeoutSeconds": seconds });
    ask(stack, &format!("/executions/{pattern}"), key, &body.to_string()).await?;
    let id = id_of(key);
    let mut cancel = life.cancelled;
    let deadline = Instant::now() + LONGEST_LIFE;
    loop {
        let item = stack.item(&id).await;
        match status(&item).as_str() {
            "RUNNING" if cancel => {
                ask(stack, &format!("/executions/{id}/cancel"), key, "").await?;
                cancel = false;
            }
            "PENDING" | "RUNNING" | "CANCELLING" => {}
            _ => return over(stack, item, deadline).await,
        }
        if Instant::now() > deadline {
            return Err(format!("stuck: {item:#}"));
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

/// A client: it repeats what it got no good answer to.
async fn ask(stack: &Stack, path: &str, key: &str, body: &str) -> Result<(), String> {
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let mut event = api_on_lambda::event("POST", path, Some(body), &ada);
    event["headers"]["idempotency-key"] = json!(key);
    let deadline = Instant::now() + LONGEST_LIFE;
    loop {
        let request = stack.post_to_aws(&format!("/2015-03-31/functions/{FRONT}/invocations"));
        let response = request.body(event.to_string()).send().await.unwrap();
        let answer: Value = response.json().await.unwrap();
        match answer["statusCode"].as_u64() {
            Some(200..300) => return Ok(()),
            None | Some(500..) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(200)).await,
            _ => return Err(format!("{path} is answered {answer}")),
        }
    }
}

fn status(item: &Value) -> String {
    item["status"]["S"].as_str().unwrap().to_owned()
}

/// One end, and a durable execution that ends as it says.
async fn over(stack: &Stack, item: Value, deadline: Instant) -> Result<Value, String> {
    let told = item["timeline"]["L"].as_array().unwrap();
    let ends = told.iter().filter(|entry| entry["M"]["what"]["S"] == "ended").count();
    if ends != 1 {
        return Err(format!("{ends} ends: {item:#}"));
    }
    let completed = status(&item) == "COMPLETED";
    let has_result = item["result"]["S"].as_str().is_some_and(|result| result.contains("\"n\""));
    if completed && (!has_result || item["exitCode"]["N"] != "0") {
        return Err(format!("its result or its exit code is lost: {item:#}"));
    }
    // A callback's workflow has done its work when the task runs.
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

/// What does not last, now that nothing happens any more: an end that has changed, a task that is one too many or still runs.
async fn lasting(stack: &Stack, ended: &BTreeMap<String, Value>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut tasks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let runs =
        |task: &Value| ended.contains_key(task["startedBy"].as_str().unwrap()) && task["lastStatus"] != "STOPPED";
    // An end is recorded before its task is stopped.
    let deadline = Instant::now() + PATIENCE;
    let mut all = stack.tasks().await;
    while all.iter().any(runs) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
        all = stack.tasks().await;
    }
    for task in all {
        if runs(&task) {
            wrong.push(format!("its execution is over, and it is not: {task:#}"));
        }
        let id = task["startedBy"].as_str().unwrap().to_owned();
        let environment = task["overrides"]["containerOverrides"][0]["environment"].as_array().unwrap();
        let attempt = environment.iter().find(|one| one["name"] == "EXECUTION_ATTEMPT").unwrap()["value"].to_string();
        tasks.entry(id).or_default().push(attempt);
    }
    for (id, before) in ended {
        let now = stack.item(id).await;
        if now["status"] != before["status"] || now["result"] != before["result"] {
            wrong.push(format!("the end of {id} has changed: {before:#} {now:#}"));
        }
        let mut attempts = tasks.remove(id).unwrap_or_default();
        attempts.sort();
        let expected: Vec<_> = (1..=attempts.len()).map(|attempt| format!("\"{attempt}\"")).collect();
        // Out of time, or cancelled, before its task began, it may have none, or one that did nothing.
        let ran = !now["run"].is_null();
        if attempts != expected || (ran && attempts.is_empty()) {
            wrong.push(format!("{id} has tasks for the attempts {attempts:?}: {now:#}"));
        }
    }
    wrong
}
