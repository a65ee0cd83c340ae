//! The form of events, and of the batches in which a queue's function receives them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::IgnoredAny};
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
    /// If its detail cannot be written, in the type of the transactions in which events are sent.
    pub(super) fn value(&self) -> rusqlite::Result<Value> {
        serde_json::to_value(self).map_err(|why| rusqlite::Error::ToSqlConversionFailure(Box::new(why)))
    }
}

/// What the function of a queue receives (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SqsEvent<'a> {
    pub(super) records: Vec<SqsMessage<'a>>,
}

/// A message of a queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SqsMessage<'a> {
    pub(super) message_id: String,
    pub(super) body: &'a str,
    pub(super) event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    pub(super) event_source_arn: &'a str,
    pub(super) aws_region: &'static str,
}

/// The response of a queue's function. One that reports no failures may have any form
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum QueueResponse {
    Reports(SqsBatchResponse),
    Other(IgnoredAny),
}

/// A response that reports failures.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SqsBatchResponse {
    pub(super) batch_item_failures: Option<Vec<BatchItemFailure>>,
}

/// A message that the function did not process.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct BatchItemFailure {
    pub(super) item_identifier: Option<String>,
}
