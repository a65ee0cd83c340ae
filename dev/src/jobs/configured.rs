//! What the job file and the command line say about jobs.

use std::{collections::BTreeSet, path::PathBuf};

use job_file::{Job, Jobs};

use crate::{
    options::{Named, Options},
    stack::StartError,
};

/// The jobs that are configured, and where.
#[derive(Debug)]
pub(crate) struct Configured {
    /// The jobs, by name.
    pub(crate) jobs: Jobs,
    /// The job file, if there is one.
    file: Option<PathBuf>,
    /// The job file, and the files that it names.
    files: BTreeSet<PathBuf>,
}

impl Configured {
    /// The jobs of the file that the options name, or else of `longhaul.toml` if it exists, and those of the command line.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has mistakes, or a name is given twice.
    pub(crate) fn read(options: &Options) -> Result<Self, StartError> {
        let usual = || Some(PathBuf::from(job_file::FILE)).filter(|file| file.exists());
        Self::read_from(options.jobs_file.clone().or_else(usual), options)
    }

    /// The same again, after a file may have changed. A file that was read must still exist.
    ///
    /// # Errors
    ///
    /// As [`Configured::read`].
    pub(crate) fn read_again(&self, options: &Options) -> Result<Self, StartError> {
        match &self.file {
            Some(file) => Self::read_from(Some(file.clone()), options),
            None => Self::read(options),
        }
    }

    fn read_from(file: Option<PathBuf>, options: &Options) -> Result<Self, StartError> {
        let (mut jobs, files) = match &file {
            Some(file) => {
                let source = job_file::read(file);
                (source.jobs.map_err(|why| StartError::Jobs(why.to_string()))?, source.files)
            }
            None => (Jobs::new(), BTreeSet::from([job_file::FILE.into()])),
        };
        for Named { name, command } in &options.jobs {
            let command = ["sh", "-c", command].map(str::to_owned);
            if jobs.insert(name.clone(), Job::of_command(command.into())).is_some() {
                return Err(StartError::Twice { option: "--job", name: name.clone() });
            }
        }
        Ok(Self { jobs, file, files })
    }

    /// The files that decide what is configured. They need not exist.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.files.iter().cloned().collect()
    }
}
