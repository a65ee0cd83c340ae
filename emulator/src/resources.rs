//! What exists in an emulator from its start, as data.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    events::{Queue, Rule},
    lambda::Function,
    s3::Bucket,
};

/// What exists from the start. Resources that clients create later are not part of it: they are kept in the data directory.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// Environment variables of every function and every container, such as `PATH`. Nothing is inherited from the emulator's own
    /// environment. The emulator adds its address, credentials and its clock.
    pub environment: BTreeMap<String, String>,
    /// The tables of DynamoDB. A table that already exists gets the indexes that it lacks.
    pub tables: Vec<Table>,
    /// The rules of EventBridge.
    pub rules: Vec<Rule>,
    /// The queues that rules may have as targets.
    pub queues: Vec<Queue>,
    /// The functions. If two have the same name, the last one counts.
    pub functions: Vec<Function>,
    /// The buckets of S3.
    pub buckets: Vec<Bucket>,
    /// The name of ECS's only cluster; `default` if it is empty.
    pub cluster: String,
    /// Environment variables of every container, in addition to [`Resources::environment`].
    pub task_environment: BTreeMap<String, String>,
    /// The task definitions of ECS, each as a request of `RegisterTaskDefinition`. A definition that has not changed gets no new revision.
    pub task_definitions: Vec<Value>,
    /// The families of task definitions that ECS has no capacity for, each with a reason.
    pub without_capacity: BTreeMap<String, String>,
    /// The values of secrets, by the name or ARN that `valueFrom` of a container's `secrets` has. They are never kept on disk.
    pub secrets: Secrets,
    /// The calls that a caller may make, as `service:Operation`, by the caller's name: a function's, or an access key. All its other calls
    /// are denied. A caller without an entry may make every call.
    pub permissions: BTreeMap<String, BTreeSet<String>>,
    /// Receives the request of every `PutItem` that succeeded. If the channel is full, the request is skipped.
    #[serde(skip)]
    pub put_items: Option<mpsc::Sender<Bytes>>,
}

/// The variables of this process's environment that functions and containers get, unless the resources set them.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

impl Resources {
    /// The same resources, with `PATH`, `HOME`, `LANG` and `TMPDIR` of this process's environment where they are not set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the emulator's programs and tests read their environment only here")]
    pub fn with_inherited(mut self) -> Self {
        for name in INHERITED {
            if let (false, Ok(value)) = (self.environment.contains_key(name), std::env::var(name)) {
                self.environment.insert(name.to_owned(), value);
            }
        }
        self
    }
}

/// The values of secrets.
#[derive(Clone, Default, Deserialize)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// A secret's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Secrets {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(values: T) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Shows the names only.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// What may be changed while an emulator runs: see [`crate::Emulator::change`]. The members have the meaning that they have in [`Resources`].
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The functions to replace. Other functions stay as they are.
    pub functions: Vec<Function>,
    /// The task definitions to register. Others stay as they are.
    pub task_definitions: Vec<Value>,
    /// All families that have no capacity.
    pub without_capacity: BTreeMap<String, String>,
    /// All secrets.
    pub secrets: Secrets,
}

/// A table.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// The request of `CreateTable`.
    pub create: Value,
    /// The attribute with the time at which an item expires, if items do.
    #[serde(default)]
    pub expires_at: Option<String>,
}
