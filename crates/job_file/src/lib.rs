//! The file that describes an installation's jobs, `longhaul.toml`: what the local stack starts, and what is deployed to AWS.
//!
//! **Invariant**: every mistake in the file is found when it is read, and told with its line and column. A file with a mistake has no
//! effect.

mod checker;
mod command;
mod context;
mod fields;
mod job;
mod mistake;
mod read;
mod resolved;
mod schema;

pub use command::JobsCommand;
pub use job::{
    Allow, Architecture, Backoff, Capacity, Image, Job, Jobs, Permission, Retry, STOP_TIMEOUT, Secret, Sidecar,
};
pub use mistake::{Mistake, Mistakes, Place};
pub use read::{Places, ReadError, Source, read};
pub use resolved::resolved;
pub use schema::schema;

/// The name of the file.
pub const FILE: &str = "longhaul.toml";
