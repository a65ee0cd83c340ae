//! The jobs of the local stack: those that the job file and the command line configure, and those that were configured at an earlier
//! start.
//!
//! A job that was configured before and is not now is *disabled*. It accepts no new executions. The outcomes of existing ones are still
//! recorded, because its task definition and its catalog entry remain. The job may have been left out by mistake, so the executions that
//! need a new task wait instead of failing: ECS reports that it has no capacity for the job.

mod configured;
mod difference;
mod secrets;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use contract::{
    catalog::{Catalog, Job},
    environment,
};
use domain::DEFAULT_JOB;
use emulator::REGION;
use serde_json::{Value, json};

pub(crate) use self::configured::Configured;
pub use self::difference::Difference;
use crate::setup::LOG_GROUP;

/// The prefix of the name of every job's task definition, before the job's own name.
const PREFIX: &str = "longhaul-";

/// The image of every job's task definition, which distinguishes it from definitions that callers registered.
pub(crate) const IMAGE: &str = "longhaul/worker";

/// All jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jobs {
    offered: BTreeSet<String>,
    disabled: BTreeSet<String>,
}

impl Jobs {
    /// The demonstration, those that are configured, and those of the task definitions that were registered before, by their families.
    pub(crate) fn new(families: &[String], jobs: &job_file::Jobs) -> Self {
        let offered: BTreeSet<_> = jobs.keys().cloned().chain([DEFAULT_JOB.to_owned()]).collect();
        let registered = families.iter().filter_map(|family| Some(family.strip_prefix(PREFIX)?.to_owned()));
        let disabled = registered.filter(|name| !offered.contains(name)).collect();
        Self { offered, disabled }
    }

    /// The catalog of the API and of the functions.
    pub(crate) fn catalog(&self, configured: &job_file::Jobs) -> Result<Catalog, serde_json::Error> {
        let job = |name: &String, disabled| {
            let mut entry = json!({ "taskDefinition": family(name), "disabled": disabled });
            if let (Some(job), Some(members)) = (configured.get(name), entry.as_object_mut()) {
                members.append(&mut said(job));
            }
            Ok((name.clone(), serde_json::from_value::<Job>(entry)?))
        };
        let offered = self.offered.iter().map(|name| job(name, false));
        offered.chain(self.disabled.iter().map(|name| job(name, true))).collect()
    }

    /// The task definitions that ECS has no capacity for, and why.
    pub(crate) fn without_capacity(&self) -> BTreeMap<String, String> {
        let why = |name| format!("job {name} is neither in the job file nor given with --job");
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
                "job `{name}` is not configured, and {executions} for it. Add it to the job file, or start the stack with --job \
                 {name}='COMMAND', to go on; without it, {they} until a cancel or the deadline"
            ))
        };
        self.disabled.iter().filter_map(waits).collect()
    }

    /// Whether every job that was ever configured is configured now.
    pub(crate) fn none_disabled(&self) -> bool {
        self.disabled.is_empty()
    }
}

/// What the catalog says about a configured job, in addition to its task definition.
fn said(job: &job_file::Job) -> serde_json::Map<String, Value> {
    let job_file::Retry { max_attempts, on_exit_codes, backoff } = &job.retry;
    let backoff = backoff.map(|wait| json!({ "first": wait.first.as_secs(), "longest": wait.longest.as_secs() }));
    let job_file::Allow { environment, cpu, memory } = &job.allow;
    let capacity_provider = job.capacity.map(|capacity| match capacity {
        job_file::Capacity::Spot => "FARGATE_SPOT",
        job_file::Capacity::OnDemand => "FARGATE",
    });
    let members = [
        ("description", json!(job.description)),
        ("cpu", json!(job.size.cpu)),
        ("memory", json!(job.size.memory)),
        ("capacityProvider", json!(capacity_provider)),
        ("timeoutSeconds", json!(job.timeout.as_secs())),
        ("retry", json!({ "maxAttempts": max_attempts, "onExitCodes": on_exit_codes, "backoffSeconds": backoff })),
        ("input", json!(job.input)),
        ("allow", json!({ "environment": environment, "cpu": cpu, "memory": memory })),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn family(job: &str) -> String {
    format!("{PREFIX}{job}")
}

/// A task definition for each job: this program as the worker, around the job's command.
pub(crate) fn definitions(this: &Path, jobs: &job_file::Jobs) -> Vec<Value> {
    let this = this.to_string_lossy();
    // A configured job replaces the demonstration if it has its name.
    let demonstration = job_file::Job::of_command(Vec::new());
    let demonstration = (!jobs.contains_key(DEFAULT_JOB)).then(|| definition(DEFAULT_JOB, &demonstration, &this));
    demonstration.into_iter().chain(jobs.iter().map(|(name, job)| definition(name, job, &this))).collect()
}

/// The task definition of a job. Without a command, the worker runs the demonstration.
fn definition(name: &str, job: &job_file::Job, this: &str) -> Value {
    let separator = (!job.command.is_empty()).then_some("--");
    let command: Vec<_> = separator.into_iter().chain(job.command.iter().map(String::as_str)).collect();
    let stop_timeout = job.stop_timeout.as_secs();
    // The worker's own default is the same as ECS's.
    let own = (job.stop_timeout != job_file::STOP_TIMEOUT)
        .then(|| (environment::EXECUTION_STOP_TIMEOUT.to_owned(), stop_timeout.to_string()));
    let variables = job.environment.clone().into_iter().chain(own);
    let variables: Vec<_> = variables.map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let secret = |name: &String| json!({ "name": name, "valueFrom": secrets::arn(name) });
    let secrets: Vec<_> = job.secrets.keys().map(secret).collect();
    json!({
        "family": family(name),
        "containerDefinitions": [{
            "name": "job",
            "image": IMAGE,
            "entryPoint": [this, "worker"],
            "command": command,
            "environment": variables,
            "secrets": secrets,
            "stopTimeout": stop_timeout,
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
        "cpu": job.size.cpu.to_string(),
        "memory": job.size.memory.to_string(),
    })
}
