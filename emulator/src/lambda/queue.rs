//! Asynchronous invocations of functions that are not durable. Each is on disk before its caller gets a response, and until it is done.
//!
//! An `Event` invoke that fails is retried twice, after one minute and after two, as in Lambda
//! (<https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>). A chained invoke is not retried: its durable
//! function gets the outcome of the only attempt.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{
    changes::Changes,
    durable::{chained, store::Parent},
    functions::{Functions, Qualified},
    json,
    runtime::{Outcome, Request},
};
use crate::{
    clock::Clock,
    db::Db,
    retry::{self, Backoff},
    wire::AwsError,
};

/// How long after its first and its second failure an invocation is retried.
const RETRY_AFTER: [SignedDuration; 2] = [SignedDuration::from_secs(60), SignedDuration::from_secs(120)];

/// Longest sleep of the driver.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How many invocations are processed at a time. The others wait on disk.
const AT_A_TIME: usize = 64;

/// An invocation that has been accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    function: String,
    version: String,
    request_id: String,
    payload: String,
    client_context: Option<String>,
    trace: Option<String>,
    /// Attempts that have failed.
    failures: usize,
    /// The chained invoke that waits for it.
    parent: Option<Parent>,
}

impl Entry {
    /// An `Event` invoke.
    pub(crate) fn event(of: &Qualified, payload: &str, request: &Request) -> Self {
        Self {
            function: of.name().to_owned(),
            version: of.version.clone(),
            request_id: request.id.clone(),
            payload: payload.to_owned(),
            client_context: request.client_context.clone(),
            trace: request.trace.clone(),
            failures: 0,
            parent: None,
        }
    }

    /// A chained invoke.
    pub(crate) fn chained(of: &Qualified, payload: &str, parent: Parent, trace: Option<String>) -> Self {
        let request = Request { trace, ..Request::new(Bytes::new()) };
        Self { parent: Some(parent), ..Self::event(of, payload, &request) }
    }
}

/// Puts an invocation into the queue.
pub(crate) fn push(tx: &Transaction<'_>, entry: &Entry, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO lambda_queue (due, body) VALUES (?1, ?2)";
    tx.prepare_cached(sql)?.execute(params![now.as_millisecond(), json::write(entry)?])?;
    Ok(())
}

/// The queue. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Queue(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    functions: Functions,
    changes: Arc<Changes>,
    active: Mutex<HashSet<i64>>,
}

impl Queue {
    pub(crate) fn new(db: Db, clock: Clock, functions: Functions, changes: Arc<Changes>) -> Self {
        Self(Arc::new(Inner { db, clock, functions, changes, active: Mutex::default() }))
    }

    /// Accepts an invocation.
    pub(crate) fn accept(&self, entry: &Entry) -> Result<(), AwsError> {
        let now = self.0.clock.now();
        self.0.db.transact(|tx| push(tx, entry, now))?;
        self.0.changes.notify();
        Ok(())
    }

    /// Runs what is due as long as it is polled.
    pub(crate) async fn drive(&self) {
        let mut backoff = Backoff::default();
        loop {
            let news = self.0.changes.queue.notified();
            let mut moves = self.0.clock.moves();
            let sleep = match self.due() {
                Ok((due, next)) => {
                    backoff.succeeded();
                    for (id, entry) in due {
                        self.run_in_background(id, entry);
                    }
                    next
                }
                Err(why) => {
                    retry::log_problem("cannot read the queue of asynchronous invocations; retrying", &why.message);
                    tokio::time::sleep(backoff.failed()).await;
                    continue;
                }
            };
            tokio::select! {
                _ = tokio::time::timeout(sleep.min(LONGEST_SLEEP), news) => {}
                _ = moves.changed() => {}
            }
        }
    }

    /// Invocations that are due and not in flight, and how long it takes until anything else is due.
    fn due(&self) -> Result<(Vec<(i64, Entry)>, Duration), AwsError> {
        let now = self.0.clock.now();
        let active = self.active().clone();
        let room = AT_A_TIME.saturating_sub(active.len());
        self.0.db.transact(|tx| {
            let mut read =
                tx.prepare_cached("SELECT id, body FROM lambda_queue WHERE due <= ?1 ORDER BY due, id LIMIT ?2")?;
            let most = i64::try_from(AT_A_TIME + active.len()).unwrap_or(i64::MAX);
            let rows =
                read.query_map(params![now.as_millisecond(), most], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
            let mut due = Vec::new();
            for row in rows {
                let (id, body) = row?;
                if due.len() < room && !active.contains(&id) {
                    due.push((id, json::read(&body)?));
                }
            }
            let next = tx.prepare_cached("SELECT min(due) FROM lambda_queue WHERE due > ?1")?;
            let next =
                { next }.query_row([now.as_millisecond()], |row| row.get::<_, Option<i64>>(0)).optional()?.flatten();
            let next = next.and_then(|millis| Timestamp::from_millisecond(millis).ok());
            let sleep = next.map_or(LONGEST_SLEEP, |at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
            Ok((due, sleep))
        })
    }

    fn run_in_background(&self, id: i64, entry: Entry) {
        self.active().insert(id);
        let queue = self.clone();
        tokio::spawn(async move {
            if let Some(outcome) = queue.run(&entry).await {
                let recorder = queue.clone();
                let record = move || recorder.take_up(id, entry.clone(), outcome.clone());
                retry::until_done("cannot record the outcome of an asynchronous invocation; retrying", record).await;
            }
            queue.active().remove(&id);
            queue.0.changes.notify();
        });
    }

    /// Runs an invocation. `None` if the emulator is stopping: the invocation stays in the queue and runs after the next start.
    async fn run(&self, entry: &Entry) -> Option<Outcome> {
        let function = match self.0.functions.qualified(&entry.function, Some(&entry.version)) {
            Ok(function) => function,
            Err(gone) => return Some(Outcome::failed(gone.code, gone.message)),
        };
        let slot = self.0.functions.slot(&function).await?;
        let request = Request {
            id: entry.request_id.clone(),
            trace: entry.trace.clone(),
            client_context: entry.client_context.clone(),
            ..Request::new(Bytes::from(entry.payload.clone()))
        };
        Some(slot.run(request).await.outcome)
    }

    fn take_up(&self, id: i64, entry: Entry, outcome: Outcome) -> Result<(), AwsError> {
        let now = self.0.clock.now();
        let again = match (&outcome, &entry.parent) {
            (Outcome::Failed(error), None) => {
                tracing::warn!(function = entry.function, ?error, "an asynchronous invocation failed");
                RETRY_AFTER.get(entry.failures).and_then(|after| now.checked_add(*after).ok())
            }
            _ => None,
        };
        self.0.db.transact(|tx| {
            if let Some(due) = again {
                let next = json::write(&Entry { failures: entry.failures + 1, ..entry })?;
                let sql = "UPDATE lambda_queue SET due = ?2, body = ?3 WHERE id = ?1";
                tx.prepare_cached(sql)?.execute(params![id, due.as_millisecond(), next])?;
                return Ok(());
            }
            tx.prepare_cached("DELETE FROM lambda_queue WHERE id = ?1")?.execute([id])?;
            let Some(parent) = &entry.parent else { return Ok(()) };
            let (status, answer) = chained::of_outcome(outcome);
            chained::answer(tx, parent, status, answer, now)
        })
    }

    fn active(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{callers::Callers, lambda::SCHEMA, logs::Logs};

    #[test]
    fn a_failed_invocation_is_retried_after_one_minute_and_after_two() {
        let directory = tempfile::tempdir().unwrap();
        let schemas = [SCHEMA, crate::logs::SCHEMA];
        let db = Db::open(&directory.path().join("db"), &schemas).unwrap();
        let logs = Logs::new(db.clone(), Clock::default());
        let functions =
            Functions::new(vec![], vec![], db.clone(), Clock::default(), &logs, Callers::default()).unwrap();
        let queue = Queue::new(db.clone(), Clock::default(), functions, Arc::new(Changes::new()));
        let entry = Entry {
            function: "f".into(),
            version: "1".into(),
            request_id: "r".into(),
            payload: "{}".into(),
            client_context: None,
            trace: None,
            failures: 0,
            parent: None,
        };
        queue.accept(&entry).unwrap();
        for minutes in [1, 2] {
            let first = |tx: &Transaction<'_>| {
                tx.query_row("SELECT id, due, body FROM lambda_queue", [], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
                })
            };
            let (id, _, body) = db.transact(first).unwrap();
            let before = Clock::default().now().as_millisecond();
            queue.take_up(id, json::read(&body).unwrap(), Outcome::failed("E", "e")).unwrap();
            let (_, due, body) = db.transact(first).unwrap();
            let after = Clock::default().now().as_millisecond();
            assert!((before..=after).contains(&(due - minutes * 60_000)), "{before}, {due}, {after}");
            let next: Entry = json::read(&body).unwrap();
            assert_eq!(next.request_id, "r");
            if minutes == 2 {
                queue.take_up(id, next, Outcome::failed("E", "e")).unwrap();
            }
        }
        let left = db.transact(|tx| tx.query_row("SELECT count(*) FROM lambda_queue", [], |row| row.get::<_, i64>(0)));
        assert_eq!(left.unwrap(), 0);
    }

    #[test]
    fn the_queue_of_an_older_stack_can_be_read() {
        let row = r#"{"function":"f","version":"1","requestId":"r","payload":"{}","clientContext":"c","trace":"t",
            "failures":1,"parent":{"arn":"a","operation":"o"}}"#;
        let entry: Entry = json::read(row).unwrap();
        assert_eq!((entry.function.as_str(), entry.version.as_str(), entry.failures), ("f", "1", 1));
        assert_eq!((entry.request_id.as_str(), entry.payload.as_str()), ("r", "{}"));
        assert_eq!((entry.client_context.as_deref(), entry.trace.as_deref()), (Some("c"), Some("t")));
        assert_eq!(entry.parent, Some(Parent { arn: "a".into(), operation: "o".into() }));
    }
}
