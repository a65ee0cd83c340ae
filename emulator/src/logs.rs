//! `CloudWatch` Logs: the output of tasks and functions, stored in `SQLite` and read with the real API.
//!
//! Known differences from AWS are listed in `FACTS`.

mod answers;
mod backlog;
mod describe;
mod filter;
mod lines;
mod position;
mod read;
mod request;
mod store;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use axum::{extract::Request, http::StatusCode};
use jiff::Timestamp;

use crate::{
    clock::Clock,
    db::Db,
    service::{self, Answer, Facts, Protocol, Service},
    wire::{self, AwsError},
};

#[cfg(test)]
pub(crate) use lines::MAX_EVENT_BYTES;
pub(crate) use store::SCHEMA;
pub(crate) use writer::LogWriter;

/// What the gateway and the faults need to know about this service.
pub(crate) static FACTS: Facts = Facts {
    name: "logs",
    title: "CloudWatch Logs",
    targets: &["Logs_20140328"],
    operations: OPERATIONS,
    throttling: (StatusCode::BAD_REQUEST, "ThrottlingException"),
    failure: "ServiceUnavailableException",
    content_type: "application/x-amz-json-1.1",
    protocol: Protocol::Json,
    differences: &[
        "Filter patterns are plain terms, all of which must occur; other patterns are refused \
         (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>).",
        "Events can be read as soon as they are written, in the order of their times; nothing expires, and sizes are not \
         counted (`storedBytes` is 0).",
        "`\\r` ends a line of a container's output, like `\\n`; on AWS it stays in the event.",
        "There are no retention settings, tags, keys, metric filters, subscriptions or queries, and no rate limits.",
    ],
};

/// The log groups of this machine. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    db: Db,
    clock: Clock,
}

impl Logs {
    /// Logs in a database that has [`SCHEMA`].
    #[must_use]
    pub(crate) fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock }
    }

    /// Writes lines to a stream. Creates the group and the stream if they do not exist, even if there are no lines.
    ///
    /// # Errors
    ///
    /// A 500 when the database failed.
    pub(crate) fn append(&self, group: &str, stream: &str, lines: &[(Timestamp, String)]) -> Result<(), AwsError> {
        let now = self.clock.now();
        self.db.transact(|tx| {
            store::create_group(tx, group, now)?;
            store::create_stream(tx, group, stream, now)?;
            let events = lines.iter().map(|(at, text)| (at.as_millisecond(), text.as_str()));
            store::insert(tx, store::stream(tx, group, stream)?, events, now)
        })
    }

    /// Answers a call of the API by the name that `x-amz-target` gives after `Logs_20140328.`.
    ///
    /// # Errors
    ///
    /// What AWS would answer to such a request, or a 500 when the database failed.
    pub(crate) fn call(&self, operation: &str, body: &[u8]) -> Result<String, AwsError> {
        self.dispatch(operation, body)
    }
}

impl Service for Logs {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn answer<'a>(&'a self, operation: &'a str, request: Request) -> Answer<'a> {
        Box::pin(async move {
            match service::body(request).await {
                Ok(body) => service::json(&FACTS, self.call(operation, &body)),
                Err(refused) => refused,
            }
        })
    }
}

wire::operations! {
    Logs as "Logs", AwsError:
    "CreateLogGroup" => create_log_group,
    "CreateLogStream" => create_log_stream,
    "DescribeLogGroups" => describe_log_groups,
    "DescribeLogStreams" => describe_log_streams,
    "FilterLogEvents" => filter_log_events,
    "GetLogEvents" => get_log_events,
    "PutLogEvents" => put_log_events,
}
