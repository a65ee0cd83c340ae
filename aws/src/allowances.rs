//! What each caller may use of what all share: places for requests that are held. They are items of the table of executions,
//! beside them.
//!
//! **Invariant**: no such item can be taken for an execution. Its key is not a valid execution id, and it has no key of an index,
//! so neither a poll nor a list nor a sweep comes upon it. Each has the table's TTL attribute, and means nothing once its time
//! is over, whether it was deleted by then or not.

use aws_sdk_dynamodb::{Client, operation::put_item::PutItemError, types::AttributeValue};
use domain::Owner;
use jiff::Timestamp;

use crate::{
    CallFailed, Connection,
    executions::{EXPIRES, KEY},
};

/// The allowances of callers.
#[derive(Debug, Clone)]
pub struct Allowances {
    client: Client,
    table: String,
}

/// One of an owner's places, for whom it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose it is.
    pub owner: Owner,
    /// Which of the owner's it is.
    pub number: u32,
    /// Who is in it: a name that nobody else has.
    pub holder: String,
}

impl Place {
    fn key(&self) -> AttributeValue {
        // `/` is in no execution's id.
        AttributeValue::S(format!("place/{}/{}", self.number, self.owner))
    }
}

impl Allowances {
    /// In the table with that name.
    #[must_use]
    pub fn new(connection: &Connection, table: impl Into<String>) -> Self {
        Self { client: Client::new(&connection.0), table: table.into() }
    }

    /// Takes a place until a time, if it is free: then it is free by itself. Says whether it was. Safe to repeat.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] when `DynamoDB` did not answer or refused. The place may be taken all the same.
    pub async fn take(&self, place: &Place, until: Timestamp, now: Timestamp) -> Result<bool, CallFailed> {
        // Ours already: the reply to our own write got lost, and the SDK wrote again.
        let free = "attribute_not_exists(#key) OR #until <= :now OR #holder = :holder";
        self.put(place, until, free, Some(now)).await
    }

    /// Gives a place back. One that another has by now stays taken.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] when `DynamoDB` did not answer or refused.
    pub async fn give_back(&self, place: &Place, now: Timestamp) -> Result<(), CallFailed> {
        // A write, since the API may delete nothing.
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
            .item("until", number(until.as_millisecond()))
            .item("holder", AttributeValue::S(place.holder.clone()))
            .item(EXPIRES, number(until.as_second() + 1))
            .condition_expression(condition)
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", AttributeValue::S(place.holder.clone()));
        let put = match now {
            Some(now) => put
                .expression_attribute_names("#key", KEY)
                .expression_attribute_names("#until", "until")
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
}

#[cfg(test)]
mod tests {
    use domain::ExecutionId;

    use super::*;

    #[test]
    fn a_place_is_no_execution() {
        let place = Place { owner: Owner::new("ada"), number: 3, holder: "h".into() };
        let key = place.key().as_s().unwrap().clone();
        assert_eq!(key, "place/3/ada");
        assert!(key.parse::<ExecutionId>().is_err());
    }
}
