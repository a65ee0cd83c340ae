//! The outcomes of executions, for a page of a list: the index from which lists are read does not contain results and errors.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use domain::{ExecutionId, listing::Included};

use super::Executions;
use aws::CallFailed;
use contract::{
    listed::{ERROR, RESULT, StoredOutcome},
    schema::KEY,
};

const CALL: &str = "dynamodb:BatchGetItem";

/// Maximum number of keys in one call (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const KEYS: usize = 100;

/// Maximum number of times that a key is requested, and the pause after the first time. `DynamoDB` leaves keys out of a response if a call
/// would read more than 16 MB, or if it has no capacity at the moment. Each pause is twice as long as the previous one.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(50);

impl Executions {
    /// The outcomes of these executions. An execution that no longer exists is left out. The read is consistent, so an execution that a
    /// list shows as over has its outcome here.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call, or left out keys every time.
    pub async fn outcomes(&self, ids: &[ExecutionId]) -> Result<HashMap<ExecutionId, Included>, CallFailed> {
        let mut outcomes = HashMap::new();
        for ids in ids.chunks(KEYS) {
            let key = |id: &ExecutionId| HashMap::from([(KEY.to_owned(), AttributeValue::S(id.to_string()))]);
            let mut wanted = wanted(ids.iter().map(key).collect())?;
            for attempt in 0..TRIES {
                let answer = self.client.batch_get_item().request_items(&self.table, wanted).send().await;
                let answer = answer.map_err(|error| CallFailed::new(CALL, error))?;
                for item in answer.responses.unwrap_or_default().remove(&self.table).unwrap_or_default() {
                    let (id, outcome) = outcome(item)?;
                    outcomes.insert(id, outcome);
                }
                match answer.unprocessed_keys.unwrap_or_default().remove(&self.table) {
                    None => break,
                    Some(_) if attempt + 1 == TRIES => {
                        return Err(CallFailed::not_yet(CALL, "some keys were left out every time"));
                    }
                    Some(left) => wanted = left,
                }
                tokio::time::sleep(PAUSE * 2_u32.pow(attempt)).await;
            }
        }
        Ok(outcomes)
    }
}

fn wanted(keys: Vec<HashMap<String, AttributeValue>>) -> Result<KeysAndAttributes, CallFailed> {
    KeysAndAttributes::builder()
        .set_keys(Some(keys))
        .consistent_read(true)
        .projection_expression("#key, #result, #error")
        .expression_attribute_names("#key", KEY)
        .expression_attribute_names("#result", RESULT)
        .expression_attribute_names("#error", ERROR)
        .build()
        .map_err(|why| CallFailed::rejected(CALL, why))
}

fn outcome(item: HashMap<String, AttributeValue>) -> Result<(ExecutionId, Included), CallFailed> {
    let stored: StoredOutcome = serde_dynamo::from_item(item).map_err(|why| CallFailed::rejected(CALL, why))?;
    stored.included().map_err(|why| CallFailed::rejected(CALL, why))
}
