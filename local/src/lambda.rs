//! Lambda: functions as processes on the Runtime API, and durable executions.
//!
//! Known differences from AWS:
//!
//! - There is no isolation, no memory limit and no freezing: a warm process goes on running between invocations.
//! - A function of the command line has one version, `1`, beside `$LATEST`, and both are the same program. The code of a
//!   function that the API makes is a command of this machine, named as `ImageUri` `local:COMMAND`; `CodeSha256` and
//!   `CodeSize` are made up, and roles, tags, layers, weights of aliases and everything about networks are not looked at.
//! - At most 16 processes run for one version of a function; further invocations wait, and are never throttled.
//! - An asynchronous invoke has no dead-letter queue, no destination, and no longest age.
//! - Responses are not streamed, there are no extensions, no `SnapStart` and no tenants; nothing is traced.
//! - Nobody is asked for a signature or a permission.
//! - No public source says in which words AWS refuses operation 3,001, byte 100 MB + 1, or a member that its model does not
//!   allow: here that is an `InvalidParameterValueException`.
//! - No public source says whether AWS invokes a function again that went to sleep over a callback whose answer a checkpoint
//!   had told it: here it does, since AWS's SDK for Rust does go to sleep then.
//! - An execution whose start an older version of this stack recorded has no events from before, and is kept for ever.
//! - Markers of pages are positions; they do not expire.
//! - A stack that is killed leaves its functions' processes behind; the next one over the same directory kills them first.
//! - END and REPORT may come before the last words of a function that printed as it answered.

mod arn;
mod bell;
pub(crate) mod durable;
mod functions;
mod json;
mod limits;
mod queue;
mod routes;
mod runtime;
mod schema;

use std::sync::Arc;

use axum::Router;

use self::{bell::Bell, durable::Durable, functions::Functions, queue::Queue};
use crate::{callers::Callers, clock::Clock, db::Db, events::Events, logs::Logs, wire::AwsError};

pub use functions::{DurableConfig, Function};
pub use schema::SCHEMA;

pub(crate) use durable::execution_of_callback;
pub(crate) use functions::make::RETENTION_DAYS;

/// The Lambda service. Clones share it.
#[derive(Debug, Clone)]
pub struct Lambda {
    functions: Functions,
    durable: Durable,
    queue: Queue,
    logs: Logs,
}

impl Lambda {
    /// A service with these functions, those that the API made, and a database that has [`SCHEMA`]. All functions get
    /// `environment`, under their own variables.
    ///
    /// # Errors
    ///
    /// The functions on disk cannot be read.
    pub fn new(
        db: Db,
        clock: Clock,
        logs: &Logs,
        events: &Events,
        callers: Callers,
        environment: Vec<(String, String)>,
        functions: Vec<Function>,
    ) -> Result<Self, AwsError> {
        let bell = Arc::new(Bell::new());
        let functions = Functions::new(functions, environment, db.clone(), clock, logs, callers)?;
        let queue = Queue::new(db.clone(), clock, functions.clone(), bell.clone());
        let durable = Durable::new(db, clock, functions.clone(), events.clone(), bell);
        Ok(Self { functions, durable, queue, logs: logs.clone() })
    }

    /// Refuses the name or ARN of a function that does not exist.
    pub(crate) fn require(&self, function: &str) -> Result<(), AwsError> {
        self.functions.qualified(function, None).map(drop)
    }

    /// Its HTTP API.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// Drives the durable executions and the queue for as long as it is polled: also what an earlier process left behind.
    pub async fn drive(&self) {
        tokio::join!(self.durable.drive(), self.queue.drive());
    }

    /// Takes no more work and ends the processes that have none. What is under way is repeated after the next start.
    pub async fn shut_down(&self) {
        self.functions.shut_down().await;
    }
}
