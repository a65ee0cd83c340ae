//! The local Lambda, over HTTP: its durable executions, its functions, and programs and clients that others wrote.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that is not as it must be"
)]

#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../e2e/stack.rs"]
mod stack;

mod boto3;
mod checkpoints;
mod events;
mod failures;
mod functions;
mod history;
mod kills;
mod limits;
mod puppet;
mod python;
mod runtime;
mod support;
