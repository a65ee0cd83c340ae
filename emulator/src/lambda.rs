//! Lambda: functions as processes on the Runtime API, and durable executions.
//!
//! Known differences from AWS are listed in `FACTS`.

mod arn;
mod changes;
pub(crate) mod durable;
mod functions;
mod json;
mod limits;
mod queue;
mod routes;
mod runtime;
mod schema;

use std::{convert::Infallible, sync::Arc};

use axum::{Router, extract::Request, http::StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;

use self::{changes::Changes, durable::Durable, functions::Functions, queue::Queue};
use crate::{
    callers::Callers,
    clock::Clock,
    db::Db,
    events::Events,
    logs::Logs,
    service::{Answer, Facts, Protocol, Service},
    wire::AwsError,
};

pub use functions::{DurableConfig, Function, make::RETENTION_DAYS};
pub(crate) use schema::SCHEMA;

pub(crate) use durable::execution_of_callback;
pub(crate) use routes::operation;
pub(crate) use runtime::RuntimeError;

/// What the gateway and the faults need to know about this service.
pub(crate) static FACTS: Facts = Facts {
    name: "lambda",
    title: "Lambda",
    targets: &[],
    operations: routes::OPERATIONS,
    throttling: (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
    failure: "ServiceException",
    content_type: "application/json",
    protocol: Protocol::Json,
    differences: &[
        "There is no isolation, no memory limit and no freezing: a warm process keeps running between invocations.",
        "A declared function has one version, `1`, in addition to `$LATEST`, and both are the same program. The code \
         of a function that the API created is a command on this machine, named by the `ImageUri` `local:COMMAND`; `CodeSha256` \
         and `CodeSize` are invented, and roles, tags, layers, weights of aliases and everything about networks are ignored.",
        "At most 16 processes run for one version of a function; further invocations wait, and are never throttled.",
        "An asynchronous invoke has no dead-letter queue, no destination, and no maximum age.",
        "Responses are not streamed, there are no extensions, no `SnapStart` and no tenants; nothing is traced.",
        "No public source documents AWS's error for more than 3,000 operations or 100 MB, or for a member that its model does \
         not allow: here it is an `InvalidParameterValueException`.",
        "A function may suspend on a callback although a checkpoint had returned the callback's result; AWS's SDK for Rust does. \
         Here it is invoked again. No public source documents what AWS does.",
        "An execution whose start was recorded by an older version of this emulator has no events from before, and is kept \
         forever.",
        "Page markers are positions; they do not expire.",
        "An emulator that is killed leaves its functions' processes behind; the next one with the same directory kills them first.",
        "END and REPORT may come before the last lines of a function that printed while it returned its response.",
    ],
};

/// The Lambda service. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Lambda {
    functions: Functions,
    durable: Durable,
    queue: Queue,
    logs: Logs,
}

/// The HTTP API of the service.
#[derive(Debug)]
pub(crate) struct Api(TowerToHyperService<Router>);

impl Api {
    pub(crate) fn new(lambda: Lambda) -> Self {
        Self(TowerToHyperService::new(routes::router(lambda)))
    }
}

impl Service for Api {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn answer<'a>(&'a self, _: &'a str, request: Request) -> Answer<'a> {
        Box::pin(async move { self.0.call(request).await.unwrap_or_else(|never: Infallible| match never {}) })
    }
}

impl Lambda {
    /// A service with these functions, those that the API created, and a database that has [`SCHEMA`]. All functions get `environment`,
    /// which their own variables may override.
    ///
    /// # Errors
    ///
    /// The functions on disk cannot be read.
    pub(crate) fn new(
        db: Db,
        clock: Clock,
        logs: &Logs,
        events: &Events,
        callers: Callers,
        environment: Vec<(String, String)>,
        functions: Vec<Function>,
    ) -> Result<Self, AwsError> {
        let changes = Arc::new(Changes::new());
        let functions = Functions::new(functions, environment, db.clone(), clock.clone(), logs, callers)?;
        let queue = Queue::new(db.clone(), clock.clone(), functions.clone(), changes.clone());
        let durable = Durable::new(db, clock, functions.clone(), events.clone(), changes);
        Ok(Self { functions, durable, queue, logs: logs.clone() })
    }

    /// Replaces declared functions: see [`Functions::replace`].
    pub(crate) fn replace(&self, functions: Vec<Function>) {
        self.functions.replace(functions);
    }

    /// Refuses the name or ARN of a function that does not exist.
    pub(crate) fn require(&self, function: &str) -> Result<(), AwsError> {
        self.functions.qualified(function, None).map(drop)
    }

    /// Drives the durable executions and the queue as long as it is polled, including those that an earlier process left behind.
    pub(crate) async fn drive(&self) {
        tokio::join!(self.durable.drive(), self.queue.drive());
    }

    /// Accepts no more work and ends the idle processes. Invocations in flight are repeated after the next start.
    pub(crate) async fn shut_down(&self) {
        self.functions.shut_down().await;
    }
}
