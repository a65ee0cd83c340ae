//! Runs functions: one process for each invocation in flight, kept warm for the next one, each with its own Runtime API
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).

mod api;
mod error;
mod instance;
mod journal;
mod process;

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

pub(crate) use self::error::RuntimeError;
use self::instance::Instance;
use super::{durable::operation::ErrorObject, functions::Spec};
use crate::{callers::Callers, clock::Clock, logs::Logs};

/// The maximum number of processes of one version of a function. Further invocations wait: on one machine, a thousand processes would only
/// slow each other down.
const CONCURRENCY: usize = 16;

/// How long an idle process is kept.
const KEEP_WARM: Duration = Duration::from_mins(1);

/// An invocation's input.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) payload: Bytes,
    /// X-Ray's header, as the caller sent it.
    pub(crate) trace: Option<String>,
    /// JSON about the client.
    pub(crate) client_context: Option<String>,
    /// Name of the durable execution that it is for, if any.
    pub(crate) execution: Option<String>,
}

impl Request {
    /// A request with a new id.
    pub(crate) fn new(payload: Bytes) -> Self {
        Self { id: Uuid::new_v4().to_string(), payload, trace: None, client_context: None, execution: None }
    }
}

/// The outcome of an invocation.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// The function returned this response.
    Answered(Bytes),
    /// It reported an error, crashed, or took too long.
    Failed(ErrorObject),
}

impl Outcome {
    pub(crate) fn failed(error_type: &str, message: impl Into<String>) -> Self {
        Self::Failed(ErrorObject::new(error_type, message))
    }
}

/// An invocation that is over.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) request_id: String,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    pub(crate) outcome: Outcome,
    /// The stream that it wrote to; `None` if there was no process.
    pub(crate) stream: Option<String>,
}

/// The processes of one version of a function. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: Arc<Spec>,
    clock: Clock,
    logs: Logs,
    callers: Callers,
    slots: Arc<Semaphore>,
    warm: Mutex<Vec<(Instance, Instant)>>,
    retired: AtomicBool,
}

/// The right to run one invocation.
#[derive(Debug)]
pub(crate) struct Slot {
    pool: Pool,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// Runs one invocation to its end, in a warm process or a new one.
    pub(crate) async fn run(self, request: Request) -> Ran {
        let inner = &self.pool.0;
        let started_at = inner.clock.now();
        let request_id = request.id.clone();
        let over = |outcome, stream| Ran { request_id, started_at, ended_at: inner.clock.now(), outcome, stream };
        let mut instance = match self.pool.take_warm() {
            Some(warm) => warm,
            None => match Instance::start(&inner.spec, &inner.logs, &inner.callers, inner.clock.clone()) {
                Ok(started) => started,
                Err(why) => return over(Outcome::failed("Runtime.InvalidEntrypoint", why), None),
            },
        };
        let outcome = instance.run(request).await;
        let ran = over(outcome, Some(instance.stream().to_owned()));
        if instance.reusable() && !inner.retired.load(Ordering::Relaxed) {
            self.pool.keep_warm(instance);
        } else {
            instance.kill().await;
        }
        ran
    }
}

impl Pool {
    pub(crate) fn new(spec: Arc<Spec>, clock: Clock, logs: Logs, callers: Callers) -> Self {
        let slots = Arc::new(Semaphore::new(CONCURRENCY));
        let (warm, retired) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Inner { spec, clock, logs, callers, slots, warm, retired }))
    }

    /// Waits until one more invocation may run; `None` once the pool accepts no more work.
    pub(crate) async fn slot(&self) -> Option<Slot> {
        let permit = self.0.slots.clone().acquire_owned().await.ok()?;
        Some(Slot { pool: self.clone(), _permit: permit })
    }

    fn take_warm(&self) -> Option<Instance> {
        loop {
            let (mut instance, _) = self.warm().pop()?;
            // It does not matter if the process has died in the meantime.
            if instance.reusable() {
                return Some(instance);
            }
        }
    }

    fn keep_warm(&self, instance: Instance) {
        self.warm().push((instance, Instant::now()));
        let pool = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(KEEP_WARM).await;
            // Dropping an instance ends its process.
            pool.warm().retain(|(_, since)| since.elapsed() < KEEP_WARM);
        });
    }

    fn warm(&self) -> std::sync::MutexGuard<'_, Vec<(Instance, Instant)>> {
        self.0.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the idle processes and keeps none from now on, because the function has a new program.
    pub(crate) fn retire(&self) {
        self.0.retired.store(true, Ordering::Relaxed);
        self.warm().clear();
    }

    /// Accepts no more invocations, and ends the idle processes.
    pub(crate) async fn shut_down(&self) {
        self.0.slots.close();
        let warm = std::mem::take(&mut *self.warm());
        for (mut instance, _) in warm {
            instance.kill().await;
        }
    }
}
