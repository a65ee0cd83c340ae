//! The history of a durable execution: an event for everything that happens to it, numbered in order.

use rusqlite::{Transaction, params};
use serde::Serialize;

use super::{
    Durable,
    event::{Event, Happened},
    load,
    operation::Operation,
    store::Execution,
};
use crate::{
    lambda::{arn, json, limits::marker},
    wire::AwsError,
};

/// The default number of events in one page.
const PAGE: i64 = 100;

/// The maximum number of events in one page.
const LARGEST_PAGE: i64 = 1_000;

/// `GetDurableExecutionHistory`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetDurableExecutionHistoryResponse {
    events: Vec<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

/// Appends an event, of an operation or of the execution as a whole. The execution has to be saved afterwards.
pub(crate) fn append(
    tx: &Transaction<'_>,
    execution: &mut Execution,
    of: Option<&Operation>,
    happened: Happened,
) -> rusqlite::Result<()> {
    execution.events += 1;
    let event = happened.numbered(execution.events, of, execution);
    let mut write = tx.prepare_cached("INSERT INTO durable_events (arn, id, body) VALUES (?1, ?2, ?3)")?;
    write.execute(params![execution.arn, execution.events, json::write(&event)?])?;
    Ok(())
}

/// Which page of a history is requested.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) with_data: bool,
    pub(crate) newest_first: bool,
    pub(crate) marker: Option<String>,
    pub(crate) max_items: Option<i64>,
}

impl Durable {
    /// `GetDurableExecutionHistory`.
    pub(crate) fn history(&self, arn: &str, wanted: &Wanted) -> Result<GetDurableExecutionHistoryResponse, AwsError> {
        arn::check_execution(arn)?;
        let from = marker(wanted.marker.as_deref())?;
        let page = wanted.max_items.filter(|items| *items > 0).unwrap_or(PAGE).min(LARGEST_PAGE);
        let mut events = self.0.db.transact(|tx| {
            load(tx, arn)?;
            Ok::<_, AwsError>(events(tx, arn, from, wanted.newest_first, page + 1)?)
        })?;
        let page = usize::try_from(page).unwrap_or(usize::MAX);
        let more = events.len() > page;
        events.truncate(page);
        let next_marker = events.last().filter(|_| more).map(|last| last.event_id.to_string());
        if !wanted.with_data {
            events = events.into_iter().map(Event::without_data).collect();
        }
        Ok(GetDurableExecutionHistoryResponse { events, next_marker })
    }
}

/// Events after number `from`, in the requested order.
fn events(
    tx: &Transaction<'_>,
    arn: &str,
    from: Option<i64>,
    newest_first: bool,
    most: i64,
) -> rusqlite::Result<Vec<Event>> {
    let (sql, start) = if newest_first {
        ("SELECT body FROM durable_events WHERE arn = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3", i64::MAX)
    } else {
        ("SELECT body FROM durable_events WHERE arn = ?1 AND id > ?2 ORDER BY id LIMIT ?3", 0)
    };
    let mut read = tx.prepare_cached(sql)?;
    let rows = read.query_map(params![arn, from.unwrap_or(start), most], |row| row.get::<_, String>(0))?;
    rows.map(|body| json::read(&body?)).collect()
}
