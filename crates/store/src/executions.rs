//! Executions in their table: `DynamoDB`.
//!
//! **Invariant**: every change is one write of the next state, on the condition that the item still has the version that was read. The
//! domain decides, `DynamoDB` arbitrates.

mod listing;
mod outcomes;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    operation::put_item::PutItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use contract::{
    item::{FINISHED, Item, Unreadable, VERSION},
    keys::ACTIVE_SHARDS,
    schedule::ScheduleKey,
    schema::{ACTIVE, EXPIRES, KEY},
};
use domain::{Event, Execution, ExecutionId, Refused};
use jiff::Timestamp;
use uuid::Uuid;

use aws::{CallFailed, Cause, Connection};

/// How often a change is retried because another writer was faster. Each execution has only a few writers.
const MAX_RACES: usize = 16;

/// The table of executions.
#[derive(Debug, Clone)]
pub struct Executions {
    client: Client,
    table: String,
}

/// The result of creating an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// It was created, and its `creation` was set.
    New(Box<Execution>),
    /// An execution with this id already exists: this one.
    Existing(Box<Execution>),
}

/// Why an execution could not be advanced.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// There is no such execution.
    #[error("there is no execution {0}")]
    NotFound(ExecutionId),
    /// The event contradicts what is recorded.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Other writers were faster every time.
    #[error("too many concurrent updates to execution {0}")]
    Contended(ExecutionId),
    /// `DynamoDB` did not answer, or refused the call.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl AdvanceError {
    /// The kind of failure, which decides whether to retry: see [`Cause::patience`]. An event that an execution's state refuses is always
    /// refused.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::NotFound(_) | Self::Refused(_) => Cause::Rejected,
            Self::Contended(_) => Cause::Unavailable,
            Self::Call(failed) => failed.cause,
        }
    }
}

/// What a page of the index of what is due names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// Executions.
    pub executions: Vec<ExecutionId>,
    /// Schedules.
    pub schedules: Vec<ScheduleKey>,
}

/// Where a page of due executions ends and the next one begins.
#[derive(Debug, Clone)]
pub struct NextPage(HashMap<String, AttributeValue>);

/// Number of parts of the index of due executions; they are counted from 0.
pub const PARTS: u8 = ACTIVE_SHARDS;

enum Written {
    Done,
    LostTo(Box<Execution>),
    Gone,
}

impl Executions {
    /// The table with that name.
    #[must_use]
    pub fn new(connection: &Connection, table: impl Into<String>) -> Self {
        Self { client: Client::new(connection.sdk_config()), table: table.into() }
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The current state of an execution, even if it has expired and was not deleted yet: see `Execution::expires_at`. One strongly
    /// consistent `GetItem`.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub fn get(&self, id: &ExecutionId) -> impl Future<Output = Result<Option<Execution>, CallFailed>> + Send {
        self.read(id, true)
    }

    /// A recent state of an execution: an eventually consistent `GetItem`, at half the price. For repeated reads.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub fn glance(&self, id: &ExecutionId) -> impl Future<Output = Result<Option<Execution>, CallFailed>> + Send {
        self.read(id, false)
    }

    async fn read(&self, id: &ExecutionId, consistent: bool) -> Result<Option<Execution>, CallFailed> {
        const CALL: &str = "dynamodb:GetItem";
        let request = self.client.get_item().table_name(&self.table).consistent_read(consistent);
        let answer = request.key(KEY, AttributeValue::S(id.to_string())).send().await;
        let found = answer.map_err(|error| CallFailed::new(CALL, error))?.item;
        found.map(|attributes| read(CALL, attributes)).transpose()
    }

    /// Stores a new execution. Idempotent: an existing execution is not changed, unless it has expired by `now`; then it is replaced.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn create(&self, execution: &Execution, now: Timestamp) -> Result<Created, CallFailed> {
        // Two requests with the same key within the same millisecond would create equal executions.
        let named = Execution { creation: Some(Uuid::new_v4().to_string()), ..execution.clone() };
        let put = self
            .put(&named)?
            // An execution that is not over is never replaced. Items of older versions have an expiry even if their execution is not over.
            .condition_expression("attribute_not_exists(#key) OR (#expires <= :now AND attribute_exists(#finished))")
            .expression_attribute_names("#key", KEY)
            .expression_attribute_names("#finished", FINISHED)
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()));
        match written(put.send().await)? {
            Written::Done => Ok(Created::New(Box::new(named))),
            // The reply to our own write was lost, and the SDK wrote again.
            Written::LostTo(winner) if winner.creation == named.creation => Ok(Created::New(winner)),
            Written::LostTo(winner) => Ok(Created::Existing(winner)),
            Written::Gone => Err(CallFailed::rejected("dynamodb:PutItem", "a condition failed without its item")),
        }
    }

    /// Applies an event that was observed at `at`, and returns the execution after it. Idempotent. An execution that is over stays as
    /// it is, whatever the event.
    ///
    /// # Errors
    ///
    /// [`AdvanceError`]; after [`AdvanceError::Call`] the event may have been applied anyway, so repeat it.
    pub async fn advance(&self, id: &ExecutionId, event: &Event, at: Timestamp) -> Result<Execution, AdvanceError> {
        let seen = self.get(id).await?.ok_or_else(|| AdvanceError::NotFound(id.clone()))?;
        self.advance_seen(seen, event, at).await
    }

    /// Like [`Executions::advance`], for an execution that was just read. If it has changed since, the failed write returns its new state,
    /// so it is never read again.
    ///
    /// # Errors
    ///
    /// As for [`Executions::advance`].
    pub async fn advance_seen(
        &self,
        mut seen: Execution,
        event: &Event,
        at: Timestamp,
    ) -> Result<Execution, AdvanceError> {
        for _ in 0..MAX_RACES {
            let Some(next) = after(&seen, event, at)? else { return Ok(seen) };
            match self.replace(&next, seen.version).await? {
                Written::Done => return Ok(next),
                Written::LostTo(winner) => seen = *winner, // ALL_OLD: no second read
                Written::Gone => return Err(AdvanceError::NotFound(seen.id)),
            }
        }
        Err(AdvanceError::Contended(seen.id))
    }

    /// Applies an event to an execution as it was `seen`, and returns the execution after it; `None` if it has changed since then,
    /// because the event may then be based on old data. Idempotent.
    ///
    /// # Errors
    ///
    /// As for [`Executions::advance`].
    pub async fn advance_from(
        &self,
        seen: &Execution,
        event: &Event,
        at: Timestamp,
    ) -> Result<Option<Execution>, AdvanceError> {
        let Some(next) = after(seen, event, at)? else { return Ok(Some(seen.clone())) };
        match self.replace(&next, seen.version).await? {
            Written::Done => Ok(Some(next)),
            // The reply to our own write was lost, and the SDK wrote again.
            Written::LostTo(winner) if *winner == next => Ok(Some(next)),
            Written::LostTo(_) => Ok(None),
            Written::Gone => Err(AdvanceError::NotFound(seen.id.clone())),
        }
    }

    /// A page of the executions and schedules that are due by `now`, longest overdue first, at most `limit`, from one of the [`PARTS`] of the index.
    /// The index is a moment behind the table, so read each of them before acting on it.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if `DynamoDB` did not answer or refused the call.
    pub async fn due(
        &self,
        part: u8,
        now: Timestamp,
        limit: i32,
        after: Option<NextPage>,
    ) -> Result<(Due, Option<NextPage>), CallFailed> {
        const CALL: &str = "dynamodb:Query";
        let query = self.client.query().table_name(&self.table).index_name(ACTIVE.name).limit(limit);
        let query = query
            .key_condition_expression("#shard = :shard AND #due <= :now")
            .expression_attribute_names("#shard", ACTIVE.hash)
            .expression_attribute_names("#due", ACTIVE.sort)
            .expression_attribute_values(":shard", AttributeValue::S(part.to_string()))
            .expression_attribute_values(":now", AttributeValue::N(now.as_second().to_string()))
            .set_exclusive_start_key(after.map(|page| page.0));
        let answer = query.send().await.map_err(|error| CallFailed::new(CALL, error))?;
        let found = answer.items.unwrap_or_default();
        let keys = || found.iter().filter_map(|item| item.get(KEY)?.as_s().ok());
        let due = Due {
            executions: keys().filter_map(|key| key.parse().ok()).collect(),
            schedules: keys().filter_map(|key| ScheduleKey::read(key)).collect(),
        };
        Ok((due, answer.last_evaluated_key.map(NextPage)))
    }

    async fn replace(&self, next: &Execution, version: u64) -> Result<Written, CallFailed> {
        let put = self
            .put(next)?
            .condition_expression("#version = :seen")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":seen", AttributeValue::N(version.to_string()));
        written(put.send().await)
    }

    fn put(
        &self,
        execution: &Execution,
    ) -> Result<aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder, CallFailed> {
        let attributes: HashMap<String, AttributeValue> =
            serde_dynamo::to_item(Item::of(execution)).map_err(|why| CallFailed::rejected("dynamodb:PutItem", why))?;
        Ok(self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(attributes))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld))
    }
}

/// The execution after an event; `None` if the event changes nothing.
fn after(seen: &Execution, event: &Event, at: Timestamp) -> Result<Option<Execution>, Refused> {
    match seen.after(event, at) {
        Err(_) if seen.status().is_final() => Ok(None),
        after => after,
    }
}

type Put<T, R> = Result<T, aws_sdk_dynamodb::error::SdkError<PutItemError, R>>;

fn written<T, R: std::fmt::Debug + Send + Sync + 'static>(put: Put<T, R>) -> Result<Written, CallFailed> {
    const CALL: &str = "dynamodb:PutItem";
    match put {
        Ok(_) => Ok(Written::Done),
        Err(error) => match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => match failed.item.clone() {
                Some(attributes) => Ok(Written::LostTo(Box::new(read(CALL, attributes)?))),
                None => Ok(Written::Gone),
            },
            _ => Err(CallFailed::new(CALL, error)),
        },
    }
}

fn read(call: &'static str, attributes: HashMap<String, AttributeValue>) -> Result<Execution, CallFailed> {
    let item: Item = serde_dynamo::from_item(attributes).map_err(|why| CallFailed::rejected(call, why))?;
    item.into_execution().map_err(|why| match why {
        Unreadable::Damaged { .. } => CallFailed::rejected(call, why),
        Unreadable::Newer(_) => CallFailed::not_yet(call, why),
    })
}
