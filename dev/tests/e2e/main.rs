//! End-to-end tests of the program that `cargo run` starts, over real protocols and with real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

mod abuse;
mod api_on_lambda;
mod aws_clients;
mod care;
mod choices;
mod clock;
mod command_line;
mod costs;
mod denied;
mod documents;
mod ecs_says;
mod edge;
mod examples;
mod faults;
mod front;
mod gates;
mod gone;
mod guard;
mod hangs;
mod idle;
mod insight;
mod jobs;
mod listing;
mod main_job;
mod model;
mod no_events;
mod problems;
mod raw;
mod refused;
mod restart;
mod secrets;
mod soak;
mod stack;
mod storage;
mod sweep;
mod unexpected;
mod waiting;
mod year;
