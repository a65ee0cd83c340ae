//! Random faults: clients start, repeat, cancel and rerun executions of all kinds. Meanwhile calls are throttled, cut off and repeated,
//! events are lost, and functions, tasks and whole stacks are killed. At the end a checker compares every POST with its outcome. It
//! reads only the public API and the ECS and Lambda endpoints.
//!
//! `make soak`: `SOAK_SECONDS` is the duration, and `SOAK_SEED` reproduces a run's choices.

mod chaos;
mod checker;
mod jobs;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::{chaos::Chaos, jobs::JOBS};
use crate::{
    choices::{Choices, option},
    stack::Stack,
};

/// How long executions may take to end after the last fault. This covers a deadline, the stop of a task that ignores SIGTERM, the waits
/// between attempts, and one or two sweeps for each lost event.
const END_TIMEOUT: Duration = Duration::from_mins(8);

/// A POST with a key, and what the test knows about its execution.
struct Posted {
    job: usize,
    pattern: &'static str,
    /// The original execution of a rerun.
    rerun_of: Option<String>,
    /// Whether a response confirmed it. Without a response, it may still have been accepted.
    accepted: bool,
    cancelled: bool,
    /// Its final state when first seen, which must not change.
    end: Option<Value>,
}

struct Soak {
    seed: u64,
    choices: Choices,
    stack: Stack,
    chaos: Chaos,
    /// By execution id.
    posted: BTreeMap<String, Posted>,
    keys: BTreeMap<String, String>,
}

async fn start(data: &Path) -> Stack {
    let jobs: Vec<_> = JOBS.iter().flat_map(|job| ["--job".to_owned(), job.option()]).collect();
    Stack::start_over(data, &jobs.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn under_random_faults_no_execution_is_lost_stuck_or_started_twice() {
    let (seconds, seed) = (option("SOAK_SECONDS", 20), option("SOAK_SEED", 20_261_123));
    let directory = tempfile::tempdir().unwrap();
    let mut soak = Soak {
        seed,
        choices: Choices(seed),
        stack: start(directory.path()).await,
        chaos: Chaos::default(),
        posted: BTreeMap::new(),
        keys: BTreeMap::new(),
    };
    soak.chaos.arm(&soak.stack, &mut soak.choices).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        soak.clients().await;
        soak.disturb(directory.path()).await;
        let some = (0..10).filter_map(|_| soak.choices.one_of(&soak.keys.keys().collect::<Vec<_>>()).copied().cloned());
        let some = some.collect();
        soak.note_ends(some).await;
        tokio::time::sleep(Duration::from_millis(soak.choices.below(300))).await;
    }
    soak.chaos.end(&soak.stack).await;
    let settling = Instant::now();
    soak.settle().await;
    let settled = settling.elapsed().as_secs();
    let tasks = soak.check_tasks().await;
    let workflows = soak.check_workflows().await;
    println!(
        "soak: seed {seed}, {seconds} s: {} executions, {tasks} tasks, {workflows} durable executions; {}; settled in \
         {settled} s: 0 lost, 0 stuck, 0 started twice, 0 final states changed",
        soak.posted.values().filter(|posted| posted.end.is_some()).count(),
        soak.chaos
    );
}

impl Soak {
    /// A few requests of clients with short timeouts.
    async fn clients(&mut self) {
        for _ in 0..=self.choices.below(4) {
            let key = format!("{}-{}", self.seed, self.keys.len());
            let id = Stack::id_of_key(&key);
            let job = usize::try_from(self.choices.below(JOBS.len() as u64)).unwrap();
            let pattern = *self.choices.one_of(&["sync", "callback"]).unwrap();
            let posted = Posted { job, pattern, rerun_of: None, accepted: false, cancelled: false, end: None };
            self.keys.insert(id.clone(), key);
            self.posted.insert(id.clone(), posted);
            self.post(&id).await;
        }
        let ids: Vec<_> = self.posted.keys().cloned().collect();
        // A repeated request must return the same execution.
        let again = self.choices.one_of(&ids).unwrap().clone();
        self.post(&again).await;
        if self.choices.once_in(4) {
            let id = self.choices.one_of(&ids).unwrap();
            let cancel = self.stack.post(&format!("/executions/{id}/cancel")).timeout(chaos::PATIENCE).send().await;
            // Without a response, the cancel may still have been accepted.
            let unknown = cancel.is_ok_and(|response| response.status() == 404);
            self.posted.get_mut(id).unwrap().cancelled |= !unknown;
        }
        if self.choices.once_in(4) {
            let of = self.choices.one_of(&ids).unwrap().clone();
            if self.posted[&of].accepted {
                let key = format!("{}-{}", self.seed, self.keys.len());
                let id = Stack::id_of_key(&key);
                let Posted { job, pattern, .. } = self.posted[&of];
                let rerun_of = Some(of);
                let posted = Posted { job, pattern, rerun_of, accepted: false, cancelled: false, end: None };
                self.keys.insert(id.clone(), key);
                self.posted.insert(id.clone(), posted);
                self.post(&id).await;
            }
        }
    }

    /// Sends the request of an execution, for the first time or again.
    async fn post(&mut self, id: &str) {
        let posted = &self.posted[id];
        let request = match &posted.rerun_of {
            Some(of) => self.stack.post(&format!("/executions/{of}/rerun")),
            None => self.stack.post(&format!("/executions/{}", posted.pattern)).json(&JOBS[posted.job].request()),
        };
        let request = request.header("idempotency-key", &self.keys[id]).timeout(chaos::PATIENCE);
        // If the stack or the connection dies, the reply is lost and the outcome is unknown.
        let Ok(response) = request.send().await else { return };
        let status = response.status();
        let Ok(answer) = response.json::<Value>().await else { return };
        assert!(status.is_success() || status == 503, "seed {}: {status}: {answer}", self.seed);
        if status.is_success() {
            assert_eq!(answer["executionId"], json!(id), "seed {}: one key, two executions", self.seed);
            self.posted.get_mut(id).unwrap().accepted = true;
        }
    }

    async fn disturb(&mut self, data: &Path) {
        if self.choices.once_in(6) {
            self.chaos.kill_stack(&mut self.stack).await;
            self.stack = start(data).await;
            self.chaos.arm(&self.stack, &mut self.choices).await;
        }
        if self.choices.once_in(3) {
            let running: Vec<_> = self.posted.iter().filter(|(_, one)| one.end.is_none()).map(|(id, _)| id).collect();
            let task = self.choices.one_of(&running).map_or_else(String::new, ToString::to_string);
            self.chaos.kill(&self.stack, &mut self.choices, &task).await;
        }
    }
}
