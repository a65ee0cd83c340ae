//! Random operations on a real stack's API, compared with a small model of what the API should do.
//!
//! `MODEL_SEED` reproduces a run, and `MODEL_CASES` is the number of random sequences. A failing sequence is shrunk before it is
//! reported.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    choices::option,
    stack::{PATIENCE, Stack},
};

const JOBS: [(&str, &str, &str); 3] =
    [("quick", "echo '[1]'", "COMPLETED"), ("nap", "sleep 1; echo '[1]'", "COMPLETED"), ("fails", "exit 3", "FAILED")];
const PATTERNS: [&str; 2] = ["sync", "callback"];

/// Most executions start at once.
const DELAYS: [u8; 4] = [0, 0, 0, 2];

/// The loss of a machine does not count as an attempt, up to three times. More crashes could fail a job.
const CRASHES: usize = 3;

/// The order of the states.
const SCHEDULED: u8 = 0;
const PENDING: u8 = 1;
const RUNNING: u8 = 2;
const CANCELLING: u8 = 3;
const FINAL: u8 = 4;

/// What a client does, or what happens to the stack. There are few keys, so that operations share them.
#[derive(Debug, Clone, Copy)]
enum Operation {
    /// A POST with a key: a new one, a repeated one, or one with another body.
    Start {
        key: u8,
        pattern: usize,
        job: usize,
        /// In how many seconds it is to start.
        delay: u8,
    },
    /// A PATCH of the start time, to this many seconds from now.
    Move {
        key: u8,
        to: u8,
    },
    Cancel {
        key: u8,
    },
    Rerun {
        of: u8,
        key: u8,
    },
    Get {
        key: u8,
    },
    LoseEvent,
    DoubleEvent,
    KillTask {
        key: u8,
    },
    Crash,
    Pause,
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = || 0..4_u8;
    prop_oneof![
        6 => (key(), 0..PATTERNS.len(), 0..JOBS.len(), 0..DELAYS.len())
            .prop_map(|(key, pattern, job, delay)| Operation::Start { key, pattern, job, delay: DELAYS[delay] }),
        2 => (key(), 0..4_u8).prop_map(|(key, to)| Operation::Move { key, to }),
        3 => key().prop_map(|key| Operation::Cancel { key }),
        2 => (key(), key()).prop_map(|(of, key)| Operation::Rerun { of, key }),
        3 => key().prop_map(|key| Operation::Get { key }),
        1 => Just(Operation::LoseEvent),
        1 => Just(Operation::DoubleEvent),
        1 => key().prop_map(|key| Operation::KillTask { key }),
        1 => Just(Operation::Crash),
        3 => Just(Operation::Pause),
    ]
}

/// The model of one execution.
#[derive(Debug, Clone)]
struct Known {
    pattern: usize,
    job: usize,
    delay: u8,
    rerun_of: Option<String>,
    /// Whether it was cancelled before its end, and whether its task was killed.
    cancelled: bool,
    killed: bool,
    /// The latest state that was seen.
    seen: u8,
    end: Option<Value>,
}

impl Known {
    fn new(pattern: usize, job: usize, delay: u8, rerun_of: Option<String>) -> Self {
        Self { pattern, job, delay, rerun_of, cancelled: false, killed: false, seen: 0, end: None }
    }

    fn may_end(&self, status: &str) -> bool {
        status == JOBS[self.job].2 || (status == "CANCELLED" && self.cancelled) || (status == "FAILED" && self.killed)
    }

    /// Checks that a state never goes back, that a cancelled execution is being stopped, and that a final state never changes.
    fn sees(&mut self, execution: &Value) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("{why}: {self:?} is seen as {execution:#}"));
        let status = execution["status"].as_str().unwrap_or_default();
        let rank = match status {
            "SCHEDULED" => SCHEDULED,
            "PENDING" => PENDING,
            "RUNNING" => RUNNING,
            "CANCELLING" => CANCELLING,
            _ => FINAL,
        };
        let back = rank < self.seen || (self.cancelled && rank < CANCELLING);
        if back || (rank == CANCELLING && !self.cancelled) {
            return wrong("the state went back");
        }
        if (rank == SCHEDULED || !execution["scheduledFor"].is_null()) && self.delay == 0 {
            return wrong("it was to start at once");
        }
        if execution["rerunOf"].as_str() != self.rerun_of.as_deref() || execution["job"] != JOBS[self.job].0 {
            return wrong("another execution");
        }
        let end = ["status", "result", "error", "finishedAt"].map(|name| execution[name].clone());
        let end = (rank == FINAL).then(|| Value::from(end.to_vec()));
        if self.end.is_some() && self.end != end {
            return wrong("the final state changed");
        }
        if rank == FINAL && !self.may_end(status) {
            return wrong("unexpected final state");
        }
        (self.seen, self.end) = (rank, end);
        Ok(())
    }
}

struct Comparison<'a> {
    data: &'a Path,
    stack: Stack,
    known: BTreeMap<u8, Known>,
    crashes: usize,
}

async fn start(data: &Path) -> Stack {
    let jobs: Vec<_> =
        JOBS.iter().flat_map(|(name, command, _)| ["--job".to_owned(), format!("{name}={command}")]).collect();
    Stack::start_over(data, &jobs.iter().map(String::as_str).collect::<Vec<_>>()).await
}

fn id_of(key: u8) -> String {
    Stack::id_of_key(&format!("key-{key}"))
}

impl Comparison<'_> {
    async fn does(&mut self, operation: Operation) -> Result<(), String> {
        match operation {
            Operation::Start { key, pattern, job, delay } => {
                let mut body = json!({ "job": JOBS[job].0, "input": null });
                if delay > 0 {
                    body["delaySeconds"] = json!(delay);
                }
                let path = format!("/executions/{}", PATTERNS[pattern]);
                let request = self.stack.post(&path).json(&body).header("idempotency-key", format!("key-{key}"));
                let answer = answer(request).await;
                self.started(key, &Known::new(pattern, job, delay, None), answer)
            }
            Operation::Move { key, to } => self.moved(key, to).await,
            Operation::Rerun { of, key } => {
                let path = format!("/executions/{}/rerun", id_of(of));
                let request = self.stack.post(&path).header("idempotency-key", format!("key-{key}"));
                let (status, replayed, body) = answer(request).await;
                let Some(old) = self.known.get(&of) else {
                    return expect(status == StatusCode::NOT_FOUND, "a rerun of an unknown execution is a 404", &body);
                };
                let new = Known::new(old.pattern, old.job, 0, Some(id_of(of)));
                self.started(key, &new, (status, replayed, body))
            }
            Operation::Cancel { key } => {
                let path = format!("/executions/{}/cancel", id_of(key));
                let (status, _, body) = answer(self.stack.post(&path)).await;
                let Some(known) = self.known.get_mut(&key) else {
                    return expect(status == StatusCode::NOT_FOUND, "a cancel of an unknown execution is a 404", &body);
                };
                // An execution without a running task ends at once.
                known.cancelled |= known.end.is_none() && (body["done"] == false || body["status"] == "CANCELLED");
                expect(
                    status == if body["done"] == true { 200 } else { 202 },
                    "a cancel is answered with 200 or 202",
                    &body,
                )?;
                known.sees(&body)
            }
            Operation::Get { key } => {
                let (status, _, body) = answer(self.stack.get(&format!("/executions/{}", id_of(key)))).await;
                match self.known.get_mut(&key) {
                    None => expect(status == StatusCode::NOT_FOUND, "an unknown execution is a 404", &body),
                    Some(known) => {
                        expect(status == StatusCode::OK, "a known execution is a 200", &body)?;
                        known.sees(&body)
                    }
                }
            }
            Operation::LoseEvent => self.event("cutBefore").await,
            Operation::DoubleEvent => self.event("repeat").await,
            Operation::KillTask { key } => {
                let whom = json!({ "by": "task", "execution": id_of(key) });
                match self.stack.admin("kill", &whom).await {
                    Ok(_) => {
                        if let Some(known) = self.known.get_mut(&key) {
                            known.killed = true;
                        }
                        Ok(())
                    }
                    // It has no running task.
                    Err((status, _)) if status == 404 => Ok(()),
                    Err((_, why)) => Err(why),
                }
            }
            Operation::Crash if self.crashes == CRASHES => Ok(()),
            Operation::Crash => {
                self.crashes += 1;
                self.stack.process.kill().await.map_err(|why| why.to_string())?;
                self.stack = start(self.data).await;
                Ok(())
            }
            Operation::Pause => {
                tokio::time::sleep(Duration::from_millis(250)).await;
                Ok(())
            }
        }
    }

    /// An execution can be moved if and only if it is SCHEDULED.
    async fn moved(&mut self, key: u8, to: u8) -> Result<(), String> {
        let clock = self.stack.local("clock").await["now"].as_str().unwrap().parse::<Timestamp>();
        let start = clock.map_err(|why| why.to_string())? + Duration::from_secs(to.into());
        let request = self.stack.patch(&format!("/executions/{}", id_of(key)));
        let (status, _, body) = answer(request.json(&json!({ "startAt": start.to_string() }))).await;
        let Some(known) = self.known.get_mut(&key) else {
            return expect(status == StatusCode::NOT_FOUND, "a change of an unknown execution is a 404", &body);
        };
        if status == StatusCode::CONFLICT {
            known.seen = known.seen.max(PENDING);
            return expect(body["code"] == "not-scheduled", "a change that comes too late is refused", &body);
        }
        expect(status == StatusCode::OK && body["status"] == "SCHEDULED", "a change before the start is a 200", &body)?;
        known.sees(&body)
    }

    /// Checks that a key has one execution and belongs to one request.
    fn started(&mut self, key: u8, new: &Known, (status, replayed, body): Answer) -> Result<(), String> {
        let first = !self.known.contains_key(&key);
        let known = self.known.entry(key).or_insert_with(|| new.clone());
        let request = |known: &Known| (known.pattern, known.job, known.delay, known.rerun_of.clone());
        if request(known) != request(new) {
            let refused = status == 422 && body["code"] == "idempotency-key-reused";
            return expect(refused, "a key of another request is refused", &body);
        }
        let fits = status == if body["done"] == true { 200 } else { 202 };
        expect(fits && body["executionId"] == id_of(key), "a start is accepted", &body)?;
        expect(replayed != first, "only a repeated start has idempotent-replayed", &body)?;
        known.sees(&body)
    }

    async fn event(&self, does: &str) -> Result<(), String> {
        let fault = json!({ "on": "events:ECS Task State Change", "does": does });
        self.stack.admin("faults", &fault).await.map(drop).map_err(|(_, why)| why)
    }

    /// Waits until all executions have ended, and checks that each attempt had one task.
    async fn settles(&mut self) -> Result<(), String> {
        self.stack.delete("faults").await;
        // A lost event can take two sweeps.
        let deadline = Instant::now() + 4 * PATIENCE;
        while self.known.values().any(|known| known.end.is_none()) {
            if Instant::now() > deadline {
                return Err(format!("stuck: {:?}", self.known));
            }
            for key in self.known.keys().copied().collect::<Vec<_>>() {
                self.does(Operation::Get { key }).await?;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut attempts = BTreeMap::new();
        for task in self.stack.tasks().await {
            let environment = &task["overrides"]["containerOverrides"][0]["environment"];
            let attempt =
                environment.as_array().unwrap().iter().find(|one| one["name"] == "EXECUTION_ATTEMPT").cloned();
            *attempts.entry((task["startedBy"].to_string(), format!("{attempt:?}"))).or_insert(0) += 1;
        }
        expect(attempts.values().all(|tasks| *tasks == 1), "each attempt has one task", &json!(format!("{attempts:?}")))
    }
}

type Answer = (StatusCode, bool, Value);

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let replayed = response.headers().contains_key("idempotent-replayed");
    (response.status(), replayed, response.json().await.unwrap())
}

fn expect(holds: bool, what: &str, body: &Value) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: {body:#}")) }
}

async fn run(operations: &[Operation]) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    let stack = start(directory.path()).await;
    let mut world = Comparison { data: directory.path(), stack, known: BTreeMap::new(), crashes: 0 };
    for operation in operations {
        world.does(*operation).await.map_err(|why| format!("{operation:?}: {why}"))?;
    }
    world.settles().await
}

#[test]
fn the_api_and_the_model_agree() {
    let (seed, cases) = (option("MODEL_SEED", 20_261_125), option("MODEL_CASES", 4));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config { cases: u32::try_from(cases).unwrap(), max_shrink_iters: 30, ..Config::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let sequences = prop::collection::vec(operation(), 5..30);
    let outcome = runner.run(&sequences, |operations| runtime.block_on(run(&operations)).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => println!("model: seed {seed}: {cases} random sequences agree"),
        Err(TestError::Fail(why, operations)) => panic!("MODEL_SEED={seed}: {why}\noperations: {operations:#?}"),
        Err(why) => panic!("MODEL_SEED={seed}: {why}"),
    }
}
