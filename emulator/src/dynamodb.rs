//! DynamoDB: `dynoxide`, embedded. Its own server is not used, because that server allows every origin, so any web page could call it.
//!
//! Known differences from AWS are listed in `FACTS`.

use std::{collections::BTreeSet, fmt, path::Path, time::Duration};

use axum::{
    body::Bytes,
    extract::Request,
    http::{StatusCode, header},
    response::IntoResponse as _,
};
use dynoxide::{
    Database, DynoxideError,
    actions::{
        create_table::CreateTableRequest,
        describe_table::DescribeTableRequest,
        list_tables::ListTablesRequest,
        update_table::{CreateGsiAction, DeleteGsiAction, GlobalSecondaryIndexUpdate, UpdateTableRequest},
        update_time_to_live::{TimeToLiveSpecification, UpdateTimeToLiveRequest},
    },
    types::Projection,
};
use serde::{Deserialize as _, Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinError};

use crate::{
    clock::Clock,
    db,
    resources::Table,
    service::{self, Answer, Facts, Protocol, Service},
    wire::AwsError,
};

/// What the gateway and the faults need to know about this service.
pub(crate) static FACTS: Facts = Facts {
    name: "dynamodb",
    title: "DynamoDB",
    targets: &["DynamoDB_20120810", "DynamoDBStreams_20120810"],
    operations: OPERATIONS,
    throttling: (StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"),
    failure: "InternalServerError",
    content_type: "application/x-amz-json-1.0",
    protocol: Protocol::Json,
    differences: &[
        "The differences of the crate `dynoxide-rs`, which stores the tables.",
        "The wording of errors for requests that cannot be parsed.",
    ],
};

/// How often expired items are deleted. AWS deletes them within days, so nothing may rely on a particular delay.
const TTL_SWEEP: Duration = Duration::from_mins(1);

type Error = Box<dyn std::error::Error + Send + Sync>;

/// The service. Clones share it.
#[derive(Clone)]
pub(crate) struct DynamoDb {
    database: Database,
    /// Receives the request of every `PutItem` that succeeded.
    put_items: Option<mpsc::Sender<Bytes>>,
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb").finish_non_exhaustive()
    }
}

impl DynamoDb {
    /// Opens the file.
    pub(crate) fn open(file: &Path) -> Result<Self, Error> {
        if file.exists() {
            db::check(&rusqlite::Connection::open(file)?)?;
        }
        let file = file.to_str().ok_or("the data directory's name is not UTF-8")?;
        Ok(Self { database: Database::new(file)?, put_items: None })
    }

    /// The same service, which reports every `PutItem` that succeeded to this listener, if there is one.
    pub(crate) fn with_listener(self, put_items: Option<mpsc::Sender<Bytes>>) -> Self {
        Self { put_items, ..self }
    }

    /// Creates a table. If it exists already, this adds the indexes that it lacks, and makes those again that project other attributes.
    pub(crate) fn ensure_table(&self, table: &Table) -> Result<(), Error> {
        let create = CreateTableRequest::deserialize(&table.create)?;
        let name = create.table_name.clone();
        if self.database.list_tables(ListTablesRequest::default())?.table_names.contains(&name) {
            return self.update_indexes(create);
        }
        self.database.create_table(create)?;
        if let Some(attribute) = &table.expires_at {
            let specification = TimeToLiveSpecification { attribute_name: attribute.clone(), enabled: true };
            let request = UpdateTimeToLiveRequest { table_name: name, time_to_live_specification: specification };
            self.database.update_time_to_live(request)?;
        }
        Ok(())
    }

    fn update_indexes(&self, wanted: CreateTableRequest) -> Result<(), Error> {
        let existing = self.database.describe_table(DescribeTableRequest { table_name: wanted.table_name.clone() })?;
        let existing = existing.table.global_secondary_indexes.unwrap_or_default();
        for index in wanted.global_secondary_indexes.unwrap_or_default() {
            if let Some(existing) = existing.iter().find(|existing| existing.index_name == index.index_name) {
                let attributes = |projection: &Projection| {
                    let names = projection.non_key_attributes.iter().flatten().cloned();
                    names.collect::<BTreeSet<_>>()
                };
                if attributes(&existing.projection) == attributes(&index.projection) {
                    continue;
                }
                let delete = Some(DeleteGsiAction { index_name: index.index_name.clone() });
                self.database.update_table(UpdateTableRequest {
                    table_name: wanted.table_name.clone(),
                    global_secondary_index_updates: Some(vec![GlobalSecondaryIndexUpdate {
                        delete,
                        ..GlobalSecondaryIndexUpdate::default()
                    }]),
                    ..UpdateTableRequest::default()
                })?;
            }
            let create = CreateGsiAction {
                index_name: index.index_name,
                key_schema: index.key_schema,
                projection: index.projection,
            };
            let update = GlobalSecondaryIndexUpdate { create: Some(create), ..GlobalSecondaryIndexUpdate::default() };
            self.database.update_table(UpdateTableRequest {
                table_name: wanted.table_name.clone(),
                attribute_definitions: Some(wanted.attribute_definitions.clone()),
                global_secondary_index_updates: Some(vec![update]),
                ..UpdateTableRequest::default()
            })?;
        }
        Ok(())
    }

    /// Answers a call of this process.
    pub(crate) async fn call(&self, operation: &str, body: Bytes) -> Result<Value, String> {
        let answer = self.run(operation.to_owned(), body).await.map_err(|why| why.to_string())?;
        let answer = answer.map_err(|why| why.to_json())?;
        serde_json::from_slice(&answer).map_err(|why| why.to_string())
    }

    async fn run(&self, operation: String, body: Bytes) -> Result<dynoxide::Result<Vec<u8>>, JoinError> {
        let database = self.database.clone();
        tokio::task::spawn_blocking(move || dispatch(&database, &operation, &body)).await
    }

    /// Deletes expired items as long as it is polled.
    pub(crate) async fn sweep_expired(self, clock: Clock) {
        loop {
            let mut moves = clock.moves();
            tokio::select! {
                () = tokio::time::sleep(TTL_SWEEP) => {}
                _ = moves.changed() => {}
            }
            let database = self.database.clone();
            match tokio::task::spawn_blocking(move || database.sweep_ttl()).await {
                Ok(Ok(_)) => {}
                Ok(Err(why)) => tracing::warn!(%why, "cannot delete expired items; retrying later"),
                Err(why) => tracing::warn!(%why, "cannot delete expired items; retrying later"),
            }
        }
    }
}

impl Service for DynamoDb {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    /// Answers a request. Changes are on disk before the response is sent.
    fn answer<'a>(&'a self, operation: &'a str, request: Request) -> Answer<'a> {
        Box::pin(async move {
            let body = match service::body(request).await {
                Ok(body) => body,
                Err(refused) => return refused,
            };
            let listener = self.put_items.as_ref().filter(|_| operation == "PutItem").zip(Some(body.clone()));
            let content_type = [(header::CONTENT_TYPE, FACTS.content_type)];
            match self.run(operation.to_owned(), body).await {
                Ok(Ok(answer)) => {
                    if let Some((listener, put)) = listener {
                        // A listener that is slow must neither block the emulator nor fill its memory.
                        let _ = listener.try_send(put);
                    }
                    (StatusCode::OK, content_type, answer).into_response()
                }
                Ok(Err(why)) => {
                    let status = StatusCode::from_u16(why.status_code()).unwrap_or(StatusCode::BAD_REQUEST);
                    (status, content_type, why.to_json()).into_response()
                }
                Err(why) => AwsError::internal(format!("DynamoDB failed: {why}")).into_response(),
            }
        })
    }
}

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

/// Parses a request. A missing or unknown member is a `ValidationException`; a member of the wrong type is a `SerializationException`
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html>).
fn read<T: DeserializeOwned>(body: &[u8]) -> dynoxide::Result<T> {
    serde_json::from_slice(body).map_err(|why| {
        let why = why.to_string();
        // The engine refuses some values while it parses them, and marks these errors with a prefix.
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
