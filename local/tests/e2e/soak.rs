//! Chaos, seeded: executions of all kinds, clients that repeat and cancel, and a stack that is killed again and again. At the
//! end a checker that reads only the public API and the ECS endpoint compares every accepted POST with its end.
//!
//! `SOAK_SECONDS` says how long the killing goes on, `SOAK_SEED` repeats a run's choices: `make soak`.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::stack::Stack;

/// The jobs, and what an execution of each may come to. A machine that is lost is excused three times; after that an
/// execution may fail for it. A cancel may come to any of them.
const JOBS: [(&str, &str, &[&str]); 6] = [
    ("ok", "sleep 0.2; echo '{\"n\": 1}'", &["COMPLETED"]),
    ("quick", "echo 1", &["COMPLETED"]),
    ("fails", "sleep 0.1; exit 3", &[]),
    ("crashes", "kill -9 $PPID; sleep 60", &[]),
    ("floods", "yes flood | head -c 2000000; echo; echo '{\"n\": 2}'", &["COMPLETED"]),
    ("hangs", "trap '' TERM; while :; do sleep 0.1; done", &["TIMED_OUT"]),
];

/// What may happen to any execution when machines are lost and people cancel.
const ALWAYS: [&str; 2] = ["FAILED", "CANCELLED"];

/// How long the last of them may take, once nobody disturbs any more: a deadline, the stop of a stubborn task, the waits
/// between attempts and sweeps.
const SETTLING: Duration = Duration::from_mins(4);

/// A small generator of choices: the same seed makes the same ones.
struct Choices(u64);

impl Choices {
    fn below(&mut self, most: u64) -> u64 {
        // SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// An execution that was accepted.
struct Accepted {
    job: usize,
    key: String,
    pattern: &'static str,
    first_final: Option<String>,
}

#[expect(clippy::disallowed_methods, reason = "options of the test, not of the program")]
fn option(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

async fn start(data: &Path) -> Stack {
    let tasks: Vec<_> =
        JOBS.iter().flat_map(|(name, command, _)| ["--task".to_owned(), format!("{name}={command}")]).collect();
    Stack::start_over(data, &tasks.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// What is posted for an execution; the same for each repeat.
fn body(job: usize) -> Value {
    // A job that hangs needs a deadline; one that fails may be tried again.
    match JOBS[job].0 {
        "hangs" => json!({ "task": "hangs", "input": null, "timeoutSeconds": 3 }),
        name => json!({ "task": name, "input": null, "retry": { "maxAttempts": 2 } }),
    }
}

/// A POST of which the reply may get lost with the stack: then nothing is known of it.
async fn post(stack: &Stack, pattern: &str, key: &str, job: usize) -> Option<String> {
    let request = stack.post(&format!("/executions/{pattern}")).header("idempotency-key", key).json(&body(job));
    let response = request.timeout(Duration::from_secs(5)).send().await.ok()?;
    assert!(response.status().is_success() || response.status() == 503, "{}", response.status());
    let execution: Value = response.json().await.ok()?;
    execution["executionId"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn nothing_is_lost_stuck_or_started_twice() {
    let (seconds, seed) = (option("SOAK_SECONDS", 12), option("SOAK_SEED", 20_261_123));
    let mut choices = Choices(seed);
    let directory = tempfile::tempdir().unwrap();
    let mut stack = start(directory.path()).await;
    let mut accepted: BTreeMap<String, Accepted> = BTreeMap::new();
    let (mut kills, mut number) = (0, 0_u64);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for _ in 0..=choices.below(4) {
            number += 1;
            let job = usize::try_from(choices.below(6)).unwrap();
            let pattern = ["sync", "callback"][usize::try_from(choices.below(2)).unwrap()];
            let key = format!("{seed}-{number}");
            if let Some(id) = post(&stack, pattern, &key, job).await {
                accepted.insert(id, Accepted { job, key, pattern, first_final: None });
            }
        }
        if let Some((id, one)) = pick(&accepted, &mut choices) {
            // Impatient clients: the same request again, which has to find the same execution.
            let again = post(&stack, one.pattern, &one.key, one.job).await;
            assert!(again.is_none_or(|again| again == *id), "seed {seed}: one key, two executions");
        }
        if choices.below(4) == 0
            && let Some((id, _)) = pick(&accepted, &mut choices)
        {
            let _ = stack.post(&format!("/executions/{id}/cancel")).send().await;
        }
        if choices.below(5) == 0 {
            stack.process.kill().await.unwrap();
            kills += 1;
            stack = start(directory.path()).await;
        }
        note_final_states(&stack, &mut accepted, seed).await;
        tokio::time::sleep(Duration::from_millis(choices.below(300))).await;
    }
    settle(&stack, &mut accepted, seed).await;
    let tasks = check_tasks(&stack, seed).await;
    println!(
        "soak: seed {seed}, {} executions, {tasks} tasks, {kills} kills: 0 lost, 0 stuck, 0 started twice",
        accepted.len()
    );
}

fn pick<'a>(accepted: &'a BTreeMap<String, Accepted>, choices: &mut Choices) -> Option<(&'a String, &'a Accepted)> {
    let count = u64::try_from(accepted.len()).unwrap();
    (count > 0).then(|| accepted.iter().nth(usize::try_from(choices.below(count)).unwrap()).unwrap())
}

/// A final state never changes: the first one that is seen is the one that is seen ever after.
async fn note_final_states(stack: &Stack, accepted: &mut BTreeMap<String, Accepted>, seed: u64) -> usize {
    let mut open = 0;
    for (id, one) in accepted.iter_mut() {
        let execution = stack.execution(id).await;
        let status = execution["status"].as_str().unwrap().to_owned();
        if let Some(first) = &one.first_final {
            assert_eq!(*first, status, "seed {seed}: a final state changed: {execution:#}");
        } else if execution["done"] == true {
            let (job, _, expected) = JOBS[one.job];
            let fits = expected.contains(&status.as_str()) || ALWAYS.contains(&status.as_str());
            assert!(fits, "seed {seed}: {job} came to {execution:#}");
            one.first_final = Some(status);
        } else {
            open += 1;
        }
    }
    open
}

async fn settle(stack: &Stack, accepted: &mut BTreeMap<String, Accepted>, seed: u64) {
    let deadline = Instant::now() + SETTLING;
    while note_final_states(stack, accepted, seed).await > 0 {
        if Instant::now() > deadline {
            let open = accepted.iter().find(|(_, one)| one.first_final.is_none()).unwrap().0;
            panic!("seed {seed}: stuck: {:#}", stack.execution(open).await);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Each attempt of each execution had one task, and none of them runs any more.
async fn check_tasks(stack: &Stack, seed: u64) -> usize {
    let call = |operation: &str, body: Value| {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        async move { stack.call(&target, body).await }
    };
    let running = call("ListTasks", json!({ "cluster": "longhaul", "desiredStatus": "RUNNING" })).await;
    assert_eq!(running["taskArns"], json!([]), "seed {seed}: a task is left running");
    let mut started: HashMap<(String, String), Vec<String>> = HashMap::new();
    let mut token = Value::Null;
    loop {
        let list = json!({ "cluster": "longhaul", "desiredStatus": "STOPPED", "nextToken": token });
        let page = call("ListTasks", list).await;
        let arns = page["taskArns"].as_array().unwrap();
        for some in arns.chunks(100) {
            let described = call("DescribeTasks", json!({ "cluster": "longhaul", "tasks": some })).await;
            for task in described["tasks"].as_array().unwrap() {
                let environment = task["overrides"]["containerOverrides"][0]["environment"].as_array().unwrap();
                let attempt = environment.iter().find(|one| one["name"] == "EXECUTION_ATTEMPT").unwrap();
                let of = (task["startedBy"].to_string(), attempt["value"].to_string());
                started.entry(of).or_default().push(task["taskArn"].to_string());
            }
        }
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    for (of, tasks) in &started {
        assert_eq!(tasks.len(), 1, "seed {seed}: {of:?} was started twice: {tasks:?}");
    }
    started.len()
}
