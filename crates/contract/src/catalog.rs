//! The catalog: the jobs that may be run, as the environment variable `JOBS` lists them.

use std::{collections::BTreeMap, time::Duration};

use domain::{JobLog, Unknown, limits};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The jobs that may be run, by name.
pub type Catalog = BTreeMap<String, Job>;

/// A job that may be run, and what ECS starts for it.
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
    /// ARN of the task role for tasks that use the table of executions, instead of their definition's own. Without it, every task has
    /// its definition's role, which then needs access to the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_role: Option<String>,
    /// The default timeout, in seconds; a day if absent. From 1 to [`limits::TIMEOUT`].
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "within_limits")]
    pub timeout_seconds: Option<u64>,
    /// Whether it accepts no new executions. Existing ones continue, and their logs can be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
}

/// The names of the jobs that accept new executions.
#[must_use]
pub fn offered(catalog: &Catalog) -> Vec<&str> {
    catalog.iter().filter(|(_, job)| !job.disabled).map(|(name, _)| name.as_str()).collect()
}

fn within_limits<'de, D: Deserializer<'de>>(seconds: D) -> Result<Option<u64>, D::Error> {
    let most = limits::TIMEOUT.as_secs();
    match Option::<u64>::deserialize(seconds)? {
        Some(seconds) if !(1..=most).contains(&seconds) => {
            Err(D::Error::custom(format!("timeoutSeconds is {seconds}; it must be between 1 and {most}")))
        }
        seconds => Ok(seconds),
    }
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

    /// Where its tasks print to, in a log group.
    #[must_use]
    pub fn log(&self, group: &str) -> JobLog {
        JobLog {
            group: group.to_owned(),
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
mod tests {
    use super::*;

    #[test]
    fn a_job_may_have_its_own_timeout_within_the_limits() {
        let job = |text: &str| serde_json::from_str::<Job>(text).map(|job| job.timeout());
        assert_eq!(job(r#"{"taskDefinition": "a"}"#).unwrap(), Duration::from_hours(24));
        assert_eq!(job(r#"{"taskDefinition": "a", "timeoutSeconds": 60}"#).unwrap(), Duration::from_mins(1));
        for wrong in ["0", "31536001", "-1", "1.5", "\"60\""] {
            assert!(job(&format!(r#"{{"taskDefinition": "a", "timeoutSeconds": {wrong}}}"#)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_disabled_job_is_in_the_catalog_but_cannot_be_started() {
        let text = r#"{"new":{"taskDefinition":"n"},"old":{"taskDefinition":"o","disabled":true}}"#;
        let catalog: Catalog = serde_json::from_str(text).unwrap();
        assert_eq!(offered(&catalog), ["new"]);
        assert!(serde_json::to_string(&catalog).unwrap().matches("disabled").count() == 1);
    }
}
