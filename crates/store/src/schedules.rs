//! Schedules, in the table of executions.
//!
//! **Invariant**: as for executions, every change is one write of the next state, on the condition that the item still has the version that
//! was read.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use contract::{
    item::VERSION,
    schedule::{DELETED, GENERATION, ListedSchedule, ScheduleItem, ScheduleKey, Unreadable, owner_shard},
    schema::{BY_OWNER, EXPIRES, KEY},
};
use domain::{Owner, schedule::Schedule};
use jiff::Timestamp;

use aws::{CallFailed, Connection};

/// How long a deleted schedule's item is kept before `DynamoDB` deletes it, in seconds: so long that no write that began before can arrive
/// after it.
const KEPT_DELETED: i64 = 3_600;

/// The schedules of all owners.
#[derive(Debug, Clone)]
pub struct Schedules {
    client: Client,
    table: String,
}

/// What a conditional write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// It was written.
    Done,
    /// The schedule has changed since it was read: this is what it is now; `None` if there is none.
    Changed(Option<Box<Schedule>>),
}

impl Schedules {
    /// The schedules in the table with that name.
    #[must_use]
    pub fn new(connection: &Connection, table: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), table: table.into() }
    }

    /// A schedule, in a strongly consistent read. `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn get(&self, key: &ScheduleKey) -> Result<Option<Schedule>, CallFailed> {
        const CALL: &str = "dynamodb:GetItem";
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.key(KEY, AttributeValue::S(key.text())).send().await;
        match answer.map_err(|error| CallFailed::new(CALL, error))?.item {
            Some(attributes) => read(CALL, attributes),
            None => Ok(None),
        }
    }

    /// Stores a new schedule, if its owner has none with this name. Idempotent: a repeat finds the schedule that it stored.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call. It may have been stored anyway.
    pub async fn create(&self, schedule: &Schedule) -> Result<Stored, CallFailed> {
        let put = self
            .put(schedule)?
            .condition_expression("attribute_not_exists(#key) OR attribute_exists(#deleted)")
            .expression_attribute_names("#key", KEY)
            .expression_attribute_names("#deleted", DELETED);
        stored(put.send().await, schedule)
    }

    /// Stores the next state of a schedule, on the condition that it still is as it was when `next` was computed from it.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call. It may have been stored anyway.
    pub async fn replace(&self, next: &Schedule) -> Result<Stored, CallFailed> {
        stored(condition(self.put(next)?, next.version - 1, &next.generation).send().await, next)
    }

    /// Deletes a schedule, on the condition that it still is as it was read. What remains is in no index, and expires. It is written, not
    /// deleted, so that a write that was begun before fails on its version.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call. It may have been deleted anyway.
    pub async fn delete(&self, seen: &Schedule, now: Timestamp) -> Result<Stored, CallFailed> {
        let key = ScheduleKey { owner: seen.owner.clone(), name: seen.name.clone() };
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, AttributeValue::S(key.text()))
            .item(DELETED, AttributeValue::Bool(true))
            .item(VERSION, AttributeValue::N((seen.version + 1).to_string()))
            .item(EXPIRES, AttributeValue::N((now.as_second() + KEPT_DELETED).to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match condition(put, seen.version, &seen.generation).send().await {
            Ok(_) => Ok(Stored::Done),
            Err(error) => changed(error),
        }
    }

    /// All schedules of an owner, by name, each with the name of its job and without its request. The index is a moment behind the table.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn list(&self, owner: &Owner) -> Result<Vec<(String, Schedule)>, CallFailed> {
        const CALL: &str = "dynamodb:Query";
        let query = self.client.query().table_name(&self.table).index_name(BY_OWNER.name);
        let mut query = query
            .key_condition_expression("#shard = :shard")
            .expression_attribute_names("#shard", BY_OWNER.hash)
            .expression_attribute_values(":shard", AttributeValue::S(owner_shard(owner)));
        let mut found = Vec::new();
        // A schedule has about 1 KB in the index, and a page 1 MB.
        loop {
            let answer = query.clone().send().await.map_err(|error| CallFailed::new(CALL, error))?;
            for attributes in answer.items.unwrap_or_default() {
                let listed: ListedSchedule =
                    serde_dynamo::from_item(attributes).map_err(|why| CallFailed::rejected(CALL, why))?;
                let job = listed.job().to_owned();
                // A list leaves out what only a newer version can read, so that it does not hide all others.
                found.extend(listed.into_schedule().ok().map(|schedule| (job, schedule)));
            }
            match answer.last_evaluated_key {
                Some(key) => query = query.set_exclusive_start_key(Some(key)),
                None => return Ok(found),
            }
        }
    }

    fn put(
        &self,
        schedule: &Schedule,
    ) -> Result<aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder, CallFailed> {
        let attributes: HashMap<String, AttributeValue> = serde_dynamo::to_item(ScheduleItem::of(schedule))
            .map_err(|why| CallFailed::rejected("dynamodb:PutItem", why))?;
        let put = self.client.put_item().table_name(&self.table).set_item(Some(attributes));
        Ok(put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld))
    }
}

fn condition(
    put: aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder,
    version: u64,
    generation: &str,
) -> aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder {
    // A schedule that was deleted and defined again has the same key, and may have the same version.
    put.condition_expression("#version = :seen AND #generation = :generation")
        .expression_attribute_names("#generation", GENERATION)
        .expression_attribute_values(":generation", AttributeValue::S(generation.to_owned()))
        .expression_attribute_names("#version", VERSION)
        .expression_attribute_values(":seen", AttributeValue::N(version.to_string()))
}

type Put<T> = Result<T, aws_sdk_dynamodb::error::SdkError<PutItemError>>;

fn stored<T>(put: Put<T>, written: &Schedule) -> Result<Stored, CallFailed> {
    match put {
        Ok(_) => Ok(Stored::Done),
        Err(error) => match changed(error)? {
            // The reply to our own write was lost, and the SDK wrote again.
            Stored::Changed(Some(now)) if *now == *written => Ok(Stored::Done),
            changed => Ok(changed),
        },
    }
}

fn changed(error: aws_sdk_dynamodb::error::SdkError<PutItemError>) -> Result<Stored, CallFailed> {
    const CALL: &str = "dynamodb:PutItem";
    match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(failed)) => match failed.item.clone() {
            Some(attributes) => Ok(Stored::Changed(read(CALL, attributes)?.map(Box::new))),
            None => Ok(Stored::Changed(None)),
        },
        _ => Err(CallFailed::new(CALL, error)),
    }
}

fn read(call: &'static str, attributes: HashMap<String, AttributeValue>) -> Result<Option<Schedule>, CallFailed> {
    if attributes.contains_key(DELETED) {
        return Ok(None);
    }
    let item: ScheduleItem = serde_dynamo::from_item(attributes).map_err(|why| CallFailed::rejected(call, why))?;
    let read = item.into_schedule().map_err(|why| match why {
        Unreadable::Damaged { .. } => CallFailed::rejected(call, why),
        Unreadable::Newer(_) => CallFailed::not_yet(call, why),
    });
    read.map(Some)
}
