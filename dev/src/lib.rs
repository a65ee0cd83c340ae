//! The local stack: Longhaul on the emulator of AWS, so that the production code runs unchanged. `cargo run` starts all of it.

mod host;
mod job_environment;
pub mod jobs;
pub mod options;
mod progress;
mod server;
mod setup;
mod stack;
mod table;
mod watch;

pub use job_environment::{Refused as RefusedVariable, Variable};
pub use jobs::Difference;
pub use stack::{Stack, StartError};
