//! Lambda: functions as processes on the Runtime API, and durable executions.
//!
//! Known differences from AWS:
//!
//! - There is no isolation, no memory limit and no freezing: a warm process goes on running between invocations.
//! - A function has one version, `1`, beside `$LATEST`, and both are the same program.
//! - `CHAINED_INVOKE` and `EXECUTION` updates are refused, callbacks have no heartbeat, and a durable execution has no
//!   history to read yet. It is kept for ever: retention is not enforced.
//! - Of the limits only names, payload sizes and timeouts are enforced.
//! - An `Event` invoke of a function that is not durable is tried once.

pub(crate) mod durable;
mod functions;
mod routes;
mod runtime;

use axum::Router;

use self::{durable::Durable, functions::Functions};
use crate::{clock::Clock, db::Db, logs::Logs};

pub use durable::SCHEMA;
pub use functions::{DurableConfig, Function};

/// The Lambda service. Clones share it.
#[derive(Debug, Clone)]
pub struct Lambda {
    functions: Functions,
    durable: Durable,
}

impl Lambda {
    /// A service with these functions and a database that has [`SCHEMA`].
    #[must_use]
    pub fn new(db: Db, clock: Clock, logs: &Logs, functions: Vec<Function>) -> Self {
        let functions = Functions::new(functions, clock, logs);
        let durable = Durable::new(db, clock, functions.clone());
        Self { functions, durable }
    }

    /// Its HTTP API.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// Drives the durable executions for as long as it is polled: also those that an earlier process left behind.
    pub async fn drive(&self) {
        self.durable.drive().await;
    }

    /// Takes no more work and ends the processes that have none. What is under way is repeated after the next start.
    pub async fn shut_down(&self) {
        self.functions.shut_down().await;
    }
}
