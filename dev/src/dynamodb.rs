//! DynamoDB: `dynoxide`, embedded. Its own server is not used, because it would answer every web page (it allows every origin).
//!
//! Known differences from AWS: those of the crate, and the wording of errors for requests that cannot be parsed.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use dynoxide::{Database, DynoxideError};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// How often expired items are deleted. AWS deletes them within days; nothing may rely on either.
const TTL_SWEEP: Duration = Duration::from_mins(1);

use crate::{clock::Clock, db, wire::AwsError};

/// The index of what a list shows.
const BY_OWNER: &str = "byOwner";

/// What a list shows of an execution.
const LISTED: [&str; 12] = [
    "pattern",
    "status",
    "job",
    "createdAt",
    "maxAttempts",
    "run",
    "finishedAt",
    "exitCode",
    "deadline",
    "expiresAt",
    "tags",
    "rerunOf",
];

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The service. Clones share it.
#[derive(Clone)]
pub(crate) struct DynamoDb(Database);

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb").finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// Opens the file, with the table of executions in it.
    pub(crate) fn open(file: &Path, table: &str) -> Result<Self, Error> {
        if file.exists() {
            db::check(&rusqlite::Connection::open(file)?)?;
        }
        let file = file.to_str().ok_or("the data directory's name is not UTF-8")?;
        let database = Database::new(file)?;
        ensure_table(&database, table)?;
        Ok(Self(database))
    }

    /// Answers a call by the operation's name, which follows the service's in `x-amz-target`. Changes are on disk before the response.
    pub(crate) async fn answer(&self, operation: String, body: Bytes) -> Response {
        let database = self.0.clone();
        match tokio::task::spawn_blocking(move || dispatch(&database, &operation, &body)).await {
            Ok(Ok(answer)) => (StatusCode::OK, [CONTENT_TYPE], answer).into_response(),
            Ok(Err(why)) => {
                let status = StatusCode::from_u16(why.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
                (status, [CONTENT_TYPE], why.to_json()).into_response()
            }
            Err(why) => AwsError::internal(format!("DynamoDB failed: {why}")).into_response(),
        }
    }

    /// How many executions of each job are not over.
    pub(crate) fn unfinished(&self, table: &str) -> Result<BTreeMap<String, usize>, Error> {
        let mut counts = BTreeMap::new();
        let mut from_key = Value::Null;
        loop {
            // The index has neither inputs nor results to be read.
            let page = self.0.scan(from(json!({
                "TableName": table,
                "IndexName": BY_OWNER,
                "FilterExpression": "attribute_not_exists(finishedAt)",
                "ExclusiveStartKey": from_key,
            }))?)?;
            let page = serde_json::to_value(page)?;
            let items = page.get("Items").and_then(Value::as_array).into_iter().flatten();
            for job in items.filter_map(|item| item.pointer("/job/S")?.as_str()) {
                *counts.entry(job.to_owned()).or_default() += 1;
            }
            from_key = page.get("LastEvaluatedKey").cloned().unwrap_or_default();
            if from_key.is_null() {
                return Ok(counts);
            }
        }
    }

    /// Deletes expired items as long as it is polled.
    pub(crate) async fn sweep_expired(self) {
        sweep_expired(self.0).await;
    }
}

const CONTENT_TYPE: (HeaderName, &str) = (header::CONTENT_TYPE, "application/x-amz-json-1.0");

/// The operations of DynamoDB that the table engine supports, by their names in the service.
macro_rules! operations {
    ($($name:literal => $method:ident),+ $(,)?) => {
        /// Their names.
        pub(crate) const OPERATIONS: &[&str] = &[$($name),+];

        fn dispatch(database: &Database, operation: &str, body: &[u8]) -> dynoxide::Result<Vec<u8>> {
            match operation {
                $($name => written(&database.$method(read(body)?)?),)+
                other => Err(DynoxideError::UnsupportedCapability(other.to_owned())),
            }
        }
    };
}

operations! {
    "BatchExecuteStatement" => batch_execute_statement,
    "BatchGetItem" => batch_get_item,
    "BatchWriteItem" => batch_write_item,
    "CreateTable" => create_table,
    "DeleteItem" => delete_item,
    "DeleteTable" => delete_table,
    "DescribeStream" => describe_stream,
    "DescribeTable" => describe_table,
    "DescribeTimeToLive" => describe_time_to_live,
    "ExecuteStatement" => execute_statement,
    "ExecuteTransaction" => execute_transaction,
    "GetItem" => get_item,
    "GetRecords" => get_records,
    "GetShardIterator" => get_shard_iterator,
    "ListStreams" => list_streams,
    "ListTables" => list_tables,
    "ListTagsOfResource" => list_tags_of_resource,
    "PutItem" => put_item,
    "Query" => query,
    "Scan" => scan,
    "TagResource" => tag_resource,
    "TransactGetItems" => transact_get_items,
    "TransactWriteItems" => transact_write_items,
    "UntagResource" => untag_resource,
    "UpdateItem" => update_item,
    "UpdateTable" => update_table,
    "UpdateTimeToLive" => update_time_to_live,
}

/// A request. A member that is missing or unknown is not valid; one of another type cannot be read
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>).
fn read<T: DeserializeOwned>(body: &[u8]) -> dynoxide::Result<T> {
    serde_json::from_slice(body).map_err(|why| {
        let why = why.to_string();
        // The engine marks what it refuses itself while it reads.
        let text = why.rsplit_once(" at line ").map_or(why.as_str(), |(text, _)| text);
        let marked = ["VALIDATION_REQUEST:", "VALIDATION:"].iter().find_map(|mark| text.strip_prefix(mark));
        let invalid = ["missing field", "unknown variant", "invalid type: null", "AttributeValue"];
        match marked {
            Some(refused) => DynoxideError::ValidationException(refused.to_owned()),
            None if invalid.iter().any(|words| text.contains(words)) => {
                DynoxideError::ValidationException(text.to_owned())
            }
            None => DynoxideError::SerializationException(text.to_owned()),
        }
    })
}

fn written(answer: &impl Serialize) -> dynoxide::Result<Vec<u8>> {
    serde_json::to_vec(answer).map_err(|why| DynoxideError::InternalServerError(why.to_string()))
}

/// Creates the same table as in `template.yaml`. If an earlier version created it, this adds the index that it lacks.
fn ensure_table(database: &Database, table: &str) -> Result<(), Error> {
    let attributes = json!([
        { "AttributeName": "executionId", "AttributeType": "S" },
        { "AttributeName": "activeShard", "AttributeType": "S" },
        { "AttributeName": "due", "AttributeType": "N" },
        { "AttributeName": "ownerShard", "AttributeType": "S" },
        { "AttributeName": "created", "AttributeType": "S" },
    ]);
    let by_owner = json!({
        "IndexName": BY_OWNER,
        "KeySchema": [
            { "AttributeName": "ownerShard", "KeyType": "HASH" },
            { "AttributeName": "created", "KeyType": "RANGE" },
        ],
        "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": LISTED },
    });
    let create = json!({
        "TableName": table,
        "AttributeDefinitions": attributes,
        "KeySchema": [{ "AttributeName": "executionId", "KeyType": "HASH" }],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": "active",
                "KeySchema": [
                    { "AttributeName": "activeShard", "KeyType": "HASH" },
                    { "AttributeName": "due", "KeyType": "RANGE" },
                ],
                "Projection": { "ProjectionType": "KEYS_ONLY" },
            },
            by_owner,
        ],
        "BillingMode": "PAY_PER_REQUEST",
    });
    let exists = database.list_tables(from(json!({}))?)?.table_names.iter().any(|name| name == table);
    if exists {
        let is = database.describe_table(from(json!({ "TableName": table }))?)?;
        let is = serde_json::to_value(is)?.to_string();
        if !is.contains(&format!("\"{BY_OWNER}\"")) {
            let update = json!({
                "TableName": table,
                "AttributeDefinitions": attributes,
                "GlobalSecondaryIndexUpdates": [{ "Create": by_owner }],
            });
            database.update_table(from(update)?)?;
        }
    } else {
        database.create_table(from(create)?)?;
        let ttl = json!({
            "TableName": table,
            "TimeToLiveSpecification": { "AttributeName": "expiresAt", "Enabled": true },
        });
        database.update_time_to_live(from(ttl)?)?;
    }
    Ok(())
}

fn from<T: DeserializeOwned>(request: Value) -> Result<T, Error> {
    Ok(serde_json::from_value(request)?)
}

async fn sweep_expired(database: Database) {
    loop {
        let mut moves = Clock::moves();
        tokio::select! {
            () = tokio::time::sleep(TTL_SWEEP) => {}
            _ = moves.changed() => {}
        }
        let database = database.clone();
        match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => tracing::warn!(%why, "expired items were not deleted"),
            Err(why) => tracing::warn!(%why, "expired items were not deleted"),
        }
    }
}
