//! `worker -- COMMAND ARG…`: runs a command as the job of an ECS task.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

/// Runs a command as the job of an ECS task: with its input on stdin, and its result from `EXECUTION_RESULT_FILE` or its stdout.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    instead: Option<Instead>,
    #[command(flatten)]
    args: worker::Args,
}

/// What the program can do instead of running a job.
#[derive(Debug, clap::Subcommand)]
enum Instead {
    /// Copies this program, as `worker`, and the certificates that it trusts into a directory, so that a container of another image can run
    /// it from there.
    Install {
        /// An existing directory, which both containers mount.
        directory: PathBuf,
        /// A directory that every user may use for temporary files from now on.
        #[arg(long)]
        temporary: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Instead::Install { directory, temporary }) = cli.instead {
        return worker::install(&directory, temporary.as_deref());
    }
    let this = std::env::current_exe().unwrap_or_else(|_| "worker".into());
    worker::main_with(cli.args, vec![this.into(), "--demo".into()])
}
