//! Compares every POST with its outcome. It reads only the public API, ECS and Lambda.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use serde_json::Value;

use super::{END_TIMEOUT, Soak, chaos, jobs::JOBS};

impl Soak {
    /// Checks some executions, and returns those that have not ended yet. A final state must stay as it was when first seen.
    pub(super) async fn note_ends(&mut self, ids: Vec<String>) -> Vec<String> {
        let mut open = Vec::new();
        for id in ids {
            match self.get(&id).await {
                Some((StatusCode::OK, execution)) => {
                    if !self.note(&id, &execution) {
                        open.push(id);
                    }
                }
                Some((StatusCode::NOT_FOUND, _)) => {
                    assert!(!self.posted[&id].accepted, "seed {}: {id} was accepted, and is lost", self.seed);
                }
                Some((StatusCode::SERVICE_UNAVAILABLE, _)) | None => open.push(id),
                Some((status, answer)) => panic!("seed {}: {status}: {answer:#}", self.seed),
            }
        }
        open
    }

    async fn get(&self, id: &str) -> Option<(StatusCode, Value)> {
        let request = self.stack.get(&format!("/executions/{id}")).timeout(chaos::PATIENCE);
        let response = request.send().await.ok()?;
        Some((response.status(), response.json().await.ok()?))
    }

    /// Records the state of an execution, and returns whether it has ended.
    fn note(&mut self, id: &str, execution: &Value) -> bool {
        let seed = self.seed;
        let posted = self.posted.get_mut(id).unwrap();
        posted.accepted = true;
        let now = end_of(execution);
        match (&posted.end, execution["done"] == true) {
            (Some(end), _) => assert_eq!(*end, now, "seed {seed}: a final state changed: {execution:#}"),
            (None, true) => {
                let fits = JOBS[posted.job].may_end(execution, posted.cancelled);
                assert!(fits, "seed {seed}: {execution:#}");
                posted.end = Some(now);
            }
            (None, false) => return false,
        }
        true
    }

    /// Waits for the end of all executions, and then checks each once more.
    pub(super) async fn settle(&mut self) {
        let deadline = Instant::now() + END_TIMEOUT;
        let all: Vec<_> = self.posted.keys().cloned().collect();
        let mut open = all.clone();
        while !open.is_empty() {
            open = self.note_ends(open).await;
            if Instant::now() > deadline {
                let stuck = open.first().map(String::as_str).unwrap_or_default();
                panic!("seed {}: {} are stuck: {:#}", self.seed, open.len(), self.stack.execution(stuck).await);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.note_ends(all).await;
    }

    /// Checks that each attempt had one task, that attempts are numbered without a gap, and that no task is running.
    pub(super) async fn check_tasks(&self) -> usize {
        let seed = self.seed;
        let deadline = Instant::now() + END_TIMEOUT;
        let tasks = loop {
            let tasks = self.stack.tasks().await;
            let Some(running) = tasks.iter().find(|task| task["lastStatus"] != "STOPPED") else { break tasks };
            assert!(Instant::now() < deadline, "seed {seed}: a task is left running: {running:#}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        let mut started: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for task in &tasks {
            let environment = task["overrides"]["containerOverrides"][0]["environment"].as_array().unwrap();
            let attempt = environment.iter().find(|one| one["name"] == "EXECUTION_ATTEMPT").unwrap();
            let attempt = attempt["value"].as_str().unwrap().parse().unwrap();
            started.entry(task["startedBy"].as_str().unwrap().to_owned()).or_default().push(attempt);
        }
        for (id, mut attempts) in started {
            attempts.sort_unstable();
            let expected: Vec<_> = (1..=attempts.len() as u64).collect();
            assert_eq!(attempts, expected, "seed {seed}: the tasks of {id} are not one for each attempt");
        }
        tasks.len()
    }

    /// Checks that every durable execution has ended, and that those of the sync pattern ended like their executions.
    pub(super) async fn check_workflows(&self) -> usize {
        let deadline = Instant::now() + END_TIMEOUT;
        let workflows = loop {
            let mut all = HashMap::new();
            for pattern in ["sync", "callback"] {
                all.extend(self.stack.durable_statuses(pattern).await);
            }
            let Some(running) = all.iter().find(|(_, status)| *status == "RUNNING") else { break all };
            assert!(Instant::now() < deadline, "seed {}: a workflow is stuck: {running:?}", self.seed);
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        for (id, posted) in self.posted.iter().filter(|(_, posted)| posted.pattern == "sync") {
            let Some(end) = &posted.end else { continue };
            let expected = if end["status"] == "COMPLETED" { "SUCCEEDED" } else { "FAILED" };
            let status = workflows.get(id).map(String::as_str);
            assert_eq!(status, Some(expected), "seed {}: {id}: {end:#}", self.seed);
        }
        workflows.len()
    }
}

/// The fields of a finished execution that never change.
fn end_of(execution: &Value) -> Value {
    ["status", "result", "error", "exitCode", "attempt", "taskArn", "finishedAt"]
        .into_iter()
        .map(|name| (name.to_owned(), execution[name].clone()))
        .collect()
}
