//! The catalog: the jobs that may be run, as the environment variable `JOBS` lists them.

mod settings;

use std::{collections::BTreeMap, time::Duration};

use domain::{Allowed, JobLog, Json, RetryRule, TaskSize, Unknown, limits};
use serde::{Deserialize, Serialize};

pub use self::settings::{Allow, Backoff, Retry};

/// The jobs that may be run, by name.
pub type Catalog = BTreeMap<String, Job>;

/// A job that may be run, and what ECS starts for it.
///
/// An unknown member is an error. The same deployment writes the catalog and the functions that read it, so it is a mistake, and a
/// misspelled `allow` or `retry` must not be ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Job {
    /// Family, `family:revision` or ARN of the task definition.
    pub task_definition: String,
    /// Name of the container that runs the job: overrides go to it, and its output is the job's.
    #[serde(default = "default_container")]
    pub container: String,
    /// `awslogs-stream-prefix` of that container.
    #[serde(default = "default_stream_prefix")]
    pub log_stream_prefix: String,
    /// The log group that its tasks print into, instead of the function's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// ARN of the task role for tasks that use the table of executions, instead of their definition's own. Without it, every task has
    /// its definition's role, which then needs access to the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_role: Option<String>,
    /// The capacity provider of its tasks, for example `FARGATE_SPOT`, instead of the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_provider: Option<String>,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The CPU units of its task definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// The memory of its task definition, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
    /// The default timeout, in seconds; a day if absent. From 1 to [`limits::TIMEOUT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Which failures are retried, if a request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The JSON Schema of its input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// What a request may override; nothing if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
    /// Whether it accepts no new executions. Existing ones continue, and their logs can be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// The names of the jobs that accept new executions.
#[must_use]
pub fn offered(catalog: &Catalog) -> Vec<&str> {
    catalog.iter().filter(|(_, job)| !job.disabled).map(|(name, _)| name.as_str()).collect()
}

/// Reads a catalog.
///
/// # Errors
///
/// What is wrong with it: the first mistake in its form, or all values that are not valid.
pub fn read(text: &str) -> Result<Catalog, String> {
    let catalog: Catalog = serde_json::from_str(text).map_err(|why| why.to_string())?;
    let mistakes = catalog.iter().flat_map(|(name, job)| {
        let mistakes = settings::mistakes(job).into_iter();
        mistakes.map(move |what| format!("job {name}: {what}"))
    });
    let mistakes: Vec<_> = mistakes.collect();
    if mistakes.is_empty() { Ok(catalog) } else { Err(mistakes.join("; ")) }
}

fn default_container() -> String {
    "job".into()
}

fn default_stream_prefix() -> String {
    "task".into()
}

impl Job {
    /// How long an execution of this job may take if its request has no timeout.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout_seconds.map_or(limits::DEFAULT_TIMEOUT, Duration::from_secs)
    }

    /// How many attempts an execution of this job has if its request does not say.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.retry.as_ref().and_then(|retry| retry.max_attempts).unwrap_or(1)
    }

    /// Which failures are retried if a request does not say, and after how long.
    #[must_use]
    pub fn retry_rule(&self) -> RetryRule {
        self.retry.as_ref().map(Retry::rule).unwrap_or_default()
    }

    /// The size of its tasks, if the catalog has it.
    #[must_use]
    pub fn size(&self) -> Option<TaskSize> {
        Some(TaskSize { cpu: self.cpu?, memory: self.memory? })
    }

    /// What a request may override.
    #[must_use]
    pub fn allowed(&self) -> Allowed<'_> {
        let size = self.size();
        match &self.allow {
            Some(Allow { environment, cpu, memory }) => Allowed { environment, cpu: *cpu, memory: *memory, size },
            None => Allowed { environment: &[], cpu: false, memory: false, size },
        }
    }

    /// Where its tasks print to: its own log group, or else this one.
    #[must_use]
    pub fn log(&self, group: &str) -> JobLog {
        JobLog {
            group: self.log_group.as_deref().unwrap_or(group).to_owned(),
            stream_prefix: self.log_stream_prefix.clone(),
            container: self.container.clone(),
            unknown: Unknown::default(),
        }
    }

    /// Name of the task definition, without a revision.
    #[must_use]
    pub fn family(&self) -> &str {
        let named = self.task_definition.rsplit('/').next().unwrap_or_default();
        named.split(':').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
