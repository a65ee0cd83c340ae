//! The functions there are, and how they are named.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{body::Bytes, http::StatusCode};

use super::runtime::{Outcome, Pool};
use crate::{
    clock::Clock,
    identity::{ACCOUNT, REGION},
    logs::Logs,
    wire::AwsError,
};

/// The version that a function's alias points to: what is published is what runs here.
const VERSION: &str = "1";

const LATEST: &str = "$LATEST";

/// A function: a program that speaks Lambda's Runtime API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its environment, beside what Lambda sets.
    pub environment: Vec<(String, String)>,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// What it is told about its memory, in MB. Nothing enforces it here.
    pub memory: u32,
    /// An alias of its only version.
    pub alias: Option<String>,
    /// What makes it a durable function.
    pub durable: Option<DurableConfig>,
}

/// What makes a function durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurableConfig {
    /// How long an execution may take; 1 s to 366 days.
    pub execution_timeout: Duration,
}

/// A function by one of its versions.
#[derive(Debug, Clone)]
pub(crate) struct Qualified {
    pub(crate) function: Arc<Function>,
    pub(crate) version: String,
    /// Whether the caller named a version or an alias.
    pub(crate) explicit: bool,
}

impl Qualified {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}:{}", self.function.name, self.version)
    }
}

/// The functions of this machine. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Functions(Arc<BTreeMap<String, (Arc<Function>, Pool)>>);

impl Functions {
    pub(crate) fn new(functions: Vec<Function>, clock: Clock, logs: &Logs) -> Self {
        let with_pool = |function: Function| {
            let function = Arc::new(function);
            (function.name.clone(), (function.clone(), Pool::new(function, clock, logs.clone())))
        };
        Self(Arc::new(functions.into_iter().map(with_pool).collect()))
    }

    /// A function by what the API takes for its name, `name`, `name:qualifier` or an ARN with or without one, and a
    /// qualifier beside it.
    pub(crate) fn qualified(&self, name: &str, qualifier: Option<&str>) -> Result<Qualified, AwsError> {
        let not_found = || AwsError {
            status: StatusCode::NOT_FOUND,
            code: "ResourceNotFoundException",
            message: format!("Function not found: {name}"),
        };
        let plain = name.split_once("function:").map_or(name, |(_, plain)| plain);
        let (plain, inline) = plain.split_once(':').map_or((plain, None), |(plain, inline)| (plain, Some(inline)));
        let (function, _) = self.0.get(plain).ok_or_else(not_found)?;
        let version = match inline.or(qualifier) {
            None | Some(LATEST) => LATEST,
            Some(VERSION) => VERSION,
            Some(alias) if function.alias.as_deref() == Some(alias) => VERSION,
            Some(_) => return Err(not_found()),
        };
        let explicit = inline.or(qualifier).is_some();
        Ok(Qualified { function: function.clone(), version: version.to_owned(), explicit })
    }

    /// Runs a function once, in a process of its own or one that is warm.
    pub(crate) async fn run(&self, qualified: &Qualified, payload: Bytes) -> Outcome {
        match self.0.get(&qualified.function.name) {
            Some((_, pool)) => pool.run(&qualified.version, payload).await,
            None => Outcome::failed("ResourceNotFoundException", "the function is not there any more"),
        }
    }

    /// Ends the processes that wait for work.
    pub(crate) async fn shut_down(&self) {
        for (_, pool) in self.0.values() {
            pool.shut_down().await;
        }
    }
}
