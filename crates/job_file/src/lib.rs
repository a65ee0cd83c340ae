//! The file that describes an installation's jobs, `longhaul.toml`: what the local stack starts, and what is deployed to AWS.
//!
//! **Invariant**: every mistake in the file is found when it is read, and told with its line and column. A file with a mistake has no
//! effect.

mod file;
mod mistake;
mod schema;

use std::{collections::BTreeMap, time::Duration};

use domain::{TaskSize, limits};

pub use file::read;
pub use mistake::{Mistake, Mistakes};
pub use schema::schema;

/// The name of the file.
pub const FILE: &str = "longhaul.toml";

/// The jobs of a file, by name, with the file's defaults applied.
pub type Jobs = BTreeMap<String, Job>;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it does, for people.
    pub description: Option<String>,
    /// The program and its arguments. Not run by a shell.
    pub command: Vec<String>,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// How much of a processor it has.
    pub size: TaskSize,
    /// How long an execution may take if its request does not say.
    pub timeout: Duration,
    /// How long its task has to end after SIGTERM.
    pub stop_timeout: Duration,
}

impl Job {
    /// A job with this command and what a job has that says nothing else.
    #[must_use]
    pub fn of_command(command: Vec<String>) -> Self {
        Self {
            description: None,
            command,
            environment: BTreeMap::new(),
            size: TaskSize::SMALLEST,
            timeout: limits::DEFAULT_TIMEOUT,
            stop_timeout: STOP_TIMEOUT,
        }
    }
}

/// How long a task has to end after SIGTERM if its job does not say, ECS's own default
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>, `stopTimeout`).
pub const STOP_TIMEOUT: Duration = Duration::from_secs(30);
