//! The local stack: emulates on loopback the AWS protocols that Longhaul uses, so that the production code runs against them unchanged.
//! `cargo run` starts all of it.

pub mod callers;
pub mod clock;
pub mod db;
mod dynamodb;
pub mod ecs;
pub mod events;
pub mod faults;
mod gateway;
mod guard;
pub mod identity;
mod job_environment;
mod jobs;
pub mod lambda;
mod leftovers;
pub mod logs;
pub mod options;
mod progress;
mod retry;
pub mod server;
mod setup;
mod stack;
pub mod wire;

pub use job_environment::{Refused as RefusedVariable, Variable};
pub use stack::{Stack, StartError};
