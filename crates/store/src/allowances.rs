//! Per-caller limits: places for held requests, and counters of requests. Both are items of the table of executions.
//!
//! **Invariant**: no such item can be mistaken for an execution. Its key is not a valid execution id, and it is in no index, so no
//! poll, list or sweep finds it. Each has the table's TTL attribute, and is ignored once it has expired, deleted or not.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, ReturnValue},
};
use domain::Owner;
use jiff::Timestamp;

use aws::{CallFailed, Connection};

use contract::{
    allowances::{self, COUNT, HOLDER, UNTIL},
    schema::{EXPIRES, KEY},
};

/// The allowances of callers.
#[derive(Debug, Clone)]
pub struct Allowances {
    client: Client,
    table: String,
}

/// One of an owner's places, and the request that takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The owner.
    pub owner: Owner,
    /// The number of the place among the owner's.
    pub number: u32,
    /// A unique name of the request that takes it.
    pub holder: String,
}

impl Place {
    fn key(&self) -> AttributeValue {
        AttributeValue::S(allowances::place_key(&self.owner, self.number))
    }
}

impl Allowances {
    /// The allowances in the table with that name.
    #[must_use]
    pub fn new(connection: &Connection, table: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), table: table.into() }
    }

    /// Takes a place, if it is free, until a time at which the lease expires. Returns whether the place was free. Idempotent.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call. The place may have been taken anyway.
    pub async fn take(&self, place: &Place, until: Timestamp, now: Timestamp) -> Result<bool, CallFailed> {
        // If the holder is already this one, the reply to our own write was lost, and the SDK wrote again.
        let free = "attribute_not_exists(#key) OR #until <= :now OR #holder = :holder";
        self.put(place, until, free, Some(now)).await
    }

    /// Gives a place back, unless another request has taken it in the meantime.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn give_back(&self, place: &Place, now: Timestamp) -> Result<(), CallFailed> {
        // A write, since the API is not allowed to delete items.
        self.put(place, now, "#holder = :holder", None).await.map(|_| ())
    }

    async fn put(
        &self,
        place: &Place,
        until: Timestamp,
        condition: &str,
        now: Option<Timestamp>,
    ) -> Result<bool, CallFailed> {
        let number = |number: i64| AttributeValue::N(number.to_string());
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(KEY, place.key())
            .item(UNTIL, number(until.as_millisecond()))
            .item(HOLDER, AttributeValue::S(place.holder.clone()))
            .item(EXPIRES, number(until.as_second() + 1))
            .condition_expression(condition)
            .expression_attribute_names("#holder", HOLDER)
            .expression_attribute_values(":holder", AttributeValue::S(place.holder.clone()));
        let put = match now {
            Some(now) => put
                .expression_attribute_names("#key", KEY)
                .expression_attribute_names("#until", UNTIL)
                .expression_attribute_values(":now", number(now.as_millisecond())),
            None => put,
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
                Ok(false)
            }
            Err(error) => Err(CallFailed::new("dynamodb:PutItem", error)),
        }
    }

    /// Counts one of an owner's requests in the window that ends at `until`, if fewer than `most` were counted in it. Returns their
    /// number, including this one; `None` if there are too many. Not idempotent: a repeat counts again.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call. The request may have been counted anyway.
    pub async fn count(
        &self,
        owner: &Owner,
        what: &str,
        until: Timestamp,
        most: u32,
    ) -> Result<Option<u32>, CallFailed> {
        let second = until.as_second();
        let number = |number: i64| AttributeValue::N(number.to_string());
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, AttributeValue::S(allowances::count_key(owner, what, second)))
            .update_expression("SET #expires = :expires ADD #count :one")
            .condition_expression("attribute_not_exists(#count) OR #count < :most")
            .set_expression_attribute_names(Some(HashMap::from(
                [("#expires", EXPIRES), ("#count", COUNT)].map(|(name, of)| (name.to_owned(), of.to_owned())),
            )))
            .expression_attribute_values(":expires", number(second + 1))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(i64::from(most)))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await;
        match counted {
            Ok(answer) => {
                let attributes = answer.attributes.unwrap_or_default();
                let count = attributes.get(COUNT).and_then(|count| count.as_n().ok()?.parse().ok());
                Ok(Some(count.unwrap_or(most)))
            }
            Err(error)
                if error.as_service_error().is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(CallFailed::new("dynamodb:UpdateItem", error)),
        }
    }
}
