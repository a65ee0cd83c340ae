//! `worker -- COMMAND ARG…`: runs a command as the job of an ECS task.

use std::process::ExitCode;

use clap::Parser;

/// Runs a command as the job of an ECS task: with its input on stdin, and its result from `EXECUTION_RESULT_FILE` or its stdout.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    args: worker::Args,
}

/// One thread is enough: the worker mostly waits, and the task's CPU is for the job.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let this = std::env::current_exe().unwrap_or_else(|_| "worker".into());
    worker::main_with(Cli::parse().args, vec![this.into(), "--demo".into()]).await
}
