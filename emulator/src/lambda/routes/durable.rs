//! The operations on durable executions.

use std::str::FromStr;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
};
use jiff::Timestamp;
use serde::{Deserialize, de::IntoDeserializer as _};

use super::body;
use crate::{
    lambda::{
        Lambda,
        durable::{
            checkpoint::Checkpoint,
            history::{self, GetDurableExecutionHistoryResponse},
            listing,
            operation::ErrorObject,
            store::ExecutionStatus,
            wire::{
                CheckpointDurableExecutionResponse, GetDurableExecutionResponse,
                ListDurableExecutionsByFunctionResponse, Operations, StopDurableExecutionResponse,
            },
        },
        limits::{self, invalid},
    },
    wire::{AwsError, Empty, Seconds},
};

type Answer<T> = Result<Json<T>, AwsError>;

/// A query, in which a name may occur several times.
type Pairs = Vec<(String, String)>;

pub(super) async fn checkpoint(
    State(lambda): State<Lambda>,
    Path(arn): Path<String>,
    bytes: Bytes,
) -> Answer<CheckpointDurableExecutionResponse> {
    let checkpoint: Checkpoint = body(&bytes)?;
    lambda.durable.checkpoint(&arn, &checkpoint).map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StateQuery {
    checkpoint_token: String,
    marker: Option<String>,
    max_items: Option<usize>,
}

pub(super) async fn state(
    State(lambda): State<Lambda>,
    Path(arn): Path<String>,
    Query(query): Query<StateQuery>,
) -> Answer<Operations<Seconds>> {
    lambda.durable.state(&arn, &query.checkpoint_token, query.marker.as_deref(), query.max_items).map(Json)
}

pub(super) async fn get(State(lambda): State<Lambda>, Path(arn): Path<String>) -> Answer<GetDurableExecutionResponse> {
    lambda.durable.get(&arn).map(Json)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HistoryQuery {
    include_execution_data: Option<bool>,
    reverse_order: Option<bool>,
    marker: Option<String>,
    max_items: Option<i64>,
}

pub(super) async fn history(
    State(lambda): State<Lambda>,
    Path(arn): Path<String>,
    Query(query): Query<HistoryQuery>,
) -> Answer<GetDurableExecutionHistoryResponse> {
    let wanted = history::Wanted {
        // The default is true, according to the service model.
        with_data: query.include_execution_data.unwrap_or(true),
        newest_first: query.reverse_order.unwrap_or(false),
        marker: query.marker,
        max_items: query.max_items,
    };
    lambda.durable.history(&arn, &wanted).map(Json)
}

pub(super) async fn list(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(query): Query<Pairs>,
) -> Answer<ListDurableExecutionsByFunctionResponse> {
    let get = |name: &str| query.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str());
    let function = lambda.functions.qualified(&name, get("Qualifier"))?;
    let statuses = query.iter().filter(|(name, _)| name == "Statuses").map(|(_, status)| one_of(status));
    let wanted = listing::Wanted {
        name: get("DurableExecutionName").map(str::to_owned),
        statuses: statuses.collect::<Result<_, _>>()?,
        started_after: get("StartedAfter").map(time).transpose()?,
        started_before: get("StartedBefore").map(time).transpose()?,
        newest_first: get("ReverseOrder") != Some("true"),
        marker: get("Marker").map(str::to_owned),
        max_items: get("MaxItems").map(number).transpose()?,
    };
    wanted.name.as_ref().map_or(Ok(()), |name| limits::EXECUTION_NAME.check("durableExecutionName", name))?;
    lambda.durable.list(&function, &wanted).map(Json)
}

fn one_of(status: &str) -> Result<ExecutionStatus, AwsError> {
    ExecutionStatus::deserialize(status.into_deserializer())
        .map_err(|_: serde::de::value::Error| invalid(format!("Unknown status: {status}")))
}

fn number<T: FromStr>(text: &str) -> Result<T, AwsError> {
    text.parse().map_err(|_| invalid(format!("Not a number: {text}")))
}

/// Parses a time: ISO 8601, as the protocol has it in queries, or seconds since 1970.
fn time(text: &str) -> Result<Timestamp, AwsError> {
    let seconds = || {
        let seconds: f64 = text.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates, and is refused")]
        Timestamp::from_millisecond((seconds * 1_000.0) as i64).ok()
    };
    text.parse().ok().or_else(seconds).ok_or_else(|| invalid(format!("Not a timestamp: {text}")))
}

/// The error in a body. Some clients send the error itself, others an object with the error as its only member.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ErrorBody {
    Inside {
        #[serde(rename = "Error")]
        error: ErrorObject,
    },
    Itself(ErrorObject),
}

impl ErrorBody {
    fn read(bytes: &[u8]) -> Result<ErrorObject, AwsError> {
        Ok(match body(bytes)? {
            Self::Inside { error } | Self::Itself(error) => error,
        })
    }
}

pub(super) async fn stop(
    State(lambda): State<Lambda>,
    Path(arn): Path<String>,
    bytes: Bytes,
) -> Answer<StopDurableExecutionResponse> {
    let error = if bytes.is_empty() { None } else { Some(ErrorBody::read(&bytes)?) };
    lambda.durable.stop(&arn, error.filter(|error| *error != ErrorObject::default())).map(Json)
}

pub(super) async fn callback_success(
    State(lambda): State<Lambda>,
    Path(id): Path<String>,
    result: Bytes,
) -> Answer<Empty> {
    let result = String::from_utf8(result.into()).map_err(|_| invalid("The result is not UTF-8."))?;
    lambda.durable.call_back(&id, Ok((!result.is_empty()).then_some(result)))?;
    Ok(Json(Empty {}))
}

pub(super) async fn callback_failure(
    State(lambda): State<Lambda>,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Answer<Empty> {
    lambda.durable.call_back(&id, Err(ErrorBody::read(&bytes)?))?;
    Ok(Json(Empty {}))
}

pub(super) async fn callback_heartbeat(State(lambda): State<Lambda>, Path(id): Path<String>) -> Answer<Empty> {
    lambda.durable.heartbeat(&id)?;
    Ok(Json(Empty {}))
}
