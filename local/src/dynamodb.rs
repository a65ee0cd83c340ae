//! DynamoDB: `dynoxide`, embedded, behind a listener of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use dynoxide::Database;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

/// How often expired items are deleted. AWS does it within days; nobody may rely on either.
const TTL_SWEEP: Duration = Duration::from_mins(1);

use crate::{clock::Clock, server};

/// What a list shows of an execution.
const LISTED: [&str; 12] = [
    "pattern",
    "status",
    "task",
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

/// The running service.
#[derive(Debug)]
pub(crate) struct DynamoDb {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
    sweep: JoinHandle<()>,
}

impl DynamoDb {
    /// Serves the file, with the table of executions in it.
    pub(crate) fn start(file: &Path, table: &str) -> Result<Self, Error> {
        let file = file.to_str().ok_or("the data directory's name is not UTF-8")?;
        let database = Database::new(file)?;
        ensure_table(&database, table)?;
        let listener = server::listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async move { drop(stopped.await) };
        let sweep = tokio::spawn(sweep_expired(database.clone()));
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, stopped));
        Ok(Self { address, stop, server, sweep })
    }

    /// Stops taking requests. What was answered is on disk.
    pub(crate) fn shut_down(self) {
        self.sweep.abort();
        let _ = self.stop.send(());
        // Connections that are kept alive would hold a graceful end up for ever.
        self.server.abort();
    }
}

/// The same table as the one in `template.yaml`. One that an earlier version made gets the index that it lacks.
fn ensure_table(database: &Database, table: &str) -> Result<(), Error> {
    let attributes = json!([
        { "AttributeName": "executionId", "AttributeType": "S" },
        { "AttributeName": "activeShard", "AttributeType": "S" },
        { "AttributeName": "due", "AttributeType": "N" },
        { "AttributeName": "ownerShard", "AttributeType": "S" },
        { "AttributeName": "created", "AttributeType": "S" },
    ]);
    let by_owner = json!({
        "IndexName": "byOwner",
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
        if !is.contains("\"byOwner\"") {
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

fn from<T: serde::de::DeserializeOwned>(request: Value) -> Result<T, Error> {
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
