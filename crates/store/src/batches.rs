//! Batches: what is remembered of a request that starts many executions. They are items of the table of executions.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    operation::put_item::{PutItemError, builders::PutItemFluentBuilder},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use domain::{Batch, BatchId};
use jiff::Timestamp;

use aws::{CallFailed, Connection};
use contract::{
    batch::{BatchItem, FINGERPRINT, key},
    schema::{EXPIRES, KEY},
};

const PUT: &str = "dynamodb:PutItem";

/// The batches of all callers.
#[derive(Debug, Clone)]
pub struct Batches {
    client: Client,
    table: String,
}

impl Batches {
    /// The batches in the table with that name.
    #[must_use]
    pub fn new(connection: &Connection, table: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), table: table.into() }
    }

    /// Stores a new batch. If there is one with this id that has not expired by `now`, nothing is changed and that one is returned; it may be the
    /// same one, if the reply to our own write was lost and the SDK wrote again.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call. The batch may have been stored anyway.
    pub async fn create(&self, batch: &Batch, now: Timestamp) -> Result<Option<Batch>, CallFailed> {
        let put = self
            .put(batch)?
            .condition_expression("attribute_not_exists(#key) OR #expires <= :now")
            .expression_attribute_names("#key", KEY)
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = put.send().await else { return Ok(None) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                let seen = failed
                    .item
                    .clone()
                    .ok_or_else(|| CallFailed::rejected(PUT, "a condition failed without its item"))?;
                read(PUT, seen).map(Some)
            }
            _ => Err(CallFailed::new(PUT, error)),
        }
    }

    /// Stores what has become of a batch, unless it has expired and a different request has taken its id. Idempotent.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn update(&self, batch: &Batch) -> Result<(), CallFailed> {
        let put = self
            .put(batch)?
            .condition_expression("#fingerprint = :fingerprint")
            .expression_attribute_names("#fingerprint", FINGERPRINT)
            .expression_attribute_values(":fingerprint", AttributeValue::S(batch.fingerprint.clone()));
        match put.send().await {
            Err(error)
                if !error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Err(CallFailed::new(PUT, error))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A batch, even if it has expired and was not deleted yet. One strongly consistent `GetItem`.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn get(&self, id: &BatchId) -> Result<Option<Batch>, CallFailed> {
        const CALL: &str = "dynamodb:GetItem";
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.key(KEY, AttributeValue::S(key(id))).send().await;
        let found = answer.map_err(|error| CallFailed::new(CALL, error))?.item;
        found.map(|attributes| read(CALL, attributes)).transpose()
    }

    fn put(&self, batch: &Batch) -> Result<PutItemFluentBuilder, CallFailed> {
        let attributes: HashMap<String, AttributeValue> =
            serde_dynamo::to_item(BatchItem::of(batch)).map_err(|why| CallFailed::rejected(PUT, why))?;
        Ok(self.client.put_item().table_name(&self.table).set_item(Some(attributes)))
    }
}

fn read(call: &'static str, attributes: HashMap<String, AttributeValue>) -> Result<Batch, CallFailed> {
    let item: BatchItem = serde_dynamo::from_item(attributes).map_err(|why| CallFailed::rejected(call, why))?;
    item.into_batch().ok_or_else(|| CallFailed::rejected(call, "the item of a batch is damaged"))
}
