//! The command `longhaul jobs`, which is also this crate's own program.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{FILE, Job, Jobs, ReadError, read, resolved, schema};

/// What can be done with a job file.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Checks a job file and lists its jobs. Each mistake is printed with its line and column.
    Check {
        /// The file.
        #[arg(default_value = FILE)]
        file: PathBuf,
    },
    /// Prints the jobs as JSON, with all defaults.
    Resolved {
        /// The file.
        #[arg(default_value = FILE)]
        file: PathBuf,
    },
    /// Prints the JSON Schema of the job file, for editors.
    Schema,
}

impl JobsCommand {
    /// Prints the result on stdout, or else what is wrong on stderr.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let jobs = |file: &Path| read(file).jobs;
        let text = match self {
            Self::Check { file } => jobs(file).map(|jobs| listed(&jobs)),
            Self::Resolved { file } => jobs(file).map(|jobs| format!("{:#}", resolved(&jobs))),
            Self::Schema => Ok::<_, ReadError>(format!("{:#}", schema())),
        };
        match text {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        }
    }
}

/// A line for each job of a file.
fn listed(jobs: &Jobs) -> String {
    let line = |(name, job): (&String, &Job)| {
        let description = job.description.as_ref().map_or_else(String::new, |text| format!("  {text}"));
        format!("{name}  {} CPU units, {} MiB{description}", job.size.cpu, job.size.memory)
    };
    let lines: Vec<_> = jobs.iter().map(line).collect();
    if lines.is_empty() { "no jobs".to_owned() } else { lines.join("\n") }
}
