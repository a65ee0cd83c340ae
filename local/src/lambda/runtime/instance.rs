//! One process of a function, and its Runtime API.

use std::{process::Stdio, sync::Arc, time::Duration};

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    Outcome,
    api::{Invocation, RuntimeApi},
};
use crate::{
    clock::Clock,
    identity::{ACCOUNT, REGION},
    lambda::functions::Function,
    logs::{LogWriter, Logs},
};

/// A process that waits for invocations, or works on one. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Instance {
    function: Arc<Function>,
    version: String,
    clock: Clock,
    process: Child,
    api: Arc<RuntimeApi>,
    server: JoinHandle<()>,
    invocations: mpsc::Sender<Invocation>,
    fit: bool,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Instance {
    /// Starts a process and its Runtime API on a port of its own.
    pub(super) async fn start(
        function: &Arc<Function>,
        version: &str,
        logs: &Logs,
        clock: Clock,
    ) -> Result<Self, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|why| why.to_string())?;
        let address = listener.local_addr().map_err(|why| why.to_string())?;
        let (invocations, receiver) = mpsc::channel(1);
        let api = RuntimeApi::new(receiver);
        let router = api.router();
        let log = Log::of(function, version, clock.now());
        let mut process = spawn(function, version, &address.to_string(), &log)?;
        let server = tokio::spawn(async move {
            if let Err(why) = axum::serve(listener, router).await {
                tracing::error!(%why, "a Runtime API ended");
            }
        });
        copy_output(&mut process, logs, &log);
        let version = version.to_owned();
        let function = function.clone();
        Ok(Self { function, version, clock, process, api, server, invocations, fit: true })
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it can take another invocation.
    pub(super) fn reusable(&mut self) -> bool {
        self.fit && matches!(self.process.try_wait(), Ok(None))
    }

    /// Gives the process an invocation and waits for its answer, its death or its timeout.
    pub(super) async fn run(&mut self, payload: Bytes) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let timeout = self.function.timeout;
        let deadline = SignedDuration::try_from(timeout).unwrap_or(SignedDuration::MAX);
        let invocation = Invocation {
            request_id: Uuid::new_v4().to_string(),
            deadline: self.clock.now().checked_add(deadline).unwrap_or(Timestamp::MAX),
            function_arn: format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}:{}", self.function.name, self.version),
            payload,
            answer,
        };
        let request_id = invocation.request_id.clone();
        let work = async {
            if self.invocations.send(invocation).await.is_err() {
                return None;
            }
            answered.await.ok()
        };
        tokio::select! {
            biased;
            Some(outcome) = work => return outcome,
            exited = self.process.wait() => {
                self.fit = false;
                let how = exited.map_or_else(|why| why.to_string(), |status| status.to_string());
                if let Some(error) = self.api.take_init_error() {
                    return Outcome::Failed(error);
                }
                return Outcome::failed("Runtime.ExitError", format!("RequestId: {request_id} Error: Runtime exited: {how}"));
            }
            () = tokio::time::sleep(timeout) => {}
        }
        self.fit = false;
        Outcome::failed(
            "Sandbox.Timedout",
            format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", timeout.as_secs_f64()),
        )
    }

    /// Ends the process and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        if let Err(why) = self.process.kill().await {
            tracing::debug!(%why, "the process of a function was gone");
        }
    }
}

/// Where a process prints to.
struct Log {
    group: String,
    stream: String,
}

impl Log {
    /// As Lambda names them: `/aws/lambda/NAME` and `YYYY/MM/DD/[VERSION]` with 32 hexadecimal digits.
    fn of(function: &Function, version: &str, now: Timestamp) -> Self {
        let day = now.strftime("%Y/%m/%d");
        let id = Uuid::new_v4().simple();
        Self { group: format!("/aws/lambda/{}", function.name), stream: format!("{day}/[{version}]{id}") }
    }
}

/// The environment that Lambda documents
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>).
fn spawn(function: &Function, version: &str, runtime_api: &str, log: &Log) -> Result<Child, String> {
    let (program, arguments) = function.command.split_first().ok_or("the function has no command")?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(function.environment.iter().map(|(name, value)| (name, value)))
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", version)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory.to_string())
        .env("AWS_LAMBDA_LOG_GROUP_NAME", &log.group)
        .env("AWS_LAMBDA_LOG_STREAM_NAME", &log.stream)
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(|why| format!("{program} cannot be started: {why}"))
}

fn copy_output(process: &mut Child, logs: &Logs, log: &Log) {
    let writer = match LogWriter::open(logs.clone(), &log.group, &log.stream) {
        Ok(writer) => writer,
        Err(why) => {
            tracing::error!(why = why.message, "the output of a function is lost");
            return;
        }
    };
    // Only the end of the pipe ends the copy.
    let never = std::future::pending;
    if let Some(stdout) = process.stdout.take() {
        let writer = writer.clone();
        tokio::spawn(async move { writer.copy(stdout, never()).await });
    }
    if let Some(stderr) = process.stderr.take() {
        tokio::spawn(async move { writer.copy(stderr, never()).await });
    }
}

/// How long the slowest function may take: Lambda's 15 minutes.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_mins(15);
