//! One process of a function, and its Runtime API.

use std::{
    net::Ipv4Addr,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::middleware;
use jiff::Timestamp;
use tokio::{
    net::TcpListener,
    process::Child,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;

use super::{
    Outcome, Request,
    api::{Invocation, RuntimeApi},
    journal::{Journal, Report},
    process,
};
use crate::{
    callers::{self, Callers},
    clock::Clock,
    guard::{self, Hosts},
    lambda::{arn, durable::operation::ErrorObject, functions::Spec},
    logs::Logs,
    sockets,
};

/// How long a process may take to start. The function's timeout comes after that.
const LONGEST_INIT: Duration = Duration::from_secs(10);

/// How long to wait for the last output of a function before END and REPORT are written.
const PIPE_DELAY: Duration = Duration::from_millis(1);

/// A process that waits for an invocation or handles one. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Instance {
    spec: Arc<Spec>,
    process: Child,
    api: Arc<RuntimeApi>,
    server: JoinHandle<()>,
    invocations: mpsc::Sender<Invocation>,
    journal: Journal,
    callers: Callers,
    /// The access key of its calls.
    key: String,
    /// When the process was started; `None` once it was given its first invocation.
    starting: Option<Instant>,
    fit: bool,
}

/// How an invocation ends for its process.
enum End {
    Answered(Outcome),
    /// The process cannot be used any more.
    Lost(ErrorObject),
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.server.abort();
        self.callers.ended(&self.key);
        kill_group(&self.process);
    }
}

/// Kills the process and its children.
fn kill_group(process: &Child) {
    let id = process.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(id) = id {
        let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
    }
}

impl Instance {
    /// Starts a process, and its Runtime API on a separate port.
    pub(super) fn start(spec: &Arc<Spec>, logs: &Logs, callers: &Callers, clock: Clock) -> Result<Self, String> {
        let listener = listen().map_err(|why| why.to_string())?;
        let address = listener.local_addr().map_err(|why| why.to_string())?;
        let (invocations, receiver) = mpsc::channel(1);
        let api = RuntimeApi::new(clock.clone(), spec.timeout, receiver);
        // The listener may use any loopback address.
        let hosts = Hosts::new(address.ip(), &[]);
        let router = api.router().layer(middleware::from_fn_with_state(hosts, guard::before_runtime_api));
        let journal = Journal::of(spec, logs, clock);
        let key = callers::key_of_instance(&spec.name);
        let mut process = process::spawn(spec, &address.to_string(), &journal, &key)?;
        callers.started(&key, process.id());
        let server = tokio::spawn(async move {
            if let Err(why) = axum::serve(listener, router).await {
                tracing::error!(%why, "the server of a function's Runtime API failed");
            }
        });
        journal.follow(&mut process);
        let starting = Some(Instant::now());
        let (spec, callers) = (spec.clone(), callers.clone());
        Ok(Self { spec, process, api, server, invocations, journal, callers, key, starting, fit: true })
    }

    pub(super) fn stream(&self) -> &str {
        self.journal.stream()
    }

    /// Whether it can take another invocation.
    pub(super) fn reusable(&mut self) -> bool {
        self.fit && matches!(self.process.try_wait(), Ok(None))
    }

    /// Gives the process an invocation, and waits for its response, its exit or the timeout.
    pub(super) async fn run(&mut self, request: Request) -> Outcome {
        let request_id = request.id.clone();
        self.callers.set_execution(&self.key, request.execution.as_deref());
        let (taken, was_taken) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let function_arn = format!("{}:{}", arn::function(&self.spec.name), self.spec.version);
        self.journal.start(&request_id, &self.spec.version);
        let invocation = Invocation { request, function_arn, taken, answer };
        let begun = Instant::now();
        let sent = self.invocations.send(invocation).await.is_ok();
        let init = self.starting.take();
        let started = if sent { self.taken(was_taken, &request_id).await } else { Err(self.exited(None, &request_id)) };
        let (init, begun) = match init {
            Some(since) => (Some(since.elapsed()), Instant::now()),
            None => (None, begun),
        };
        let end = match started {
            Ok(()) => self.answered(answered, &request_id).await,
            Err(error) => End::Lost(error),
        };
        let took = begun.elapsed();
        self.callers.set_execution(&self.key, None);
        tokio::time::sleep(PIPE_DELAY).await;
        let memory_used = process::resident_megabytes(&self.process);
        let report = Report { took, init, memory: self.spec.memory, memory_used };
        match end {
            End::Answered(outcome) => {
                self.journal.end(&request_id, None, report);
                outcome
            }
            End::Lost(error) => {
                self.fit = false;
                self.journal.end(&request_id, error.error_message.as_deref(), report);
                Outcome::Failed(error)
            }
        }
    }

    /// Waits until the process takes the invocation.
    async fn taken(&mut self, taken: oneshot::Receiver<Timestamp>, request_id: &str) -> Result<(), ErrorObject> {
        let limit = LONGEST_INIT + self.spec.timeout;
        let api = self.api.clone();
        let status = tokio::select! {
            biased;
            Ok(_) = taken => return Ok(()),
            error = api.init_failed() => return Err(error),
            exited = self.process.wait() => exited.ok(),
            () = tokio::time::sleep(limit) => return Err(timed_out(limit, request_id)),
        };
        Err(self.exited(status, request_id))
    }

    /// Waits for the response to the invocation that it has taken.
    async fn answered(&mut self, answered: oneshot::Receiver<Outcome>, request_id: &str) -> End {
        let timeout = self.spec.timeout;
        let status = tokio::select! {
            biased;
            Ok(outcome) = answered => return End::Answered(outcome),
            exited = self.process.wait() => exited.ok(),
            () = tokio::time::sleep(timeout) => return End::Lost(timed_out(timeout, request_id)),
        };
        End::Lost(self.exited(status, request_id))
    }

    /// Why the process has ended: its own report, if there is one.
    fn exited(&self, status: Option<ExitStatus>, request_id: &str) -> ErrorObject {
        self.api.take_init_error().unwrap_or_else(|| {
            let how = status.map_or_else(|| "Runtime exited without providing a reason".to_owned(), how_it_exited);
            ErrorObject::new("Runtime.ExitError", format!("RequestId: {request_id} Error: {how}"))
        })
    }

    /// Ends the process and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        kill_group(&self.process);
        if let Err(why) = self.process.kill().await {
            tracing::debug!(%why, "cannot kill a function's process: it has already ended");
        }
    }
}

/// Listens on a loopback address that has not been used before. A process that a killed emulator left behind, or any that still knows
/// an old port, must not receive another process's invocations. If there is only one loopback address, it is used.
fn listen() -> std::io::Result<TcpListener> {
    let [a, b, c, ..] = Uuid::new_v4().into_bytes();
    let own = Ipv4Addr::new(127, a, b, c.clamp(1, 254));
    sockets::listen((own, 0).into()).or_else(|_| sockets::listen((Ipv4Addr::LOCALHOST, 0).into()))
}

fn timed_out(after: Duration, request_id: &str) -> ErrorObject {
    let seconds = after.as_secs_f64();
    let message = format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
    ErrorObject::new("Sandbox.Timedout", message)
}

fn how_it_exited(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(9)) => "Runtime exited with error: signal: killed".to_owned(),
        (None, signal) => format!("Runtime exited with error: signal: {}", signal.unwrap_or_default()),
    }
}
