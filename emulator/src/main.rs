//! `emulator`: AWS on this machine, for any program.

use std::{error::Error, fs, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use emulator::{Clock, Place, Prepared, Resources};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Emulates Lambda with durable functions, ECS, DynamoDB, EventBridge, CloudWatch Logs and S3 on this machine. Prints its URL when it is
/// ready; programs use it as `AWS_ENDPOINT_URL`. SIGINT and SIGTERM stop it.
#[derive(Debug, Parser)]
#[command(name = "emulator", version)]
struct Cli {
    /// Where the one port for all services listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4566", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,

    /// An additional host name for which the port answers. It always answers to localhost and the address that it listens on. May be
    /// given several times.
    #[arg(long = "allow-host", value_name = "NAME")]
    allowed_hosts: Vec<String>,

    /// The directory where everything is kept. If the emulator is started again with the same directory, all work resumes.
    #[arg(long, default_value = ".emulator", value_name = "DIR")]
    data: PathBuf,

    /// A JSON file of what exists from the start: tables, buckets, rules, queues, functions and task definitions.
    #[arg(long, value_name = "FILE")]
    resources: Option<PathBuf>,

    /// Lets the clock be moved forward at /_local/clock, for everything that runs here. Needs libfaketime.
    #[arg(long)]
    movable_clock: bool,

    #[command(subcommand)]
    command: Option<Other>,
}

#[derive(Debug, Subcommand)]
enum Other {
    /// Prints which operations of each service are answered, and the known differences from AWS, as Markdown.
    Coverage,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Other::Coverage) = cli.command {
        print!("{}", emulator::coverage());
        return ExitCode::SUCCESS;
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("emulator: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    if cli.movable_clock {
        emulator::with_movable_clock(&cli.data)?;
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,dynoxide=error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let resources = resources(&cli)?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(cli, resources))
}

fn resources(cli: &Cli) -> Result<Resources, Box<dyn Error>> {
    let resources = match &cli.resources {
        Some(file) => {
            let text = fs::read(file).map_err(|why| format!("cannot read {}: {why}", file.display()))?;
            serde_json::from_slice(&text).map_err(|why| format!("{} is not valid: {why}", file.display()))?
        }
        None => Resources::default(),
    };
    Ok(resources.with_inherited())
}

async fn serve(cli: Cli, resources: Resources) -> Result<(), Box<dyn Error>> {
    emulator::sockets::raise_open_files();
    if !cli.listen.ip().is_loopback() {
        tracing::warn!(
            "--listen {} is reachable from other machines, and nobody is authenticated there: anyone who can connect can run commands \
             as you. Use a loopback address unless you trust everyone on the network",
            cli.listen
        );
    }
    let place =
        Place { data: cli.data, listen: cli.listen, allowed_hosts: cli.allowed_hosts, clock: Clock::of_process() };
    // Registered before anything is started, so that a signal always stops the emulator in order.
    let mut terminate = signal(SignalKind::terminate())?;
    let emulator = Prepared::open(place).await?.start(resources)?;
    println!("{}", emulator.url());
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    emulator.shut_down().await;
    Ok(())
}
