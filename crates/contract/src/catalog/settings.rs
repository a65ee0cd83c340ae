//! What a job's entry says about its requests, and the check of its values.

use std::{collections::BTreeSet, time::Duration};

use domain::{RetryRule, TaskSize, limits, variable};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Job;

/// Which failures of a job are retried. A request may give its own `maxAttempts` and `onExitCodes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// Attempts in total, from 1 to [`limits::ATTEMPTS`]; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The exit codes after which a job is retried; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exit_codes: Option<BTreeSet<i32>>,
    /// The waits between attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_seconds: Option<Backoff>,
}

/// The waits between attempts, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Before the second attempt; 5 if absent. It doubles from attempt to attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// The longest; 300 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u64>,
}

/// What a request may override.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Environment variables, by name.
    #[serde(default)]
    pub environment: Vec<String>,
    /// The CPU units.
    #[serde(default)]
    pub cpu: bool,
    /// The memory.
    #[serde(default)]
    pub memory: bool,
}

impl Retry {
    pub(super) fn rule(&self) -> RetryRule {
        let default = RetryRule::default();
        let backoff = self.backoff_seconds.clone().unwrap_or_default();
        RetryRule {
            on_exit_codes: self.on_exit_codes.clone(),
            first: backoff.first.map_or(default.first, Duration::from_secs),
            longest: backoff.longest.map_or(default.longest, Duration::from_secs),
        }
    }

    fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let most = limits::ATTEMPTS;
        if let Some(attempts) = self.max_attempts.filter(|attempts| !(1..=most).contains(attempts)) {
            found.push(format!("retry.maxAttempts is {attempts}; it must be between 1 and {most}"));
        }
        if let Some(why) = self.on_exit_codes.as_ref().and_then(RetryRule::wrong_exit_codes) {
            found.push(format!("retry.onExitCodes {why}"));
        }
        let RetryRule { first, longest, .. } = self.rule();
        if first.is_zero() || first > longest || longest > limits::BACKOFF {
            let (first, longest, most) = (first.as_secs(), longest.as_secs(), limits::BACKOFF.as_secs());
            found.push(format!(
                "retry.backoffSeconds goes from {first} to {longest}; the first must be at least 1 and at most the longest, which is at \
                 most {most}"
            ));
        }
        found
    }
}

/// The values of a job's entry that are not valid.
pub(super) fn mistakes(job: &Job) -> Vec<String> {
    let mut found = Vec::new();
    let most = limits::TIMEOUT.as_secs();
    if let Some(seconds) = job.timeout_seconds.filter(|seconds| !(1..=most).contains(seconds)) {
        found.push(format!("timeoutSeconds is {seconds}; it must be between 1 and {most}"));
    }
    let most = limits::DESCRIPTION_CHARS;
    if job.description.as_ref().is_some_and(|text| text.chars().count() > most) {
        found.push(format!("description has more than {most} characters"));
    }
    for (name, value) in [("logGroup", &job.log_group), ("capacityProvider", &job.capacity_provider)] {
        if value.as_deref() == Some("") {
            found.push(format!("{name} is empty; leave it out or name one"));
        }
    }
    found.extend(job.size().and_then(wrong_size));
    found.extend(job.retry.iter().flat_map(Retry::mistakes));
    if let Some(allow) = &job.allow {
        if (allow.cpu || allow.memory) && job.size().is_none() {
            found.push("allow needs the job's cpu and memory, because a request may override one of them".to_owned());
        }
        let wrong = |name: &String| Some(format!("allow.environment: `{name}` {}", variable::wrong(name)?));
        found.extend(allow.environment.iter().filter_map(wrong));
    }
    // Whether it is a valid schema is found when the first input is checked: compiling all of them would make every start slower.
    if let Some(schema) = &job.input
        && !matches!(serde_json::from_str(schema.text()), Ok(Value::Object(_) | Value::Bool(_)))
    {
        found.push("input is not a JSON Schema; it must be an object or a boolean".to_owned());
    }
    found
}

fn wrong_size(size: TaskSize) -> Option<String> {
    let cpu = size.wrong_cpu().map(|why| format!("cpu {why}"));
    cpu.or_else(|| Some(format!("memory {}", size.wrong_memory()?)))
}
