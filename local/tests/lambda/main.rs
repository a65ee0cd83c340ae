//! The local Lambda, over HTTP: its durable executions, its functions, and programs and clients that others wrote.

#[allow(dead_code, reason = "shared with the end-to-end tests")]
#[path = "../e2e/stack.rs"]
mod stack;

mod boto3;
mod checkpoints;
mod failures;
mod functions;
mod history;
mod kills;
mod limits;
mod puppet;
mod python;
mod runtime;
mod support;
