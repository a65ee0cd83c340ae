//! Runs a job inside an ECS task: any command, or a future of a Rust program.
//!
//! The worker gives the job its input, passes on what it prints, and takes its result from the file that it writes or from the last JSON
//! document that it prints. It passes on signals, stops the job at its deadline, and exits with the job's exit code. In the callback
//! pattern, it also records the outcome.
//!
//! **Invariant**: what the worker itself logs is never a JSON value; see [`init_logs`].

mod command;
mod config;
mod demo;
mod files;
mod finished;
mod foreground;
mod input;
mod input_file;
mod install;
mod job;
mod metadata;
mod needs;
mod outputs;
mod record;
mod report;
mod result_file;
mod retry;
mod scan;
mod stops;

use std::{
    error::Error, ffi::OsString, fmt::Display, future::Future, io, path::Path, process::ExitCode, sync::OnceLock,
    time::Duration,
};

use domain::{Json, output::ResultSource};
use runtime::{FromEnvironment, Misconfigured, clock};
use serde::{Serialize, de::DeserializeOwned};
use tracing::{Instrument as _, level_filters::LevelFilter};

pub use config::Config;
pub use demo::demo;
pub use install::install;
pub use needs::needs;

use files::{Files, Paths};
use finished::{Finished, OWN_FAILURE};
use input_file::InputFile;
use outputs::Outputs;
use record::{Ended, JobState, Record};
use result_file::ResultFile;
use stops::{Stop, Stops};

type BoxError = Box<dyn Error + Send + Sync>;

/// The worker's command line.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Runs the demonstration job in this process.
    #[arg(long, hide = true, conflicts_with = "command")]
    demo: bool,
    /// The command to run and its arguments; the demonstration job if absent.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The whole program `worker`. `demo` is the command that runs its demonstration job: this program again, with `--demo`, so that
/// signals, the deadline and the output work as for any other command.
///
/// One thread is enough: the worker mostly waits, and the task's CPU is for the job.
#[must_use]
pub fn main_with(args: Args, demo: Vec<OsString>) -> ExitCode {
    let part = async {
        if args.demo {
            return self::demo().await;
        }
        init_logs();
        match Config::from_env() {
            Ok(config) => run_command(config, if args.command.is_empty() { demo } else { args.command }).await,
            Err(why) => misconfigured(&why),
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return own_failure(&why),
    };
    let code = runtime.block_on(part);
    // A file that is still being read when the task is stopped must not keep the process from ending.
    runtime.shutdown_background();
    code
}

/// Runs a command to its end, and returns its exit code: 128 plus the signal's number if it was killed, 126 or 127 if it could not be
/// started, 125 if the worker itself failed.
pub async fn run_command(config: Config, command: Vec<OsString>) -> ExitCode {
    let stop_timeout = config.stop_timeout;
    let work = async |input: Json, files: &Files, stops: &mut Stops| {
        Box::pin(command::run(&command, &input, files, stops, stop_timeout)).await
    };
    Box::pin(run_to_the_end(config, Signals::All, work)).await
}

/// Runs a job in a Rust program to its end, like [`run_command`]. The value that the job returns is the result; if it returns an error, the
/// job has failed. At the deadline, and when the task is stopped, the future is dropped.
///
/// ```no_run
/// # use std::process::ExitCode;
/// #[derive(serde::Deserialize)]
/// struct Order { pages: u32 }
///
/// fn main() -> ExitCode {
///     worker::run(|order: Order| async move {
///         if order.pages == 0 { Err("nothing to print") } else { Ok(serde_json::json!({"printed": order.pages})) }
///     })
/// }
/// ```
pub fn run<I, F, O, E>(job: impl FnOnce(I) -> F) -> ExitCode
where
    I: DeserializeOwned,
    F: Future<Output = Result<O, E>> + Send + 'static,
    O: Serialize,
    E: Display,
{
    init_logs();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(why) => return misconfigured(&why),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(why) => return own_failure(&why),
    };
    let code = runtime.block_on(run_to_the_end(config, Signals::ToStop, async |input, files: &Files, stops| {
        let _ = PATHS.set(files.paths());
        Ok(job::run(job, &input, stops).await)
    }));
    // A job that never awaits cannot be cancelled, and must not keep the process from ending.
    runtime.shutdown_background();
    code
}

/// The paths of the files of the job that [`run`] runs.
static PATHS: OnceLock<Paths> = OnceLock::new();

/// In a job that [`run`] runs: the file that the caller uploaded; `None` if there is none. Other programs find it in the environment
/// variable `EXECUTION_INPUT_FILE`.
///
/// ```no_run
/// # use std::{fs, io};
/// fn main() -> std::process::ExitCode {
///     worker::run(|_: serde_json::Value| async {
///         let orders = worker::input_file().ok_or_else(|| io::Error::other("there is no upload"))?;
///         let out = worker::output_dir().ok_or_else(|| io::Error::other("the task has no artifacts"))?;
///         fs::copy(orders, out.join("copy.csv"))
///     })
/// }
/// ```
#[must_use]
pub fn input_file() -> Option<&'static Path> {
    PATHS.get()?.input.as_deref()
}

/// In a job that [`run`] runs: the directory whose files become the execution's artifacts; `None` if the task has none. Other programs find
/// it in the environment variable `EXECUTION_OUTPUT_DIR`.
#[must_use]
pub fn output_dir() -> Option<&'static Path> {
    PATHS.get()?.outputs.as_deref()
}

/// Logs plain lines to stderr, not JSON like our other programs: the `sync` workflow reads stdout and stderr from one log stream and
/// looks for the job's result in it. It is the job's log, so the worker writes to it only if the job's outcome may be lost.
pub fn init_logs() {
    let logs = tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_max_level(LevelFilter::ERROR);
    // If the program has already set up logging, that is kept.
    let _ = logs.try_init();
}

fn misconfigured(why: &Misconfigured) -> ExitCode {
    own_failure(why)
}

fn own_failure(why: &(dyn Error + 'static)) -> ExitCode {
    tracing::error!(error = why, "the worker failed");
    ExitCode::from(OWN_FAILURE)
}

/// Prepares and runs a job, records or reports its outcome, and returns the worker's exit code.
async fn run_to_the_end(
    config: Config,
    signals: Signals,
    work: impl AsyncFnOnce(Json, &Files, &mut Stops) -> io::Result<Finished>,
) -> ExitCode {
    let id = config.id.as_ref().map(tracing::field::display);
    let span = tracing::info_span!("job", executionId = id, attempt = %config.attempt);
    async {
        match attempt(config, signals, work).await {
            Ok(code) => ExitCode::from(code),
            Err(error) => own_failure(&*error),
        }
    }
    .instrument(span)
    .await
}

/// Which signals are passed to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signals {
    /// All of them.
    All,
    /// Those that tell it to end.
    ToStop,
}

async fn attempt(
    config: Config,
    signals: Signals,
    work: impl AsyncFnOnce(Json, &Files, &mut Stops) -> io::Result<Finished>,
) -> Result<u8, BoxError> {
    let config = Config { input: config.input.without_stdin()?, ..config };
    let stops = Stops::until(config.deadline)?;
    let mut stops = if signals == Signals::All { stops.and_all_signals()? } else { stops };
    let (record, place) = (Record::of(&config).await, config.report.clone());
    let outputs = config.outputs.as_ref().and_then(Outputs::prepare);
    let prepared = tokio::select! {
        // If the deadline has passed, the job does not begin.
        biased;
        stop = stops.next() => Prepared::Stopped(stop),
        prepared = begin(config, record.as_ref()) => prepared?,
    };
    let finished = match prepared {
        Prepared::With(input, upload) => {
            let files = Files { input: upload, result: ResultFile::prepare(), outputs };
            let finished = work(input, &files, &mut stops).await?;
            keep(finished, &files, &mut stops).await
        }
        Prepared::Stopped(stop) => Finished::before_it_began(stop, clock::now()),
        Prepared::Over => return Ok(0),
    };
    let ended = match &record {
        Some(record) => {
            tokio::select! {
                ended = record.ended(&finished) => ended?,
                () = time_is_up(&mut stops) => Ended::Failed,
            }
        }
        None => Ended::Left,
    };
    let is_known = match (ended, &place) {
        (Ended::Recorded, _) => true,
        (Ended::Left, Some(place)) => tokio::select! {
            stored = report::store(place, &finished) => stored,
            () = time_is_up(&mut stops) => false,
        },
        // If the outcome could not be recorded, no report is tried: it would go into the same table.
        (Ended::Left, None) | (Ended::Failed, _) => false,
    };
    if ended == Ended::Failed {
        tracing::error!(
            "the outcome is not recorded; the reconciler will take the exit code from ECS and the result from the log"
        );
    }
    let only_in_log = record.is_none() && (finished.source == ResultSource::File || finished.has_files());
    if !is_known && (ended == Ended::Failed || only_in_log) {
        finished.print_result()?;
    }
    Ok(finished.exit_code(is_known))
}

/// Uploads the job's output files. A stopped job has no time for that, so its files are not uploaded. A job that is stopped during the
/// upload counts as stopped, because it is not complete without its files.
async fn keep(finished: Finished, files: &Files, stops: &mut Stops) -> Finished {
    match &files.outputs {
        Some(outputs) if finished.stop.is_none() => {
            let seen = finished.clone();
            tokio::select! {
                kept = Box::pin(outputs.keep(finished, files.result.as_ref())) => kept,
                stop = stops.next() => {
                    tracing::error!("the job was stopped before its output files were uploaded: they are lost");
                    Finished { stop: Some(stop), ..seen }
                }
            }
        }
        Some(_) | None => finished,
    }
}

/// How long the worker keeps trying to record or report the outcome once the task is being stopped. SIGKILL follows after the stop
/// timeout, 30 s by default, and would replace the exit code.
const LAST_TRIES: Duration = Duration::from_secs(10);

/// Returns when the time to record or report the outcome is up. At the deadline, it returns at once: a task that is still running then is
/// stopped and counts as timed out, even if its job completed in time.
async fn time_is_up(stops: &mut Stops) {
    if let Stop::Signal(_) = stops.next().await {
        tokio::time::sleep(LAST_TRIES).await;
    }
}

/// The result of preparing a job.
enum Prepared {
    /// The job can begin with this input and this uploaded file.
    With(Json, Option<InputFile>),
    /// The job was stopped before it began.
    Stopped(Stop),
    /// The execution is over, so there is nothing to do or record.
    Over,
}

async fn begin(config: Config, record: Option<&Record>) -> Result<Prepared, BoxError> {
    let state = match record {
        Some(record) => record.started().await?,
        None => JobState::Wanted,
    };
    match state {
        JobState::Wanted => {
            let upload = match &config.upload {
                Some(name) => Some(Box::pin(InputFile::fetch(name)).await?),
                None => None,
            };
            Ok(Prepared::With(config.input.read().await?, upload))
        }
        JobState::Cancelling => {
            tracing::info!("the job is not started: the execution is being cancelled");
            Ok(Prepared::Stopped(Stop::CANCELLED))
        }
        JobState::Over(status) => {
            tracing::info!(%status, "the job is not started: the execution is over");
            Ok(Prepared::Over)
        }
    }
}
