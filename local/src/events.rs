//! EventBridge, a queue and a schedule, as far as the reconciler needs them: events are kept on disk with the change that
//! they tell of, and delivered to it in a queue's batches until it has taken them up.
//!
//! Known differences from AWS:
//!
//! - There are no buses, rules, patterns or targets: every event goes to the one function.
//! - Events come in the order in which things happened, and a batch waits for nothing. The schedule's event is not kept: one
//!   that is missed is missed.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{
    clock::Clock,
    db::Db,
    faults::Faults,
    identity::{ACCOUNT, REGION},
};

/// Times are milliseconds since 1970.
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    deliver_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
) STRICT;
";

/// Messages in one batch, as a queue gives a function by default.
const BATCH: u32 = 10;

/// A message that was not taken up is hidden for so long, as a queue's visibility timeout does …
const HIDDEN: SignedDuration = SignedDuration::from_secs(5);

/// … and dropped after so many tries, where AWS has a dead-letter queue.
const TRIES: u32 = 20;

/// How often the schedule's event comes.
const SCHEDULE: Duration = Duration::from_mins(1);

/// The longest that delivery sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// The events of this machine. Clones share them.
#[derive(Debug, Clone)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    faults: Faults,
    changed: Notify,
}

/// An event that waits to be delivered.
struct Message {
    id: i64,
    tries: u32,
    body: String,
}

impl Events {
    /// Events in a database that has [`SCHEMA`].
    #[must_use]
    pub fn new(db: Db, clock: Clock, faults: Faults) -> Self {
        Self(Arc::new(Inner { db, clock, faults, changed: Notify::new() }))
    }

    /// Keeps an event together with the change that it tells of: both are committed, or neither.
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
        let event = envelope(now, source, detail_type, resources, detail);
        for at in self.0.faults.arrivals(&event, now) {
            tx.prepare_cached("INSERT INTO events (deliver_at, body) VALUES (?1, ?2)")?
                .execute(params![at.as_millisecond(), event.to_string()])?;
        }
        self.0.changed.notify_one();
        Ok(())
    }

    /// Delivers events and the schedule to a function behind the AWS endpoints, for as long as it is polled.
    pub async fn deliver(&self, aws_url: &str, function: &str) {
        let target = Target::new(aws_url, function);
        let mut schedule = Instant::now() + SCHEDULE;
        loop {
            let changed = self.0.changed.notified();
            match self.deliver_batch(&target).await {
                Ok(0) => drop(tokio::time::timeout(LONGEST_SLEEP, changed).await),
                Ok(_) => {}
                Err(why) => {
                    tracing::warn!(why, "events are not delivered");
                    tokio::time::sleep(LONGEST_SLEEP).await;
                }
            }
            if Instant::now() >= schedule {
                schedule += SCHEDULE;
                let now = self.0.clock.now();
                let tick = envelope(now, "aws.events", "Scheduled Event", &[], &json!({}));
                if self.0.faults.arrivals(&tick, now).is_empty() {
                    continue;
                }
                if let Err(why) = target.invoke(&tick).await {
                    tracing::warn!(why, "the schedule's event was not delivered");
                }
            }
        }
    }

    /// Delivers what is due, and says how much that was.
    async fn deliver_batch(&self, target: &Target) -> Result<usize, String> {
        let messages = self.due().map_err(|why| why.to_string())?;
        if messages.is_empty() {
            return Ok(0);
        }
        let record = |message: &Message| {
            json!({
                "messageId": message.id.to_string(),
                "body": message.body,
                "eventSource": "aws:sqs",
                "awsRegion": REGION,
            })
        };
        let batch = json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() });
        let failed = match target.invoke(&batch).await {
            Ok(answer) => failures(&answer),
            Err(why) => {
                tracing::warn!(why, "a batch of events was not taken up");
                messages.iter().map(|message| message.id.to_string()).collect()
            }
        };
        let settled = self.0.db.transact(|tx| self.settle(tx, &messages, &failed));
        settled.map_err(|why: rusqlite::Error| why.to_string())?;
        Ok(messages.len())
    }

    fn due(&self) -> rusqlite::Result<Vec<Message>> {
        let now = self.0.clock.now().as_millisecond();
        self.0.db.transact(|tx| {
            let mut read =
                tx.prepare_cached("SELECT id, tries, body FROM events WHERE deliver_at <= ?1 ORDER BY id LIMIT ?2")?;
            let message =
                |row: &rusqlite::Row<'_>| Ok(Message { id: row.get(0)?, tries: row.get(1)?, body: row.get(2)? });
            read.query_map(params![now, BATCH], message)?.collect()
        })
    }

    fn settle(&self, tx: &Transaction<'_>, messages: &[Message], failed: &[String]) -> rusqlite::Result<()> {
        let again = self.0.clock.now().checked_add(HIDDEN).unwrap_or(Timestamp::MAX).as_millisecond();
        for message in messages {
            let failed = failed.contains(&message.id.to_string());
            if failed && message.tries + 1 < TRIES {
                tx.prepare_cached("UPDATE events SET tries = tries + 1, deliver_at = ?2 WHERE id = ?1")?
                    .execute(params![message.id, again])?;
                continue;
            }
            if failed {
                tracing::error!(event = message.body, "an event was never taken up");
            }
            tx.prepare_cached("DELETE FROM events WHERE id = ?1")?.execute([message.id])?;
        }
        Ok(())
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
        "time": at,
        "region": REGION,
        "resources": resources,
        "detail": detail,
    })
}

/// The messages that have to come again.
fn failures(answer: &Value) -> Vec<String> {
    let failures = answer["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
    failures.iter().filter_map(|failure| failure["itemIdentifier"].as_str()).map(str::to_owned).collect()
}

/// The function that events are delivered to, invoked as any caller of Lambda would.
struct Target {
    client: Client<HttpConnector, Body>,
    url: String,
}

impl Target {
    fn new(aws_url: &str, function: &str) -> Self {
        let url = format!("{aws_url}/2015-03-31/functions/{function}/invocations");
        Self { client: Client::builder(TokioExecutor::new()).build_http(), url }
    }

    async fn invoke(&self, event: &Value) -> Result<Value, String> {
        let request = axum::http::Request::post(&self.url).body(Body::from(event.to_string()));
        let request = request.map_err(|why| why.to_string())?;
        let response = self.client.request(request).await.map_err(|why| why.to_string())?;
        let failed = response.headers().contains_key("x-amz-function-error") || !response.status().is_success();
        let body = axum::body::to_bytes(Body::new(response.into_body()), usize::MAX).await;
        let body: Bytes = body.map_err(|why| why.to_string())?;
        if failed {
            return Err(String::from_utf8_lossy(&body).into_owned());
        }
        serde_json::from_slice(&body).map_err(|why| why.to_string())
    }
}
