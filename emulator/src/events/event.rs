//! The form of events.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::identity::{ACCOUNT, REGION};

/// An event as EventBridge delivers it
/// (<https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Event<'a, D> {
    version: &'static str,
    pub(super) id: Uuid,
    pub(super) detail_type: &'a str,
    source: &'a str,
    account: &'static str,
    time: Timestamp,
    region: &'static str,
    resources: Vec<&'a str>,
    detail: D,
}

impl<'a, D: Serialize> Event<'a, D> {
    /// A new event, whose time has no fraction of a second.
    pub(super) fn new(
        at: Timestamp,
        source: &'a str,
        detail_type: &'a str,
        resources: Vec<&'a str>,
        detail: D,
    ) -> Self {
        Self {
            version: "0",
            id: Uuid::new_v4(),
            detail_type,
            source,
            account: ACCOUNT,
            time: Timestamp::from_second(at.as_second()).unwrap_or(at),
            region: REGION,
            resources,
            detail,
        }
    }

    /// The event as JSON, for patterns and input paths, which may name any part of it.
    ///
    /// # Errors
    ///
    /// The detail cannot be written as JSON. The error has the type of a transaction's errors, because events are sent in transactions.
    pub(super) fn value(&self) -> rusqlite::Result<Value> {
        serde_json::to_value(self).map_err(|why| rusqlite::Error::ToSqlConversionFailure(Box::new(why)))
    }
}
