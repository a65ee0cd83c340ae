//! Task definitions, tasks and client tokens in `SQLite`.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde_json::Value;

use super::{shapes::Definition, task::Task};
use crate::wire::AwsError;

/// The tables. A task is a document, with additional columns that tasks are looked up by.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS ecs_definitions (
    family TEXT NOT NULL,
    revision INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (family, revision)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ecs_tasks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    family TEXT NOT NULL,
    started_by TEXT,
    to_end INTEGER NOT NULL,
    stopped_ms INTEGER,
    document TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS ecs_tasks_to_end ON ecs_tasks (to_end);
CREATE INDEX IF NOT EXISTS ecs_tasks_unstopped ON ecs_tasks (number) WHERE stopped_ms IS NULL;
CREATE INDEX IF NOT EXISTS ecs_tasks_stopped ON ecs_tasks (stopped_ms) WHERE stopped_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS ecs_client_tokens (
    token TEXT PRIMARY KEY,
    used_ms INTEGER NOT NULL,
    request TEXT NOT NULL,
    task_ids TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ecs_client_tokens_used ON ecs_client_tokens (used_ms);
";

/// How long a stopped task is shown: "at least one hour"
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>).
const SHOWN_STOPPED: SignedDuration = SignedDuration::from_hours(1);

/// How long a client token is known
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>).
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Writes the next revision of a family: the document that `document` creates for its number.
pub(super) fn add_definition(
    tx: &Transaction<'_>,
    family: &str,
    document: impl FnOnce(i64) -> Definition,
) -> Result<Definition, AwsError> {
    let sql = "SELECT coalesce(max(revision), 0) + 1 FROM ecs_definitions WHERE family = ?1";
    let revision: i64 = tx.query_row(sql, [family], |row| row.get(0))?;
    let document = document(revision);
    let sql = "INSERT INTO ecs_definitions (family, revision, document) VALUES (?1, ?2, ?3)";
    tx.execute(sql, params![family, revision, encoded(&document)?])?;
    Ok(document)
}

/// A revision of a family, the newest active one if none is named.
pub(super) fn definition(
    tx: &Transaction<'_>,
    family: &str,
    revision: Option<i64>,
) -> Result<Option<Definition>, AwsError> {
    let sql = "SELECT document FROM ecs_definitions
               WHERE family = ?1 AND iif(?2 IS NULL, document ->> '$.taskDefinition.status' = 'ACTIVE', revision = ?2)
               ORDER BY revision DESC LIMIT 1";
    let found = tx.query_row(sql, params![family, revision], |row| row.get::<_, String>(0));
    found.optional()?.map(|document| decoded(&document)).transpose()
}

/// All revisions in a status: family and number, sorted.
pub(super) fn definitions(tx: &Transaction<'_>, status: &str) -> Result<Vec<(String, i64)>, AwsError> {
    let sql = "SELECT family, revision FROM ecs_definitions WHERE document ->> '$.taskDefinition.status' = ?1
               ORDER BY family, revision";
    let mut all = tx.prepare_cached(sql)?;
    let rows = all.query_map([status], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Writes a revision of a family again.
pub(super) fn replace_definition(
    tx: &Transaction<'_>,
    family: &str,
    revision: i64,
    document: &Definition,
) -> Result<(), AwsError> {
    let sql = "UPDATE ecs_definitions SET document = ?3 WHERE family = ?1 AND revision = ?2";
    tx.execute(sql, params![family, revision, encoded(document)?])?;
    Ok(())
}

/// Writes a new task.
pub(super) fn add(tx: &Transaction<'_>, task: &Task) -> Result<(), AwsError> {
    let sql =
        "INSERT INTO ecs_tasks (id, family, started_by, to_end, stopped_ms, document) VALUES (?1, ?2, ?3, 0, NULL, ?4)";
    tx.execute(sql, params![task.id, task.family, task.started_by, encoded(task)?])?;
    Ok(())
}

/// Writes the next state of a task.
pub(super) fn replace(tx: &Transaction<'_>, task: &Task) -> Result<(), AwsError> {
    let stopped_ms = task.stopped_at.map(Timestamp::as_millisecond);
    let sql = "UPDATE ecs_tasks SET to_end = ?2, stopped_ms = ?3, document = ?4 WHERE id = ?1";
    tx.execute(sql, params![task.id, task.ending.is_some(), stopped_ms, encoded(task)?])?;
    Ok(())
}

/// A task, if it exists; stopped tasks are deleted some time after [`SHOWN_STOPPED`].
pub(super) fn task(tx: &Transaction<'_>, id: &str) -> Result<Option<Task>, AwsError> {
    let mut found = tx.prepare_cached("SELECT document FROM ecs_tasks WHERE id = ?1")?;
    let document: Option<String> = found.query_row([id], |row| row.get(0)).optional()?;
    document.map(|document| decoded(&document)).transpose()
}

/// The tasks that are not stopped.
pub(super) fn unstopped(tx: &Transaction<'_>) -> Result<Vec<Task>, AwsError> {
    let mut all = tx.prepare_cached("SELECT document FROM ecs_tasks WHERE stopped_ms IS NULL ORDER BY number")?;
    let rows = all.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|document| decoded(&document?)).collect()
}

/// Which tasks to list.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) to_end: bool,
    pub(super) family: Option<&'a str>,
    pub(super) started_by: Option<&'a str>,
    /// The number of the last task on the previous page.
    pub(super) after: i64,
    pub(super) limit: usize,
}

/// Numbers and ids of tasks, in the order in which they were created.
pub(super) fn list(tx: &Transaction<'_>, wanted: &Wanted<'_>) -> Result<Vec<(i64, String)>, AwsError> {
    let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX);
    let mut found = tx.prepare_cached(
        "SELECT number, id FROM ecs_tasks WHERE number > ?1 AND to_end = ?2
         AND (?3 IS NULL OR family = ?3) AND (?4 IS NULL OR started_by = ?4) ORDER BY number LIMIT ?5",
    )?;
    let by = params![wanted.after, wanted.to_end, wanted.family, wanted.started_by, limit];
    let rows = found.query_map(by, |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes tasks and client tokens that have expired.
pub(super) fn prune(tx: &Transaction<'_>, now: Timestamp) -> Result<(), AwsError> {
    let ms_before = |life: SignedDuration| Ok::<_, AwsError>(now.checked_sub(life).map_err(internal)?.as_millisecond());
    tx.execute("DELETE FROM ecs_tasks WHERE stopped_ms < ?1", [ms_before(SHOWN_STOPPED)?])?;
    tx.execute("DELETE FROM ecs_client_tokens WHERE used_ms < ?1", [ms_before(TOKEN_LIFE)?])?;
    Ok(())
}

/// What a client token was used for: the request, and the ids of the tasks that it started.
pub(super) fn token(tx: &Transaction<'_>, token: &str) -> Result<Option<(Value, Vec<String>)>, AwsError> {
    let sql = "SELECT request, task_ids FROM ecs_client_tokens WHERE token = ?1";
    let found = tx.query_row(sql, [token], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    found.optional()?.map(|(request, ids)| Ok((decoded(&request)?, decoded(&ids)?))).transpose()
}

/// Remembers what a client token is used for.
pub(super) fn use_token(
    tx: &Transaction<'_>,
    token: &str,
    request: &Value,
    ids: &[&str],
    now: Timestamp,
) -> Result<(), AwsError> {
    let sql = "INSERT OR REPLACE INTO ecs_client_tokens (token, used_ms, request, task_ids) VALUES (?1, ?2, ?3, ?4)";
    tx.execute(sql, params![token, now.as_millisecond(), request.to_string(), encoded(&ids)?])?;
    Ok(())
}

fn encoded(value: &impl serde::Serialize) -> Result<String, AwsError> {
    serde_json::to_string(value).map_err(internal)
}

fn decoded<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, AwsError> {
    serde_json::from_str(text).map_err(internal)
}

fn internal(why: impl std::fmt::Display) -> AwsError {
    AwsError::internal(why.to_string())
}
