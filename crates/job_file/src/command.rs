//! The command `longhaul jobs`, which is also this crate's own program.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use crate::{FILE, Job, Jobs, Places, ReadError, Source, context, read, resolved, schema};

/// What can be done with a job file.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Checks a job file and lists its jobs. Each mistake is printed with its line and column, and warnings about images that are built.
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
        let text = match self {
            Self::Check { file } => checked(file).map(|(jobs, _)| listed(&jobs)),
            Self::Resolved { file } => checked(file).map(|(jobs, places)| format!("{:#}", resolved(&jobs, &places))),
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

/// The jobs of a file. Prints warnings about their images.
fn checked(file: &Path) -> Result<(Jobs, Places), ReadError> {
    let Source { jobs, places, .. } = read(file);
    let jobs = jobs?;
    for warning in context::warnings(file, &jobs, &places) {
        eprintln!("{warning}");
    }
    Ok((jobs, places))
}

/// A line for each job of a file.
fn listed(jobs: &Jobs) -> String {
    let line = |(name, job): (&String, &Job)| {
        let description = job.description.as_ref().map_or_else(String::new, |text| format!("  {text}"));
        let local = if job.image.is_none() { "  local only: it has no image" } else { "" };
        format!("{name}  {} CPU units, {} MiB{local}{description}", job.size.cpu, job.size.memory)
    };
    let lines: Vec<_> = jobs.iter().map(line).collect();
    if lines.is_empty() { "no jobs".to_owned() } else { lines.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;

    #[test]
    fn the_list_says_which_jobs_run_only_locally() {
        let local = Job { description: Some("Says hello".to_owned()), ..Job::of_command(vec!["x".to_owned()]) };
        let image = Some(Image::Reference("python:3".to_owned()));
        let anywhere = Job { image, ..local.clone() };
        let jobs = Jobs::from([("a".to_owned(), local), ("b".to_owned(), anywhere)]);
        let lines =
            "a  256 CPU units, 512 MiB  local only: it has no image  Says hello\nb  256 CPU units, 512 MiB  Says hello";
        assert_eq!(listed(&jobs), lines);
    }
}
