//! All functions: the declared ones, and those that the API created, which are kept on disk.

pub(crate) mod alias;
pub(crate) mod make;
mod registered;
mod store;
#[cfg(test)]
mod tests;
pub(crate) mod view;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::registered::{Program, Registered};
use super::{
    arn::{self, Target},
    runtime::{Pool, Slot},
};
use crate::{callers::Callers, clock::Clock, db::Db, leftovers::MARK, logs::Logs, wire::AwsError};

/// The unpublished version.
pub(crate) const LATEST: &str = "$LATEST";

/// A declared function, which exists from the start: a program that speaks Lambda's Runtime API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its environment, in addition to what Lambda sets.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// How long an invocation may take.
    #[serde(rename = "timeoutSeconds", with = "seconds", default = "seconds::default_timeout")]
    pub timeout: Duration,
    /// Its memory size in MB, as the function sees it. It is not enforced here.
    #[serde(default = "default_memory")]
    pub memory: u32,
    /// An alias of its only version.
    #[serde(default)]
    pub alias: Option<String>,
    /// What makes it a durable function.
    #[serde(default)]
    pub durable: Option<DurableConfig>,
}

/// Lambda's default
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>: `MemorySize`).
fn default_memory() -> u32 {
    128
}

/// What makes a function durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DurableConfig {
    /// How long an execution may take; 1 s to 366 days.
    #[serde(rename = "executionTimeoutSeconds", alias = "execution_timeout", with = "seconds")]
    pub execution_timeout: Duration,
    /// How long an execution is kept after its end; 1 to 90 days.
    #[serde(alias = "retention_days")]
    pub retention_days: u16,
}

/// Durations as whole seconds in JSON.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    /// Also reads durations as earlier versions stored them.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Seconds(u64),
        Earlier { secs: u64 },
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let (Written::Seconds(seconds) | Written::Earlier { secs: seconds }) = Written::deserialize(deserializer)?;
        Ok(Duration::from_secs(seconds))
    }

    /// Lambda's default
    /// (<https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html>: `Timeout`).
    pub(super) fn default_timeout() -> Duration {
        Duration::from_secs(3)
    }
}

/// One version of a function, as its processes are started.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) command: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) handler: String,
    pub(crate) timeout: Duration,
    pub(crate) memory: u32,
}

/// A function by one of its versions.
#[derive(Debug, Clone)]
pub(crate) struct Qualified {
    name: String,
    pub(crate) version: String,
    /// Whether the caller named a version or an alias.
    pub(crate) explicit: bool,
    durable: Option<DurableConfig>,
}

impl Qualified {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn durable(&self) -> Option<&DurableConfig> {
        self.durable.as_ref()
    }
}

/// The functions of this machine. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Functions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    logs: Logs,
    callers: Callers,
    /// What every function gets, and its own variables may override: how to reach this emulator.
    environment: Vec<(String, String)>,
    registered: Mutex<BTreeMap<String, Registered>>,
    /// By name and version; created when they are first needed.
    pools: Mutex<HashMap<(String, String), Pool>>,
}

impl Functions {
    /// The declared functions, and those on disk. A declared function replaces one of the API with the same name.
    pub(crate) fn new(
        declared: Vec<Function>,
        environment: Vec<(String, String)>,
        db: Db,
        clock: Clock,
        logs: &Logs,
        callers: Callers,
    ) -> Result<Self, AwsError> {
        let mut registered = db.transact(store::all)?;
        let mut earlier: BTreeMap<_, _> = registered.extract_if(.., |_, function| function.declared).collect();
        for function in declared {
            let earlier = earlier.remove(&function.name);
            declare(&mut registered, function, earlier, clock.now());
        }
        Ok(Self(Arc::new(Inner {
            db,
            clock,
            logs: logs.clone(),
            callers,
            environment,
            registered: Mutex::new(registered),
            pools: Mutex::default(),
        })))
    }

    /// Replaces declared functions while they are in use. An invocation that has begun ends with the program that it began with.
    pub(crate) fn replace(&self, declared: Vec<Function>) {
        for function in declared {
            let name = function.name.clone();
            let mut registered = self.registered();
            let earlier = registered.remove(&name);
            declare(&mut registered, function, earlier, self.0.clock.now());
            self.retire(&name, None);
        }
    }

    /// A function by its name in the API (`name`, `name:qualifier`, or an ARN with or without a qualifier) and a separate qualifier.
    pub(crate) fn qualified(&self, text: &str, qualifier: Option<&str>) -> Result<Qualified, AwsError> {
        let target =
            Target::read(text).ok_or_else(|| super::limits::invalid(format!("Invalid function ARN '{text}'")))?;
        if let (Some(inline), Some(beside)) = (target.qualifier, qualifier)
            && inline != beside
        {
            return Err(super::limits::invalid(
                "The derived qualifier from the function name does not match the specified qualifier.",
            ));
        }
        let qualifier = target.qualifier.or(qualifier);
        let registered = self.registered();
        let found = registered.get(target.name).and_then(|function| {
            let version = function.version(qualifier)?;
            let program = function.program(&version)?;
            Some((version, program.durable.clone()))
        });
        let (version, durable) = found.ok_or_else(|| not_found(target.name, qualifier))?;
        Ok(Qualified { name: target.name.to_owned(), version, explicit: qualifier.is_some(), durable })
    }

    /// The right to run a version once; `None` if the function no longer exists, or the emulator is stopping.
    pub(crate) async fn slot(&self, of: &Qualified) -> Option<Slot> {
        let pool = self.pool(of)?;
        pool.slot().await
    }

    fn pool(&self, of: &Qualified) -> Option<Pool> {
        let registered = self.registered();
        let program = registered.get(&of.name)?.program(&of.version)?;
        let spec = || Arc::new(program.spec(&of.name, &of.version, &self.0.environment));
        let mut pools = self.pools();
        let key = (of.name.clone(), of.version.clone());
        let new = || Pool::new(spec(), self.0.clock.clone(), self.0.logs.clone(), self.0.callers.clone());
        Some(pools.entry(key).or_insert_with(new).clone())
    }

    /// Ends the processes that wait for work.
    pub(crate) async fn shut_down(&self) {
        let pools: Vec<_> = self.pools().drain().map(|(_, pool)| pool).collect();
        for pool in pools {
            pool.shut_down().await;
        }
    }

    /// Changes a function of the API, on disk first, and ends its previous processes.
    fn change<T>(&self, text: &str, with: impl FnOnce(&mut Registered) -> Result<T, AwsError>) -> Result<T, AwsError> {
        let name = Target::read(text).map_or(text, |target| target.name);
        // Always lock the database before the functions: a checkpoint with a chained invoke looks up functions inside a transaction.
        self.0.db.transact(|tx| {
            let mut registered = self.registered();
            let mut next = registered.get(name).cloned().ok_or_else(|| not_found(name, None))?;
            let done = with(&mut next)?;
            store::save(tx, &next)?;
            if registered.get(name).is_some_and(|before| before.latest != next.latest) {
                self.retire(name, Some(LATEST));
            }
            registered.insert(name.to_owned(), next);
            Ok(done)
        })
    }

    fn retire(&self, name: &str, version: Option<&str>) {
        self.pools().retain(|(of, runs), pool| {
            let gone = of == name && version.is_none_or(|version| version == runs);
            if gone {
                pool.retire();
            }
            !gone
        });
    }

    fn registered(&self) -> MutexGuard<'_, BTreeMap<String, Registered>> {
        self.0.registered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pools(&self) -> MutexGuard<'_, HashMap<(String, String), Pool>> {
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers a declared function, and keeps the aliases that it had before.
fn declare(
    registered: &mut BTreeMap<String, Registered>,
    function: Function,
    earlier: Option<Registered>,
    now: Timestamp,
) {
    let mut function = Registered::declared(function, now);
    if let Some(earlier) = earlier {
        function.keep_aliases_of(earlier);
    }
    registered.insert(function.name.clone(), function);
}

impl Program {
    fn spec(&self, name: &str, version: &str, environment: &[(String, String)]) -> Spec {
        let own = self.environment.iter().filter(|(name, _)| *name != MARK);
        let own = own.map(|(name, value)| (name.clone(), value.clone()));
        Spec {
            name: name.to_owned(),
            version: version.to_owned(),
            command: self.command.clone(),
            environment: environment.iter().cloned().chain(own).collect(),
            handler: self.handler.clone().unwrap_or_else(|| "function.handler".to_owned()),
            timeout: Duration::from_secs(self.timeout_seconds),
            memory: self.memory,
        }
    }
}

fn not_found(name: &str, qualifier: Option<&str>) -> AwsError {
    let suffix = qualifier.map_or_else(String::new, |qualifier| format!(":{qualifier}"));
    AwsError {
        status: StatusCode::NOT_FOUND,
        code: "ResourceNotFoundException",
        message: format!("Function not found: {}{suffix}", arn::function(name)),
    }
}

fn conflict(message: impl Into<String>) -> AwsError {
    AwsError { status: StatusCode::CONFLICT, code: "ResourceConflictException", message: message.into() }
}
