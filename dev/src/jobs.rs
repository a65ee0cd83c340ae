//! The jobs of the local stack: those that the command line configures, and those that were configured at an earlier start.
//!
//! A job that was configured before and is not now is *disabled*. It accepts no new executions. The outcomes of existing ones are still
//! recorded, because its task definition and its catalog entry remain. The job may have been left out by mistake, so the executions that
//! need a new task wait instead of failing: ECS reports that it has no capacity for the job.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use contract::catalog::{Catalog, Job};
use domain::DEFAULT_JOB;
use emulator::{Prepared, REGION};
use serde_json::{Value, json};

use crate::{options::Named, setup::LOG_GROUP};

/// The prefix of the name of every job's task definition, before the job's own name.
const PREFIX: &str = "longhaul-";

/// The image of every job's task definition, which distinguishes it from definitions that callers registered.
const IMAGE: &str = "longhaul/worker";

/// All jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jobs {
    offered: BTreeSet<String>,
    disabled: BTreeSet<String>,
}

impl Jobs {
    /// The demonstration, those of the command line, and those of the task definitions that were registered before.
    pub(crate) fn new(emulator: &Prepared, jobs: &[Named]) -> Result<Self, emulator::StartError> {
        let offered: BTreeSet<_> = jobs.iter().map(|job| job.name.clone()).chain([DEFAULT_JOB.to_owned()]).collect();
        let registered = emulator.task_families(IMAGE)?;
        let registered = registered.iter().filter_map(|family| Some(family.strip_prefix(PREFIX)?.to_owned()));
        let disabled = registered.filter(|name| !offered.contains(name)).collect();
        Ok(Self { offered, disabled })
    }

    /// The catalog of the API and of the functions.
    pub(crate) fn catalog(&self) -> Result<Catalog, serde_json::Error> {
        let job = |name: &String, disabled| {
            let job: Job = serde_json::from_value(json!({ "taskDefinition": family(name), "disabled": disabled }))?;
            Ok((name.clone(), job))
        };
        let offered = self.offered.iter().map(|name| job(name, false));
        offered.chain(self.disabled.iter().map(|name| job(name, true))).collect()
    }

    /// The task definitions that ECS has no capacity for, and why.
    pub(crate) fn without_capacity(&self) -> BTreeMap<String, String> {
        let why = |name| format!("the local stack was started without --job {name}");
        self.disabled.iter().map(|name| (family(name), why(name))).collect()
    }

    /// Warnings about disabled jobs that executions wait for. `unfinished` counts by job the executions that are not over.
    pub(crate) fn warnings(&self, unfinished: &BTreeMap<String, usize>) -> Vec<String> {
        let waits = |name: &String| {
            let (executions, they) = match unfinished.get(name)? {
                1 => ("1 execution waits".to_owned(), "it waits"),
                many => (format!("{many} executions wait"), "they wait"),
            };
            Some(format!(
                "job `{name}` is not configured, and {executions} for it. Start the stack with --job {name}='COMMAND' to \
                 go on; without it, {they} until a cancel or the deadline"
            ))
        };
        self.disabled.iter().filter_map(waits).collect()
    }

    /// Whether every job that was ever configured is configured now.
    pub(crate) fn none_disabled(&self) -> bool {
        self.disabled.is_empty()
    }
}

fn family(job: &str) -> String {
    format!("{PREFIX}{job}")
}

/// A task definition for each job: this program as the worker, around the job's command.
pub(crate) fn definitions(this: &Path, jobs: &[Named]) -> Vec<Value> {
    let this = this.to_string_lossy();
    // A job of the command line replaces the demonstration if it has its name.
    let replaced = jobs.iter().any(|job| job.name == DEFAULT_JOB);
    let demonstration = (!replaced).then(|| definition(DEFAULT_JOB, &json!([this, "worker"]), &json!([])));
    let named = jobs.iter().map(|job| {
        let command = json!(["--", "sh", "-c", job.command]);
        definition(&job.name, &json!([this, "worker"]), &command)
    });
    demonstration.into_iter().chain(named).collect()
}

fn definition(job: &str, entry_point: &Value, command: &Value) -> Value {
    json!({
        "family": family(job),
        "containerDefinitions": [{
            "name": "job",
            "image": IMAGE,
            "entryPoint": entry_point,
            "command": command,
            "stopTimeout": 30,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": LOG_GROUP,
                    "awslogs-region": REGION,
                    "awslogs-stream-prefix": "task",
                },
            },
        }],
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
    })
}
