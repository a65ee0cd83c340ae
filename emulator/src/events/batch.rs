//! The batches in which the function of a queue receives events, and the function's response. Both have the format of SQS.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::delivery::{Message, Queue};
use crate::{
    identity::REGION,
    wire::{self, AwsError},
};

/// What the function of a queue receives (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SqsEvent<'a> {
    records: Vec<SqsMessage<'a>>,
}

/// A message of a queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SqsMessage<'a> {
    message_id: String,
    body: &'a str,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'static str,
}

/// The response of a queue's function. A response that reports no failures may have any form
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>).
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum QueueResponse {
    Reports(SqsBatchResponse),
    Other(IgnoredAny),
}

/// A response that reports failures.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SqsBatchResponse {
    batch_item_failures: Option<Vec<BatchItemFailure>>,
}

/// A message that the function did not process.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BatchItemFailure {
    item_identifier: Option<String>,
}

/// The input of a queue's function.
pub(super) fn write(queue: &Queue, messages: &[Message]) -> Result<String, AwsError> {
    let records = messages.iter().map(|message| SqsMessage {
        message_id: message.id.to_string(),
        body: &message.body,
        event_source: "aws:sqs",
        event_source_arn: &queue.arn,
        aws_region: REGION,
    });
    wire::write(&SqsEvent { records: records.collect() })
}

/// The ids of the messages that must be delivered again, or why the response cannot be read.
pub(super) fn failures(response: &[u8]) -> Result<Vec<i64>, String> {
    if response.is_empty() {
        return Ok(Vec::new());
    }
    let failures = match serde_json::from_slice(response).map_err(|why| why.to_string())? {
        QueueResponse::Reports(reports) => reports.batch_item_failures.unwrap_or_default(),
        QueueResponse::Other(_) => Vec::new(),
    };
    Ok(failures.into_iter().filter_map(|failure| failure.item_identifier?.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_batch_has_the_form_of_sqs() {
        let queue = Queue { arn: "arn:aws:sqs:us-east-1:000000000000:q".into(), function: "f".into() };
        let message = Message { id: 7, target: queue.arn.clone(), tries: 0, body: "{}".into() };
        let batch: Value = serde_json::from_str(&write(&queue, &[message]).unwrap()).unwrap();
        let record = json!({
            "messageId": "7", "body": "{}", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q", "awsRegion": "us-east-1",
        });
        assert_eq!(batch, json!({ "Records": [record] }));
    }

    #[test]
    fn messages_that_the_function_reports_are_delivered_again() {
        for (response, again) in [
            (r#"{"batchItemFailures":[{"itemIdentifier":"7"},{"itemIdentifier":null},{}]}"#, vec![7]),
            (r#"{"batchItemFailures":null}"#, vec![]),
            ("{}", vec![]),
            ("null", vec![]),
            ("", vec![]),
            (r#""done""#, vec![]),
        ] {
            assert_eq!(failures(response.as_bytes()), Ok(again), "{response}");
        }
        assert!(failures(b"{").is_err());
    }
}
