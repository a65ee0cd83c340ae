//! Durable executions on disk.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::operation::{ErrorObject, Operation};

/// Times are milliseconds since 1970. What is searched for has a column; the rest is JSON.
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS durable_executions (
    arn TEXT PRIMARY KEY,
    function TEXT NOT NULL,
    name TEXT NOT NULL,
    input TEXT NOT NULL,
    running INTEGER NOT NULL,
    owed_at INTEGER,
    times_out_at INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (function, name)
) STRICT;
CREATE INDEX IF NOT EXISTS durable_executions_owed ON durable_executions (owed_at) WHERE running;
CREATE INDEX IF NOT EXISTS durable_executions_timeout ON durable_executions (times_out_at) WHERE running;
CREATE TABLE IF NOT EXISTS durable_operations (
    arn TEXT NOT NULL,
    position INTEGER NOT NULL,
    id TEXT NOT NULL,
    due INTEGER,
    touched INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (arn, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS durable_operations_due ON durable_operations (due) WHERE due IS NOT NULL;
";

/// Where a durable execution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ExecutionStatus {
    Running,
    Succeeded,
    Failed,
    TimedOut,
}

/// A durable execution, without its operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Execution {
    pub(crate) arn: String,
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) name: String,
    /// Kept in a column of its own: it never changes, and can be a megabyte.
    #[serde(skip)]
    pub(crate) input: String,
    pub(crate) status: ExecutionStatus,
    pub(crate) result: Option<String>,
    pub(crate) error: Option<ErrorObject>,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) times_out_at: Timestamp,
    /// Counts the checkpoint tokens: only the newest is good.
    pub(crate) token: u64,
    /// Counts the changes of its operations.
    pub(crate) touched: u64,
    /// The changes that its function has seen.
    pub(crate) seen: u64,
    /// Failed invocations since the last good one.
    pub(crate) failures: u32,
    /// When its function has to be invoked next; it is owed until that invocation has ended.
    pub(crate) owed_at: Option<Timestamp>,
    /// The last checkpoint and its answer: one that is sent again is answered again, and not applied again.
    pub(crate) last_checkpoint: Option<Answered>,
}

/// A checkpoint that was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answered {
    pub(crate) client_token: String,
    pub(crate) checkpoint_token: String,
    pub(crate) answer: serde_json::Value,
}

/// A row whose JSON cannot be read is a damaged file: the same as one that `SQLite` cannot read.
fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|why| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(why)))
}

fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|why| rusqlite::Error::ToSqlConversionFailure(Box::new(why)))
}

/// Writes an execution: a new one, or the next state of one.
pub(crate) fn save(tx: &Transaction<'_>, execution: &Execution) -> rusqlite::Result<()> {
    let mut write = tx.prepare_cached(
        "INSERT INTO durable_executions (arn, function, name, input, running, owed_at, times_out_at, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (arn) DO UPDATE SET running = ?5, owed_at = ?6, body = ?8",
    )?;
    write.execute(params![
        execution.arn,
        execution.function,
        execution.name,
        execution.input,
        execution.status == ExecutionStatus::Running,
        execution.owed_at.map(Timestamp::as_millisecond),
        execution.times_out_at.as_millisecond(),
        to_json(execution)?,
    ])?;
    Ok(())
}

/// The execution with that ARN.
pub(crate) fn load(tx: &Transaction<'_>, arn: &str) -> rusqlite::Result<Option<Execution>> {
    let mut read = tx.prepare_cached("SELECT input, body FROM durable_executions WHERE arn = ?1")?;
    read.query_row([arn], execution).optional()
}

/// The execution of a function with that name.
pub(crate) fn find(tx: &Transaction<'_>, function: &str, name: &str) -> rusqlite::Result<Option<Execution>> {
    let mut read = tx.prepare_cached("SELECT input, body FROM durable_executions WHERE function = ?1 AND name = ?2")?;
    read.query_row([function, name], execution).optional()
}

fn execution(row: &rusqlite::Row<'_>) -> rusqlite::Result<Execution> {
    let execution: Execution = from_json(&row.get::<_, String>(1)?)?;
    Ok(Execution { input: row.get(0)?, ..execution })
}

/// Writes an operation, and counts it as a change that the function has not seen.
pub(crate) fn put(tx: &Transaction<'_>, execution: &mut Execution, operation: &Operation) -> rusqlite::Result<()> {
    execution.touched += 1;
    let mut write = tx.prepare_cached(
        "INSERT INTO durable_operations (arn, position, id, due, touched, body)
         VALUES (?1, (SELECT count(*) FROM durable_operations WHERE arn = ?1), ?2, ?3, ?4, ?5)
         ON CONFLICT (arn, id) DO UPDATE SET due = ?3, touched = ?4, body = ?5",
    )?;
    write.execute(params![
        execution.arn,
        operation.id,
        operation.due.map(Timestamp::as_millisecond),
        execution.touched,
        to_json(operation)?,
    ])?;
    Ok(())
}

/// One operation.
pub(crate) fn operation(tx: &Transaction<'_>, arn: &str, id: &str) -> rusqlite::Result<Option<Operation>> {
    let mut read = tx.prepare_cached("SELECT body FROM durable_operations WHERE arn = ?1 AND id = ?2")?;
    let body: Option<String> = read.query_row([arn, id], |row| row.get(0)).optional()?;
    body.as_deref().map(from_json).transpose()
}

/// The operations that changed after change `seen`, in the order in which they began; all of them for 0.
pub(crate) fn operations_since(tx: &Transaction<'_>, arn: &str, seen: u64) -> rusqlite::Result<Vec<Operation>> {
    let mut read =
        tx.prepare_cached("SELECT body FROM durable_operations WHERE arn = ?1 AND touched > ?2 ORDER BY position")?;
    let bodies = read.query_map(params![arn, seen], |row| row.get::<_, String>(0))?;
    bodies.map(|body| from_json(&body?)).collect()
}

/// Operations that time changes by `now`, with the executions they belong to.
pub(crate) fn due(tx: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Vec<(String, Operation)>> {
    let mut read =
        tx.prepare_cached("SELECT arn, body FROM durable_operations WHERE due <= ?1 ORDER BY due LIMIT 1000")?;
    let rows = read.query_map([now.as_millisecond()], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| row.and_then(|(arn, body)| Ok((arn, from_json(&body)?)))).collect()
}

/// Running executions whose function has to be invoked by `now`, oldest debt first.
pub(crate) fn owed(tx: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    arns(tx, "SELECT arn FROM durable_executions WHERE running AND owed_at <= ?1 ORDER BY owed_at", now)
}

/// Running executions whose time is over by `now`.
pub(crate) fn timed_out(tx: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    arns(tx, "SELECT arn FROM durable_executions WHERE running AND times_out_at <= ?1", now)
}

fn arns(tx: &Transaction<'_>, sql: &str, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    let mut read = tx.prepare_cached(sql)?;
    read.query_map([now.as_millisecond()], |row| row.get(0))?.collect()
}

/// The next time after `now` at which time alone changes something.
pub(crate) fn next_change(tx: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let mut read = tx.prepare_cached(
        "SELECT min(at) FROM (
            SELECT min(due) AS at FROM durable_operations WHERE due > ?1
            UNION ALL SELECT min(owed_at) FROM durable_executions WHERE running AND owed_at > ?1
            UNION ALL SELECT min(times_out_at) FROM durable_executions WHERE running AND times_out_at > ?1)",
    )?;
    let millis: Option<i64> = read.query_row([now.as_millisecond()], |row| row.get(0))?;
    Ok(millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()))
}

/// Takes the timers off an execution that has ended.
pub(crate) fn forget_timers(tx: &Transaction<'_>, arn: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE durable_operations SET due = NULL WHERE arn = ?1 AND due IS NOT NULL")?.execute([arn])?;
    Ok(())
}
