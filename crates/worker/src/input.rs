//! Reads the job's input from its source.

use std::io::{self, IsTerminal as _, Read as _};

use aws::{CallFailed, Cause, Connection, Phase};
use domain::{ExecutionId, Json, limits};
use runtime::clock;
use store::Executions;

use crate::{
    config::{Item, Source},
    record::lasts,
    retry::Backoff,
};

/// Why there is no input.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoInput {
    /// The worker's stdin is not a valid input.
    #[error("stdin is not one JSON value of at most {} bytes", limits::INPUT_BYTES)]
    NotJson,
    /// The worker's stdin cannot be read.
    #[error("cannot read stdin")]
    Stdin(#[source] io::Error),
    /// The item does not exist.
    #[error("there is no execution {0}")]
    NotFound(ExecutionId),
    /// The item cannot be read.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

impl Source {
    /// Reads stdin, if the input is there, and leaves other sources as they are. This blocks, and must come before signals are
    /// caught, so that Ctrl-C works while a person at a terminal is waiting.
    pub(crate) fn without_stdin(self) -> Result<Self, NoInput> {
        match self {
            Self::Given(_) | Self::Item(_) => Ok(self),
            Self::Stdin => from_stdin().map(Self::Given),
        }
    }

    /// The input.
    pub(crate) async fn read(self) -> Result<Json, NoInput> {
        match self {
            Self::Given(input) => Ok(input),
            Self::Item(item) => from_item(item).await,
            Self::Stdin => from_stdin(),
        }
    }
}

/// Reads stdin. Empty input means `null`, because an ECS task has an empty stdin.
fn from_stdin() -> Result<Json, NoInput> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Ok(Json::null());
    }
    let mut text = String::new();
    let most = u64::try_from(limits::INPUT_BYTES).unwrap_or(u64::MAX);
    stdin.lock().take(most.saturating_add(1)).read_to_string(&mut text).map_err(NoInput::Stdin)?;
    if text.trim().is_empty() {
        return Ok(Json::null());
    }
    if text.len() > limits::INPUT_BYTES {
        return Err(NoInput::NotJson);
    }
    Json::parse(&text).map_err(|_| NoInput::NotJson)
}

async fn from_item(Item { table, id }: Item) -> Result<Json, NoInput> {
    let executions = Executions::new(&Connection::from_env().await, table);
    let mut backoff = Backoff::default();
    let since = clock::now();
    loop {
        match executions.get(&id).await {
            Ok(Some(execution)) => return Ok(execution.request.input),
            Ok(None) => return Err(NoInput::NotFound(id)),
            Err(failed) if failed.cause == Cause::Denied && lasts(since, failed.cause.patience(Phase::BeforeTask)) => {
                return Err(failed.into());
            }
            Err(failed) if failed.retryable() => {
                tracing::warn!(error = &failed as &dyn std::error::Error, "cannot read the input; retrying");
                backoff.wait().await;
            }
            Err(failed) => return Err(failed.into()),
        }
    }
}
