//! Log groups, streams and events in `SQLite`.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::position::Position;
use crate::wire::AwsError;

/// The tables. Events of the same millisecond are ordered by their number, which is their `id`. Events are read in two orders, each with an
/// index: those of one stream, and those of all streams together.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS log_groups (name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log_streams (
    id INTEGER PRIMARY KEY,
    group_name TEXT NOT NULL,
    name TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (group_name, name)
);
CREATE TABLE IF NOT EXISTS log_events (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    ingested_ms INTEGER NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS log_events_of_stream ON log_events (stream, at_ms);
CREATE INDEX IF NOT EXISTS log_events_in_order ON log_events (at_ms);
";

/// An event as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) position: Position,
    pub(super) ingested_ms: i64,
    pub(super) stream: i64,
    pub(super) message: String,
}

/// A stream as it is stored, with the times of its events.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) created_ms: i64,
    pub(super) first_ms: Option<i64>,
    pub(super) last_ms: Option<i64>,
    pub(super) ingested_ms: Option<i64>,
}

/// Which events to read: from `from` to `to`, both excluded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Position,
    pub(super) to: Position,
}

/// Creates a group. Returns whether it is new.
pub(super) fn create_group(tx: &Transaction<'_>, name: &str, now: Timestamp) -> Result<bool, AwsError> {
    let sql = "INSERT OR IGNORE INTO log_groups VALUES (?1, ?2)";
    Ok(tx.prepare_cached(sql)?.execute(params![name, now.as_millisecond()])? > 0)
}

/// Creates a stream in an existing group. Returns whether it is new.
pub(super) fn create_stream(tx: &Transaction<'_>, group: &str, name: &str, now: Timestamp) -> Result<bool, AwsError> {
    let sql = "INSERT OR IGNORE INTO log_streams (group_name, name, created_ms) VALUES (?1, ?2, ?3)";
    Ok(tx.prepare_cached(sql)?.execute(params![group, name, now.as_millisecond()])? > 0)
}

/// Refuses a group that does not exist.
pub(super) fn require_group(tx: &Transaction<'_>, name: &str) -> Result<(), AwsError> {
    let mut found = tx.prepare_cached("SELECT 1 FROM log_groups WHERE name = ?1")?;
    if found.exists([name])? { Ok(()) } else { Err(not_found("The specified log group does not exist.")) }
}

/// The number of a stream.
pub(super) fn stream(tx: &Transaction<'_>, group: &str, name: &str) -> Result<i64, AwsError> {
    require_group(tx, group)?;
    let mut found = tx.prepare_cached("SELECT id FROM log_streams WHERE group_name = ?1 AND name = ?2")?;
    let id = found.query_row([group, name], |row| row.get(0)).optional()?;
    id.ok_or_else(|| not_found("The specified log stream does not exist."))
}

/// Writes events, each a time in milliseconds and a message.
pub(super) fn insert<'a>(
    tx: &Transaction<'_>,
    stream: i64,
    events: impl Iterator<Item = (i64, &'a str)>,
    now: Timestamp,
) -> Result<(), AwsError> {
    let sql = "INSERT INTO log_events (stream, at_ms, ingested_ms, message) VALUES (?1, ?2, ?3, ?4)";
    let mut insert = tx.prepare_cached(sql)?;
    for (at_ms, message) in events {
        insert.execute(params![stream, at_ms, now.as_millisecond(), message])?;
    }
    Ok(())
}

/// Names of the groups, sorted, with the time of their creation.
pub(super) fn groups(tx: &Transaction<'_>) -> Result<Vec<(String, i64)>, AwsError> {
    let mut all = tx.prepare_cached("SELECT name, created_ms FROM log_groups ORDER BY name")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The streams of a group, by name.
pub(super) fn streams(tx: &Transaction<'_>, group: &str) -> Result<Vec<Stream>, AwsError> {
    require_group(tx, group)?;
    let mut all = tx.prepare_cached(
        "SELECT id, name, created_ms,
            (SELECT min(at_ms) FROM log_events WHERE stream = s.id),
            (SELECT max(at_ms) FROM log_events WHERE stream = s.id),
            (SELECT ingested_ms FROM log_events WHERE stream = s.id ORDER BY at_ms DESC, id DESC LIMIT 1)
        FROM log_streams s WHERE group_name = ?1 ORDER BY name",
    )?;
    let rows = all.query_map([group], |row| {
        Ok(Stream {
            id: row.get(0)?,
            name: row.get(1)?,
            created_ms: row.get(2)?,
            first_ms: row.get(3)?,
            last_ms: row.get(4)?,
            ingested_ms: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Walks over a stream's events until `visit` says `false`: the oldest first, or the newest first.
pub(super) fn walk_stream(
    tx: &Transaction<'_>,
    stream: i64,
    span: Span,
    newest_first: bool,
    visit: impl FnMut(Event) -> bool,
) -> Result<(), AwsError> {
    let sql = if newest_first {
        "SELECT at_ms, id, ingested_ms, stream, message FROM log_events
         WHERE stream = ?1 AND (at_ms, id) > (?2, ?3) AND (at_ms, id) < (?4, ?5) ORDER BY at_ms DESC, id DESC"
    } else {
        "SELECT at_ms, id, ingested_ms, stream, message FROM log_events
         WHERE stream = ?1 AND (at_ms, id) > (?2, ?3) AND (at_ms, id) < (?4, ?5) ORDER BY at_ms, id"
    };
    let mut events = tx.prepare_cached(sql)?;
    let rows = events.query(params![stream, span.from.at_ms, span.from.id, span.to.at_ms, span.to.id])?;
    walk(rows, visit)
}

/// Walks over all streams' events, the oldest first, until `visit` says `false`.
pub(super) fn walk_all(tx: &Transaction<'_>, span: Span, visit: impl FnMut(Event) -> bool) -> Result<(), AwsError> {
    let mut events = tx.prepare_cached(
        "SELECT at_ms, id, ingested_ms, stream, message FROM log_events INDEXED BY log_events_in_order
         WHERE (at_ms, id) > (?1, ?2) AND (at_ms, id) < (?3, ?4) ORDER BY at_ms, id",
    )?;
    let rows = events.query(params![span.from.at_ms, span.from.id, span.to.at_ms, span.to.id])?;
    walk(rows, visit)
}

fn walk(mut rows: rusqlite::Rows<'_>, mut visit: impl FnMut(Event) -> bool) -> Result<(), AwsError> {
    while let Some(row) = rows.next()? {
        if !visit(event(row)?) {
            break;
        }
    }
    Ok(())
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        position: Position { at_ms: row.get(0)?, id: row.get(1)? },
        ingested_ms: row.get(2)?,
        stream: row.get(3)?,
        message: row.get(4)?,
    })
}

fn not_found(what: &str) -> AwsError {
    AwsError::bad_request("ResourceNotFoundException", what)
}
