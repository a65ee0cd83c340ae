//! EventBridge: events are matched against rules, and what goes to a target is kept on disk in the transaction of the change
//! that the event tells of, until the target has taken it up.
//!
//! Known differences from AWS:
//!
//! - There is one bus, `default`; no archives, connections, API destinations or pipes. Rules have no tags.
//! - Targets are Lambda functions that exist when they become one, and the stack's own queue, which feeds its reconciler in batches. Nobody is asked for a
//!   permission. `Input` and `InputPath` are heeded; an `InputTransformer` is refused; roles, retry policies and dead-letter
//!   queues are kept and shown, and do nothing: what is not taken up comes again every 5 seconds, 20 times in all.
//! - Of event patterns, `$or` and `anything-but` of anything but values are refused. Numbers are equal by their value, not by
//!   how they are written.
//! - Of schedules, `cron` is refused. An event that came due while nothing ran is missed.
//! - Events come in the order in which things happened, and a batch waits for nothing.
//! - The services that tell of changes are ECS (tasks) and Lambda (durable executions).

mod api;
mod delivery;
mod pattern;
mod rules;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;
use rusqlite::{Transaction, params};
use serde_json::{Value, json};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    clock::Clock,
    db::Db,
    faults::Faults,
    identity::{ACCOUNT, REGION},
    wire::AwsError,
};

pub use delivery::Queue;
pub(crate) use rules::{Rule, Target};

use rules::Rules;

/// Times are milliseconds since 1970. What an older stack had not delivered is in another form; the sweep finds what it was
/// about.
pub const SCHEMA: &str = "
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
DROP TABLE IF EXISTS events;
";

/// The events of this machine. Clones share them.
#[derive(Debug, Clone)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    faults: Faults,
    /// Locked after the database, always: events are matched in the transaction of what they tell of.
    rules: RwLock<Rules>,
    for_queue: Notify,
    for_functions: Notify,
}

impl Events {
    /// The bus in a database that has [`SCHEMA`], with the stack's own rules and those on disk.
    ///
    /// # Errors
    ///
    /// A 500 when the rules cannot be read.
    pub(crate) fn new(db: Db, clock: Clock, faults: Faults, declared: Vec<Rule>) -> Result<Self, AwsError> {
        let rules = RwLock::new(db.transact(|tx| Rules::load(tx, declared))?);
        Ok(Self(Arc::new(Inner { db, clock, faults, rules, for_queue: Notify::new(), for_functions: Notify::new() })))
    }

    /// Sends an event to whom it concerns, together with the change that it tells of: both are committed, or neither.
    ///
    /// # Errors
    ///
    /// What `SQLite` says is wrong.
    pub fn put(
        &self,
        tx: &Transaction<'_>,
        source: &str,
        detail_type: &str,
        resources: &[&str],
        detail: &Value,
    ) -> rusqlite::Result<()> {
        let now = self.0.clock.now();
        self.send(tx, &envelope(now, source, detail_type, resources, detail), now)
    }

    fn send(&self, tx: &Transaction<'_>, event: &Value, now: Timestamp) -> rusqlite::Result<()> {
        let deliveries = self.rules().deliveries(event);
        self.keep(tx, event, &deliveries, now)
    }

    /// Keeps what goes to each target until it has been taken there. Faults may lose it, double it or make it late.
    fn keep(
        &self,
        tx: &Transaction<'_>,
        event: &Value,
        deliveries: &[(String, String)],
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let sql = "INSERT INTO event_deliveries (target, deliver_at, body) VALUES (?1, ?2, ?3)";
        for at in self.0.faults.arrivals(event, now) {
            for (target, body) in deliveries {
                tx.prepare_cached(sql)?.execute(params![target, at.as_millisecond(), body])?;
            }
        }
        if !deliveries.is_empty() {
            self.0.for_queue.notify_one();
            self.0.for_functions.notify_one();
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

/// An event as EventBridge delivers it
/// (<https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>).
fn envelope(at: Timestamp, source: &str, detail_type: &str, resources: &[&str], detail: &Value) -> Value {
    json!({
        "version": "0",
        "id": Uuid::new_v4(),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": Timestamp::from_second(at.as_second()).unwrap_or(at),
        "region": REGION,
        "resources": resources,
        "detail": detail,
    })
}
