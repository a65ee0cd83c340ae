//! For tests: an emulator inside the test's process, and what tests do with an emulator wherever it runs.
//!
//! ```no_run
//! # async fn example() {
//! use emulator::testing::TestEmulator;
//! use serde_json::json;
//!
//! let container = json!({ "name": "main", "image": "any", "command": ["sh", "-c", "read -r code < $TEST_DIRECTORY/end; exit $code"] });
//! let emulator = TestEmulator::start(json!({
//!     "cluster": "jobs",
//!     "taskDefinitions": [{ "family": "demo", "containerDefinitions": [container] }],
//! }));
//! // The task runs until the test lets it end.
//! let end = emulator.pipe("end");
//! const ECS: &str = "AmazonEC2ContainerServiceV20141113";
//! let started = emulator.call(&format!("{ECS}.RunTask"), json!({ "cluster": "jobs", "taskDefinition": "demo" })).await;
//! let task = started["tasks"][0]["taskArn"].as_str().unwrap();
//! end.say("3");
//! emulator.wait_for_task_to_stop(task).await;
//! assert_eq!(emulator.tasks("jobs").await[0]["containers"][0]["exitCode"], 3);
//! # }
//! ```
//!
//! Everything here panics if it fails, as a test does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test stops at the first failure"
)]

mod client;
mod emulator;
mod pipe;
mod wait;

pub use self::{
    client::{Client, KEY, signing},
    emulator::TestEmulator,
    pipe::Pipe,
    wait::{PATIENCE, eventually, first_line},
};
