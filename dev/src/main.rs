//! `cargo run`: Longhaul on one machine. Each function and each task is a separate process of this same program.

use std::{future::Future, pin::pin, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use dev::{Stack, options::Options};
use domain::{DEFAULT_JOB, Pattern};
use job_file::JobsCommand;
use tokio::signal::unix::{SignalKind, signal};

/// Longhaul on one machine: the API, and the AWS services that it needs, without an account and without Docker.
#[derive(Debug, Parser)]
#[command(name = "longhaul", version)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program can do apart from starting the stack.
#[derive(Debug, Subcommand)]
enum Part {
    /// Checks the job file, or prints what it says or its JSON Schema.
    Jobs {
        #[command(subcommand)]
        what: JobsCommand,
    },
    /// Runs a Lambda function.
    #[command(hide = true)]
    Function { name: FunctionName },
    /// Runs the worker of a task.
    #[command(hide = true)]
    Worker(worker::Args),
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FunctionName {
    Sync,
    Callback,
    Reconciler,
    Api,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.part {
        None => {
            if cli.options.movable_clock
                && let Err(why) = emulator::with_movable_clock(&cli.options.data)
            {
                return failed(&why);
            }
            on(tokio::runtime::Builder::new_multi_thread(), serve(cli.options))
        }
        Some(Part::Jobs { what }) => what.run(),
        Some(Part::Function { name }) => on(tokio::runtime::Builder::new_current_thread(), function(name)),
        Some(Part::Worker(args)) => worker(args),
    }
}

fn on(mut runtime: tokio::runtime::Builder, part: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(part),
        Err(why) => failed(&why),
    }
}

async fn function(name: FunctionName) -> ExitCode {
    let ended = match name {
        FunctionName::Sync => durable::run(Pattern::Sync).await,
        FunctionName::Callback => durable::run(Pattern::Callback).await,
        FunctionName::Reconciler => reconciler::run().await,
        FunctionName::Api => api::run().await,
    };
    ended.map_or_else(|why| failed(&*why), |()| ExitCode::SUCCESS)
}

fn worker(args: worker::Args) -> ExitCode {
    match std::env::current_exe() {
        Ok(this) => worker::main_with(args, vec![this.into(), "worker".into(), "--demo".into()]),
        Err(why) => failed(&why),
    }
}

/// What is logged unless `RUST_LOG` says otherwise. DynamoDB's refusals are normal, for example if another writer was faster.
const DEFAULT_LOG_FILTER: &str = "warn,dynoxide=error";

async fn serve(options: Options) -> ExitCode {
    use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(runtime::log_filter(DEFAULT_LOG_FILTER)).with(lines).init();
    emulator::sockets::raise_open_files();
    let mut stack = match Stack::start(&options).await {
        Ok(stack) => stack,
        Err(why) => return failed(&why),
    };
    announce(&stack, &options);
    let mut asked = pin!(asked_to_stop());
    let asked = loop {
        tokio::select! {
            asked = &mut asked => break asked,
            changed = stack.jobs_changed() => match changed {
                Ok(difference) if options.json => tracing::info!("the job file has changed: {difference}"),
                Ok(difference) => println!("Read the jobs again: {difference}."),
                Err(why) => eprintln!("{why}\nThe jobs stay as they were before this change."),
            },
        }
    };
    if let Err(why) = asked {
        return failed(&why);
    }
    if !options.json {
        eprintln!(
            "Stopping the stack and the running jobs. After the next start with the same --data, each of them runs again from its \
             beginning. A stopped attempt is not counted, at most three times for an execution."
        );
    }
    stack.shut_down().await;
    ExitCode::SUCCESS
}

fn announce(stack: &Stack, options: &Options) {
    let (api, aws) = (format!("http://{}", stack.api), format!("http://{}", stack.aws));
    if options.json {
        println!(r#"{{"ready":true,"api":"{api}","aws":"{aws}"}}"#);
        return;
    }
    println!(
        "\
Longhaul is ready.

  API    {api}   documentation: {api}/docs
  AWS    {aws}   for the aws client: --endpoint-url {aws}
  data   {data}
  jobs   {jobs}

Start a job, then follow it by the executionId of the answer:

  curl -sS {api}/executions/sync -H 'content-type: application/json' \\
       -d '{body}'
  curl -sS {api}/executions/EXECUTION_ID

Ctrl-C stops it.",
        data = options.data.display(),
        jobs = offered(stack),
        body = example(stack.first_job()),
    );
}

/// The body of a request that starts the first job, or else the demonstration. The input is the first example of the job's schema.
fn example(first: Option<(&str, &job_file::Job)>) -> String {
    let Some((name, job)) = first else {
        return r#"{"input": {"message": "Hello", "processingTime": 3}}"#.to_owned();
    };
    let input = job.input.as_ref().and_then(|schema| schema.get("examples")?.get(0)).map(ToString::to_string);
    // It is printed between the quotation marks of a shell.
    let input = input.filter(|input| !input.contains('\'')).unwrap_or_else(|| "{}".to_owned());
    format!(r#"{{"job": "{name}", "input": {input}}}"#)
}

/// The jobs that may be run. A configured job replaces the demonstration if it has its name.
fn offered(stack: &Stack) -> String {
    let named: Vec<_> = stack.jobs().keys().map(String::as_str).collect();
    let demo = if named.contains(&DEFAULT_JOB) {
        format!("{DEFAULT_JOB} (replaces the demonstration)")
    } else {
        format!("{DEFAULT_JOB} (the demonstration)")
    };
    let others = named.into_iter().filter(|name| *name != DEFAULT_JOB).map(str::to_owned);
    std::iter::once(demo).chain(others).collect::<Vec<_>>().join(", ")
}

async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

fn failed(why: &(impl std::fmt::Display + ?Sized)) -> ExitCode {
    eprintln!("longhaul: {why}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_printed_request_starts_the_first_job_with_an_example_of_its_input() {
        let mut job = job_file::Job::of_command(vec!["x".to_owned()]);
        assert_eq!(example(None), r#"{"input": {"message": "Hello", "processingTime": 3}}"#);
        assert_eq!(example(Some(("etl", &job))), r#"{"job": "etl", "input": {}}"#);
        job.input = Some(json!({ "type": "object", "examples": [{ "order": 7 }] }));
        assert_eq!(example(Some(("etl", &job))), r#"{"job": "etl", "input": {"order":7}}"#);
        job.input = Some(json!({ "examples": ["it's"] }));
        assert_eq!(example(Some(("etl", &job))), r#"{"job": "etl", "input": {}}"#);
    }
}
