//! The secrets of jobs on this machine. A secret's value is that of the variable with its name, in the environment or in the file `.env`
//! beside the job file. Where it is on AWS has no meaning here.
//!
//! **Invariant**: a value is never printed, logged or kept on disk. It is only in the environment of tasks.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use emulator::{ACCOUNT, REGION, Secrets};
use job_file::Jobs;
use runtime::Environment;

use crate::job_environment;

/// The file with values, in the folder of the job file.
const FILE: &str = ".env";

/// The file `.env` that belongs to this job file.
pub(super) fn file(job_file: &Path) -> PathBuf {
    job_file.with_file_name(FILE)
}

/// How task definitions here name the secret of this variable.
pub(super) fn arn(variable: &str) -> String {
    format!("arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{variable}")
}

/// The values that were found, and the variables that have none.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(super) values: Secrets,
    missing: BTreeMap<String, BTreeSet<String>>,
}

impl Found {
    /// The secrets of these jobs. The environment takes precedence over the text of the file.
    pub(super) fn of(jobs: &Jobs, environment: &Environment, file: &str) -> Self {
        let in_file = job_environment::values(file);
        let value = |name: &str| environment.optional(name).or_else(|| in_file.get(name).cloned());
        let mut missing: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut values = Vec::new();
        for (job, name) in jobs.iter().flat_map(|(job, entry)| entry.secrets.keys().map(move |name| (job, name))) {
            match value(name) {
                Some(value) => values.push((arn(name), value)),
                None => {
                    missing.entry(name.clone()).or_default().insert(job.clone());
                }
            }
        }
        Self { values: values.into_iter().collect(), missing }
    }

    /// A warning for each variable that has no value.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        self.missing.iter().map(|(name, jobs)| {
            let jobs = jobs.iter().cloned().collect::<Vec<_>>().join(", ");
            format!("the secret {name} has no value, so these jobs cannot run: {jobs}. Set {name} in this shell or in {FILE}")
        })
    }
}

#[cfg(test)]
mod tests {
    use job_file::{Job, Secret};

    use super::*;

    #[test]
    fn a_value_comes_from_the_environment_or_else_from_the_file() {
        let job = |names: &[&str]| {
            let secret = |name: &&str| ((*name).to_owned(), Secret::Parameter("/elsewhere".to_owned()));
            Job { secrets: names.iter().map(secret).collect(), ..Job::of_command(vec!["true".to_owned()]) }
        };
        let jobs = Jobs::from([("a".to_owned(), job(&["ONE", "TWO", "NONE"])), ("b".to_owned(), job(&["NONE"]))]);
        let environment = Environment::of([("ONE".to_owned(), "shell".to_owned()), ("NONE".to_owned(), String::new())]);
        let found = Found::of(&jobs, &environment, "ONE=file\nexport TWO='two words'\nTHREE=3\n");
        let value = |name: &str| found.values.get(&arn(name));
        assert_eq!((value("ONE"), value("TWO")), (Some("shell"), Some("two words")));
        assert_eq!((value("NONE"), value("THREE")), (None, None), "only what a job needs");
        let warnings: Vec<_> = found.warnings().collect();
        let told = "the secret NONE has no value, so these jobs cannot run: a, b. Set NONE in this shell or in .env";
        assert_eq!(warnings, [told]);
        assert!(!format!("{found:?}").contains("two words"));
    }
}
