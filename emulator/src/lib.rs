//! An emulator of AWS on one machine: the protocols of Lambda with durable functions, ECS, DynamoDB, `EventBridge`, `CloudWatch` Logs
//! and S3, on one port. Functions and containers are processes. Programs need no change: they reach the emulator through `AWS_ENDPOINT_URL`.
//!
//! [`Prepared::open`] opens the data directory and the port; [`Prepared::start`] creates the [`Resources`] and starts everything. Tests
//! start an emulator inside their process with [`testing::TestEmulator`].
//!
//! **Invariant**: nothing here depends on what the emulator is used for. This crate imports none of the product's crates.

mod callers;
mod clock;
mod coverage;
mod db;
mod dynamodb;
mod ecs;
mod emulator;
mod events;
mod faults;
mod gateway;
#[cfg(test)]
mod golden;
pub mod guard;
mod identity;
mod lambda;
mod leftovers;
mod logs;
mod resources;
mod retry;
mod s3;
mod service;
pub mod sockets;
pub mod testing;
mod unread;
mod wire;

pub use clock::{Clock, ClockError, with_movable_clock};
pub use coverage::coverage;
pub use emulator::{Emulator, Place, Prepared, StartError};
pub use events::{Queue, Rule, RuleState, Target};
pub use identity::{ACCOUNT, REGION};
pub use lambda::{DurableConfig, Function, RETENTION_DAYS};
pub use resources::{Change, Resources, Secrets, Table};
pub use s3::Bucket;
