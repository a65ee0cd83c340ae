//! EventBridge: events are matched against rules. An event for a target is stored in the transaction of the change that the event
//! reports, and stays on disk until the target has accepted it or all retries have failed.
//!
//! Known differences from AWS are listed in `FACTS`.

mod answers;
mod api;
mod batch;
mod delivery;
mod event;
mod pattern;
mod request;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use axum::http::StatusCode;
use jiff::Timestamp;
use rusqlite::{Transaction, params};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    clock::Clock,
    db::Db,
    faults::Faults,
    service::{Facts, Protocol},
    wire::AwsError,
};

pub(crate) use api::Api;
pub use delivery::Queue;
pub use rules::{Rule, RuleState, Target};

use event::Event;
use rules::Rules;

/// The only bus.
const BUS: &str = "default";

/// What the gateway and the faults need to know about this service.
pub(crate) static FACTS: Facts = Facts {
    name: "eventbridge",
    title: "EventBridge",
    targets: &["AWSEvents"],
    operations: api::OPERATIONS,
    throttling: (StatusCode::BAD_REQUEST, "ThrottlingException"),
    failure: "InternalException",
    content_type: "application/x-amz-json-1.1",
    protocol: Protocol::Json,
    differences: &[
        "There is one bus, `default`; no archives, connections, API destinations or pipes. Rules have no tags.",
        "Targets are Lambda functions, which must exist when they become targets, and declared queues, each of which feeds a \
         function in batches. `Input` and `InputPath` are supported; an `InputTransformer` is refused. Roles, retry policies and dead-letter queues are kept and shown, but have no effect: an event that is not \
         accepted is delivered again every 5 seconds, 20 times in total.",
        "In event patterns, `$or`, and `anything-but` with anything other than values, are refused. Numbers are equal if their \
         values are equal, however they are written.",
        "Schedules with `cron` are refused. An event that came due while the emulator was not running is missed.",
        "Events are sent in the order in which they happened, but invocations run concurrently and are retried, so they may arrive in \
         another order. A batch does not wait for more events.",
        "The services that send events are ECS (tasks) and Lambda (durable executions).",
    ],
};

/// The table. Times are milliseconds since 1970.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS event_rules (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    target TEXT NOT NULL,
    deliver_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
";

/// The events of this machine. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    faults: Faults,
    /// Always locked after the database, because events are matched in the transaction of the change that they report.
    rules: RwLock<Rules>,
    /// Notifies of events to deliver.
    news: watch::Sender<()>,
}

impl Events {
    /// The bus in a database that has [`SCHEMA`], with the emulator's own rules and those on disk.
    ///
    /// # Errors
    ///
    /// A 500 when the rules cannot be read.
    pub(crate) fn new(db: Db, clock: Clock, faults: Faults, declared: Vec<Rule>) -> Result<Self, AwsError> {
        let rules = RwLock::new(db.transact(|tx| Rules::load(tx, declared))?);
        Ok(Self(Arc::new(Inner { db, clock, faults, rules, news: watch::Sender::default() })))
    }

    /// Sends an event to the targets of matching rules, in the transaction of the change that it reports: both are committed, or
    /// neither.
    ///
    /// # Errors
    ///
    /// What `SQLite` says is wrong.
    pub(crate) fn put(
        &self,
        tx: &Transaction<'_>,
        source: &str,
        detail_type: &str,
        resources: &[&str],
        detail: &impl Serialize,
    ) -> rusqlite::Result<()> {
        let now = self.0.clock.now();
        self.send(tx, &Event::new(now, source, detail_type, resources.to_vec(), detail), now)
    }

    fn send<D: Serialize>(&self, tx: &Transaction<'_>, event: &Event<'_, D>, now: Timestamp) -> rusqlite::Result<()> {
        let value = event.value()?;
        let deliveries = self.rules().deliveries(&value);
        self.keep(tx, event.detail_type, &value, &deliveries, now)
    }

    /// Stores an event for each target until it has been delivered. Faults may lose, duplicate or delay it.
    fn keep(
        &self,
        tx: &Transaction<'_>,
        detail_type: &str,
        event: &Value,
        deliveries: &[(String, String)],
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let sql = "INSERT INTO event_deliveries (target, deliver_at, body) VALUES (?1, ?2, ?3)";
        for at in self.0.faults.arrivals(detail_type, event, now) {
            for (target, body) in deliveries {
                tx.prepare_cached(sql)?.execute(params![target, at.as_millisecond(), body])?;
            }
        }
        if !deliveries.is_empty() {
            self.0.news.send_replace(());
        }
        Ok(())
    }

    fn replace_rules(&self, next: Rules) {
        *self.0.rules.write().unwrap_or_else(PoisonError::into_inner) = next;
    }

    fn rules(&self) -> RwLockReadGuard<'_, Rules> {
        self.0.rules.read().unwrap_or_else(PoisonError::into_inner)
    }
}
