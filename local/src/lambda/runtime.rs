//! Runs functions: one process for each invocation under way, kept warm for the next, each with a Runtime API of its own
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).

mod api;
mod instance;

pub(crate) use self::instance::LONGEST_TIMEOUT;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use tokio::sync::Semaphore;

use self::instance::Instance;
use super::{durable::operation::ErrorObject, functions::Function};
use crate::{clock::Clock, logs::Logs};

/// Processes of one function at a time. Further invocations wait: on one machine a thousand processes would only be in each
/// other's way.
const CONCURRENCY: usize = 16;

/// How long a process that has nothing to do is kept.
const KEEP_WARM: Duration = Duration::from_mins(1);

/// What came of an invocation.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The function answered this.
    Answered(Bytes),
    /// It reported an error, crashed, or took too long.
    Failed(ErrorObject),
}

impl Outcome {
    pub(crate) fn failed(error_type: &str, message: impl Into<String>) -> Self {
        Self::Failed(ErrorObject::new(error_type, message))
    }
}

/// The processes of one function. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    function: Arc<Function>,
    clock: Clock,
    logs: Logs,
    slots: Semaphore,
    warm: Mutex<Vec<(Instance, Instant)>>,
}

impl Pool {
    pub(crate) fn new(function: Arc<Function>, clock: Clock, logs: Logs) -> Self {
        let slots = Semaphore::new(CONCURRENCY);
        Self(Arc::new(Inner { function, clock, logs, slots, warm: Mutex::default() }))
    }

    /// Runs one invocation to its end.
    pub(crate) async fn run(&self, version: &str, payload: Bytes) -> Outcome {
        let Ok(_slot) = self.0.slots.acquire().await else {
            return Outcome::failed("ServiceException", "the local stack is stopping");
        };
        let mut instance = match self.take_warm(version) {
            Some(warm) => warm,
            None => match Instance::start(&self.0.function, version, &self.0.logs, self.0.clock).await {
                Ok(started) => started,
                Err(why) => return Outcome::failed("Runtime.InvalidEntrypoint", why),
            },
        };
        let outcome = instance.run(payload).await;
        if instance.reusable() {
            self.keep_warm(instance);
        } else {
            instance.kill().await;
        }
        outcome
    }

    fn take_warm(&self, version: &str) -> Option<Instance> {
        let mut warm = self.warm();
        let position = warm.iter().rposition(|(instance, _)| instance.version() == version)?;
        Some(warm.remove(position).0)
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

    /// Takes no more work and ends the processes that have none.
    pub(crate) async fn shut_down(&self) {
        self.0.slots.close();
        let warm = std::mem::take(&mut *self.warm());
        for (mut instance, _) in warm {
            instance.kill().await;
        }
    }
}
