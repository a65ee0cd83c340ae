//! Durable executions on disk.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{
    operation::{ErrorObject, Operation},
    wire::CheckpointDurableExecutionResponse,
};
use crate::lambda::json;

/// The status of a durable execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ExecutionStatus {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Stopped,
}

/// A durable execution, without its operations.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Execution {
    pub(crate) arn: String,
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) name: String,
    /// Kept in a separate column, because it never changes and can be a megabyte.
    #[serde(skip)]
    pub(crate) input: String,
    pub(crate) status: ExecutionStatus,
    pub(crate) result: Option<String>,
    pub(crate) error: Option<ErrorObject>,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) times_out_at: Timestamp,
    /// Counts the checkpoint tokens: only the newest is valid.
    pub(crate) token: u64,
    /// Counts the changes of its operations.
    pub(crate) touched: u64,
    /// The number of the newest change that its function has seen.
    pub(crate) seen: u64,
    /// Whether anything other than its function changed it since its newest invocation began. The function may have suspended although the
    /// response to a checkpoint contained that change: once AWS's SDK for Rust has created a callback, it looks for the result only in the
    /// next invocation.
    #[serde(default)]
    pub(crate) stirred: bool,
    /// Failed invocations since the last successful one.
    pub(crate) failures: u32,
    /// When its function has to be invoked next; it is owed until that invocation has ended.
    pub(crate) owed_at: Option<Timestamp>,
    /// The last checkpoint and its response. If it is sent again, it gets the same response, and is not applied again.
    pub(crate) last_checkpoint: Option<Answered>,
    /// Events of its history so far.
    #[serde(default)]
    pub(crate) events: u64,
    /// Operations so far, as AWS counts and charges them.
    #[serde(default)]
    pub(crate) operations: u64,
    /// Operations that have a place in its order; `None` in data of older versions.
    #[serde(default)]
    pub(crate) positions: Option<u64>,
    /// Bytes written so far.
    #[serde(default)]
    pub(crate) written: u64,
    /// How long it is kept after its end; forever in data of older versions.
    #[serde(default)]
    pub(crate) retention_days: Option<u16>,
    /// The chained invoke that it was started for.
    #[serde(default)]
    pub(crate) parent: Option<Parent>,
    /// The trace that it was started in.
    #[serde(default)]
    pub(crate) trace: Option<String>,
}

impl Execution {
    /// The id that is the last part of its ARN.
    pub(crate) fn id(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// The ARN of its function, with the version that it stays on.
    pub(crate) fn function_arn(&self) -> &str {
        self.arn.split("/durable-execution/").next().unwrap_or_default()
    }
}

/// A chained invoke: the durable execution that it belongs to, and its operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parent {
    pub(crate) arn: String,
    pub(crate) operation: String,
}

/// A checkpoint that was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answered {
    pub(crate) client_token: String,
    pub(crate) checkpoint_token: String,
    pub(crate) answer: CheckpointDurableExecutionResponse,
}

/// Writes a new execution, or the next state of an existing one.
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
        json::write(execution)?,
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
    let execution: Execution = json::read(&row.get::<_, String>(1)?)?;
    Ok(Execution { input: row.get(0)?, ..execution })
}

/// Writes a new operation, or the next state of an existing one, and counts it as a change that the function has not seen.
pub(crate) fn put(
    tx: &Transaction<'_>,
    execution: &mut Execution,
    operation: &Operation,
    new: bool,
) -> rusqlite::Result<()> {
    execution.touched += 1;
    let due = operation.due.map(Timestamp::as_millisecond);
    let body = json::write(operation)?;
    if !new {
        let sql = "UPDATE durable_operations SET due = ?3, touched = ?4, body = ?5 WHERE arn = ?1 AND id = ?2";
        tx.prepare_cached(sql)?.execute(params![execution.arn, operation.id, due, execution.touched, body])?;
        return Ok(());
    }
    let position = match execution.positions {
        Some(positions) => positions,
        None => tx
            .prepare_cached("SELECT count(*) FROM durable_operations WHERE arn = ?1")?
            .query_row([&execution.arn], |row| row.get(0))?,
    };
    execution.positions = Some(position + 1);
    let mut write = tx.prepare_cached(
        "INSERT INTO durable_operations (arn, position, id, due, touched, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    write.execute(params![execution.arn, position, operation.id, due, execution.touched, body])?;
    Ok(())
}

/// One operation.
pub(crate) fn operation(tx: &Transaction<'_>, arn: &str, id: &str) -> rusqlite::Result<Option<Operation>> {
    let mut read = tx.prepare_cached("SELECT body FROM durable_operations WHERE arn = ?1 AND id = ?2")?;
    let body: Option<String> = read.query_row([arn, id], |row| row.get(0)).optional()?;
    body.as_deref().map(json::read).transpose()
}

/// The operations that changed after change `seen`, in the order in which they began; all of them for 0.
pub(crate) fn operations_since(tx: &Transaction<'_>, arn: &str, seen: u64) -> rusqlite::Result<Vec<Operation>> {
    let mut read =
        tx.prepare_cached("SELECT body FROM durable_operations WHERE arn = ?1 AND touched > ?2 ORDER BY position")?;
    let bodies = read.query_map(params![arn, seen], |row| row.get::<_, String>(0))?;
    bodies.map(|body| json::read(&body?)).collect()
}

/// How many due operations are processed at a time.
pub(crate) const DUE_AT_A_TIME: usize = 1_000;

/// Operations that time changes by `now`, with the executions they belong to; the oldest, if there are very many.
pub(crate) fn due(tx: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<Vec<(String, Operation)>> {
    let mut read =
        tx.prepare_cached("SELECT arn, body FROM durable_operations WHERE due <= ?1 ORDER BY due LIMIT ?2")?;
    let rows = read
        .query_map(params![now.as_millisecond(), DUE_AT_A_TIME], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| row.and_then(|(arn, body)| Ok((arn, json::read(&body)?)))).collect()
}

/// How many executions of one function are processed at a time. The others wait on disk, not in memory.
const OWED_AT_A_TIME: usize = 64;

/// Running executions whose function has to be invoked by `now`, those owed longest first, except those that are already being
/// processed. A slow function does not delay others.
pub(crate) fn owed(tx: &Transaction<'_>, taken: &HashSet<String>, now: Timestamp) -> rusqlite::Result<Vec<String>> {
    let mut functions =
        tx.prepare_cached("SELECT min(function) FROM durable_executions WHERE running AND function > ?1")?;
    let mut read = tx.prepare_cached(
        "SELECT arn FROM durable_executions WHERE running AND function = ?1 AND owed_at <= ?2 ORDER BY owed_at LIMIT ?3",
    )?;
    let (mut owed, mut function) = (Vec::new(), String::new());
    // For each function, more than the maximum is read, because executions that are already being processed may come first.
    let most = OWED_AT_A_TIME as u64;
    while let Some(next) = functions.query_row([&function], |row| row.get::<_, Option<String>>(0))? {
        let arns = read.query_map(params![next, now.as_millisecond(), 2 * most], |row| row.get(0))?;
        let arns = arns.collect::<rusqlite::Result<Vec<String>>>()?;
        let running = arns.iter().filter(|arn| taken.contains(*arn)).count();
        let new = arns.into_iter().filter(|arn| !taken.contains(arn));
        owed.extend(new.take(OWED_AT_A_TIME.saturating_sub(running)));
        function = next;
    }
    Ok(owed)
}

/// Running executions that have timed out by `now`.
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
            UNION ALL SELECT min(times_out_at) FROM durable_executions WHERE running AND times_out_at > ?1
            UNION ALL SELECT min(until) FROM durable_retention WHERE until > ?1)",
    )?;
    let millis: Option<i64> = read.query_row([now.as_millisecond()], |row| row.get(0))?;
    Ok(millis.and_then(|millis| Timestamp::from_millisecond(millis).ok()))
}

/// Removes the timers of an execution that has ended.
pub(crate) fn forget_timers(tx: &Transaction<'_>, arn: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE durable_operations SET due = NULL WHERE arn = ?1 AND due IS NOT NULL")?.execute([arn])?;
    Ok(())
}

/// Records until when an execution that has ended is kept.
pub(crate) fn keep_until(tx: &Transaction<'_>, arn: &str, until: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO durable_retention (arn, until) VALUES (?1, ?2)";
    tx.prepare_cached(sql)?.execute(params![arn, until.as_millisecond()])?;
    Ok(())
}

/// Deletes the executions whose retention has passed at `now`, with everything that belongs to them.
pub(crate) fn forget(tx: &Transaction<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let over = arns(tx, "SELECT arn FROM durable_retention WHERE until <= ?1 LIMIT 100", now)?;
    for arn in over {
        for sql in [
            "DELETE FROM durable_operations WHERE arn = ?1",
            "DELETE FROM durable_events WHERE arn = ?1",
            "DELETE FROM durable_executions WHERE arn = ?1",
            "DELETE FROM durable_retention WHERE arn = ?1",
        ] {
            tx.prepare_cached(sql)?.execute([&arn])?;
        }
    }
    Ok(())
}

/// Walks over the executions of a function after row `from`, the oldest or the newest first, until `visit` says `false`.
pub(crate) fn walk(
    tx: &Transaction<'_>,
    function: &str,
    from: Option<i64>,
    newest_first: bool,
    mut visit: impl FnMut(i64, Execution) -> bool,
) -> rusqlite::Result<()> {
    let (sql, start) = if newest_first {
        (
            "SELECT '', body, rowid FROM durable_executions WHERE function = ?1 AND rowid < ?2 ORDER BY rowid DESC",
            i64::MAX,
        )
    } else {
        ("SELECT '', body, rowid FROM durable_executions WHERE function = ?1 AND rowid > ?2 ORDER BY rowid", 0)
    };
    let mut read = tx.prepare_cached(sql)?;
    let mut rows = read.query(params![function, from.unwrap_or(start)])?;
    while let Some(row) = rows.next()? {
        if !visit(row.get(2)?, execution(row)?) {
            break;
        }
    }
    Ok(())
}

/// Writes an operation of which only the timers changed. It does not count as a change, because the function does not need to see it.
pub(crate) fn postpone(tx: &Transaction<'_>, arn: &str, operation: &Operation) -> rusqlite::Result<()> {
    let sql = "UPDATE durable_operations SET due = ?3, body = ?4 WHERE arn = ?1 AND id = ?2";
    let due = operation.due.map(Timestamp::as_millisecond);
    tx.prepare_cached(sql)?.execute(params![arn, operation.id, due, json::write(operation)?])?;
    Ok(())
}

/// Operations of one execution that time changes by `now`.
pub(crate) fn due_of(tx: &Transaction<'_>, arn: &str, now: Timestamp) -> rusqlite::Result<Vec<Operation>> {
    let sql = "SELECT body FROM durable_operations INDEXED BY durable_operations_due WHERE due <= ?2 AND arn = ?1 ORDER BY due";
    let mut read = tx.prepare_cached(sql)?;
    let bodies = read.query_map(params![arn, now.as_millisecond()], |row| row.get::<_, String>(0))?;
    bodies.map(|body| json::read(&body?)).collect()
}
