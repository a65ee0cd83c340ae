//! `longhaul jobs` as a program of its own, which is built quickly because it contains nothing else.

use std::process::ExitCode;

use clap::Parser;

/// Checks a Longhaul job file, and prints what it says.
#[derive(Debug, Parser)]
#[command(name = "job_file", version)]
struct Cli {
    #[command(subcommand)]
    command: job_file::JobsCommand,
}

fn main() -> ExitCode {
    Cli::parse().command.run()
}
