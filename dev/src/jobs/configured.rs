//! What the job file and the command line say about jobs.

use std::{collections::BTreeSet, path::PathBuf};

use emulator::Secrets;
use job_file::{Job, Jobs, Source};
use runtime::Environment;

use super::secrets;
use crate::{
    options::{Named, Options},
    stack::StartError,
};

/// The jobs that are configured, and where.
#[derive(Debug)]
pub(crate) struct Configured {
    /// The jobs, by name.
    pub(crate) jobs: Jobs,
    /// The job that comes first: in the job file, or else on the command line.
    first: Option<String>,
    /// Their secrets.
    secrets: secrets::Found,
    /// The job file, if there is one.
    file: Option<PathBuf>,
}

/// What was read, and the files that decide what it is. They need not exist.
pub(crate) type Reading = (Result<Configured, StartError>, BTreeSet<PathBuf>);

impl Configured {
    /// The jobs of the file that the options name, or else of `longhaul.toml` if it exists, and those of the command line. It fails if the
    /// file cannot be read or has mistakes, or a name is given twice.
    pub(crate) fn read(options: &Options) -> Reading {
        let usual = || Some(PathBuf::from(job_file::FILE)).filter(|file| file.exists());
        Self::read_from(options.jobs_file.clone().or_else(usual), options)
    }

    /// The same again, after a file may have changed. A file that was read must still exist.
    pub(crate) fn read_again(&self, options: &Options) -> Reading {
        match &self.file {
            Some(file) => Self::read_from(Some(file.clone()), options),
            None => Self::read(options),
        }
    }

    fn read_from(file: Option<PathBuf>, options: &Options) -> Reading {
        let Some(path) = &file else {
            let files = BTreeSet::from([job_file::FILE.into()]);
            return (Self::with_jobs_of(options, Jobs::new(), None, file, ""), files);
        };
        let Source { jobs, places, mut files } = job_file::read(path);
        let first = places.into_iter().min_by_key(|(_, place)| (place.line, place.column)).map(|(name, _)| name);
        let values = secrets::file(path);
        let text = std::fs::read_to_string(&values).unwrap_or_default();
        files.insert(values);
        let jobs = jobs.map_err(|why| StartError::Jobs(why.to_string()));
        (jobs.and_then(|jobs| Self::with_jobs_of(options, jobs, first, file, &text)), files)
    }

    /// Adds the jobs of the command line. `values` is the text of the file with the values of secrets.
    fn with_jobs_of(
        options: &Options,
        mut jobs: Jobs,
        first: Option<String>,
        file: Option<PathBuf>,
        values: &str,
    ) -> Result<Self, StartError> {
        for Named { name, command } in &options.jobs {
            let command = ["sh", "-c", command].map(str::to_owned);
            if jobs.insert(name.clone(), Job::of_command(command.into())).is_some() {
                return Err(StartError::Twice { option: "--job", name: name.clone() });
            }
        }
        let secrets = secrets::Found::of(&jobs, &Environment::of_process(), values);
        let first = first.or_else(|| options.jobs.first().map(|job| job.name.clone()));
        Ok(Self { jobs, first, secrets, file })
    }

    /// The job that comes first, and its name, if there is one.
    pub(crate) fn first(&self) -> Option<(&str, &Job)> {
        let name = self.first.as_deref()?;
        Some((name, self.jobs.get(name)?))
    }

    /// The values of the jobs' secrets.
    pub(crate) fn secrets(&self) -> Secrets {
        self.secrets.values.clone()
    }

    /// What keeps jobs from running.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.secrets.warnings()
    }
}
