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
mod aws_calls;
mod aws_clients;
mod aws_errors;
mod aws_proxy;
mod batches;
mod blocked_jobs;
mod cancels_and_reruns;
mod choices;
mod clock;
mod command_line;
mod costs;
mod dead_workflows;
mod delays;
mod denied_calls;
mod documents;
mod ecs_responses;
mod events;
mod every_call;
mod examples;
mod faults;
mod files;
mod hanging_calls;
mod headers;
mod job_file;
mod job_languages;
mod jobs;
mod listing;
mod logs_and_history;
mod model;
mod no_events;
mod no_task;
mod overrides;
mod post_and_poll;
mod problems;
mod raw_http;
mod restart;
mod schedules;
mod secrets;
mod soak;
mod stack;
mod unexpected_responses;
mod unwritable_database;
mod waiting;
mod web_pages;
mod year;
