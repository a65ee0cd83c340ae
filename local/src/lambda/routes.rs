//! Lambda's HTTP API: the REST-JSON protocol of the service model, as `botocore` has it.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Lambda,
    durable::{checkpoint::Checkpoint, operation::ErrorObject},
    functions::Qualified,
    runtime::{LONGEST_TIMEOUT, Outcome},
};
use crate::wire::AwsError;

/// Largest payload of a synchronous invocation, in bytes.
const LARGEST_SYNC: usize = 6 * 1024 * 1024;

/// Largest payload of an asynchronous one
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const LARGEST_EVENT: usize = 1024 * 1024;

pub(super) fn router(lambda: Lambda) -> Router {
    Router::new()
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        .route("/2025-12-01/durable-executions/{arn}/checkpoint", post(checkpoint))
        .route("/2025-12-01/durable-executions/{arn}/state", get(state))
        .route("/2025-12-01/durable-executions/{arn}", get(get_execution))
        .route("/2025-12-01/durable-execution-callbacks/{id}/succeed", post(callback_success))
        .route("/2025-12-01/durable-execution-callbacks/{id}/fail", post(callback_failure))
        .layer(DefaultBodyLimit::max(LARGEST_SYNC + 1024 * 1024))
        .with_state(lambda)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InvokeQuery {
    qualifier: Option<String>,
}

async fn invoke(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(query): Query<InvokeQuery>,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<Response, AwsError> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let function = lambda.functions.qualified(&name, query.qualifier.as_deref())?;
    let name = header("x-amz-durable-execution-name");
    match header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "Event" => invoke_event(&lambda, &function, name, payload),
        "RequestResponse" => invoke_and_wait(&lambda, &function, name, payload).await,
        "DryRun" => Ok(StatusCode::NO_CONTENT.into_response()),
        other => Err(invalid(format!("Unknown invocation type: {other}"))),
    }
}

fn invoke_event(
    lambda: &Lambda,
    function: &Qualified,
    name: Option<&str>,
    payload: Bytes,
) -> Result<Response, AwsError> {
    fits(&payload, LARGEST_EVENT)?;
    let json = as_json(&payload)?;
    if function.function.durable.is_none() {
        let (lambda, function) = (lambda.clone(), function.clone());
        tokio::spawn(async move {
            if let Outcome::Failed(error) = lambda.functions.run(&function, payload).await {
                tracing::warn!(function = function.function.name, ?error, "an asynchronous invocation failed");
            }
        });
        return Ok(StatusCode::ACCEPTED.into_response());
    }
    if !function.explicit {
        return Err(unqualified());
    }
    let arn = lambda.durable.start(function, name, json)?;
    let mut response = StatusCode::ACCEPTED.into_response();
    if let Ok(arn) = HeaderValue::try_from(arn) {
        response.headers_mut().insert("X-Amz-Durable-Execution-Arn", arn);
    }
    Ok(response)
}

async fn invoke_and_wait(
    lambda: &Lambda,
    function: &Qualified,
    name: Option<&str>,
    payload: Bytes,
) -> Result<Response, AwsError> {
    fits(&payload, LARGEST_SYNC)?;
    as_json(&payload)?;
    if let Some(durable) = &function.function.durable {
        if !function.explicit {
            return Err(unqualified());
        }
        if durable.execution_timeout > LONGEST_TIMEOUT {
            let why =
                "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes.";
            return Err(invalid(why));
        }
        return Err(invalid("The local stack starts durable executions with InvocationType=Event only."));
    }
    if name.is_some() {
        return Err(invalid("DurableExecutionName is for durable functions."));
    }
    let version = [("X-Amz-Executed-Version", function.version.clone())];
    Ok(match lambda.functions.run(function, payload).await {
        Outcome::Answered(body) => (version, body).into_response(),
        Outcome::Failed(error) => {
            let body = json!({
                "errorMessage": error.error_message,
                "errorType": error.error_type,
                "stackTrace": error.stack_trace,
            });
            (version, [("X-Amz-Function-Error", "Unhandled")], Json(body)).into_response()
        }
    })
}

async fn checkpoint(
    State(lambda): State<Lambda>,
    Path(arn): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, AwsError> {
    let checkpoint: Checkpoint = serde_json::from_slice(&body).map_err(|why| invalid(why.to_string()))?;
    Ok(Json(lambda.durable.checkpoint(&arn, &checkpoint)?))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StateQuery {
    checkpoint_token: String,
    marker: Option<String>,
    max_items: Option<usize>,
}

async fn state(
    State(lambda): State<Lambda>,
    Path(arn): Path<String>,
    Query(query): Query<StateQuery>,
) -> Result<Json<Value>, AwsError> {
    let page = lambda.durable.state(&arn, &query.checkpoint_token, query.marker.as_deref(), query.max_items)?;
    Ok(Json(page))
}

async fn get_execution(State(lambda): State<Lambda>, Path(arn): Path<String>) -> Result<Json<Value>, AwsError> {
    Ok(Json(lambda.durable.get(&arn)?))
}

async fn callback_success(
    State(lambda): State<Lambda>,
    Path(id): Path<String>,
    result: String,
) -> Result<Json<Value>, AwsError> {
    lambda.durable.call_back(&id, Ok((!result.is_empty()).then_some(result)))?;
    Ok(Json(json!({})))
}

async fn callback_failure(
    State(lambda): State<Lambda>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, AwsError> {
    let error = if body.is_empty() { Ok(ErrorObject::default()) } else { serde_json::from_slice(&body) };
    lambda.durable.call_back(&id, Err(error.map_err(|why| invalid(why.to_string()))?))?;
    Ok(Json(json!({})))
}

fn fits(payload: &Bytes, limit: usize) -> Result<(), AwsError> {
    if payload.len() <= limit {
        return Ok(());
    }
    let message = format!("{} byte payload is too large (limit {limit} bytes)", payload.len());
    Err(AwsError { status: StatusCode::PAYLOAD_TOO_LARGE, code: "RequestTooLargeException", message })
}

/// An empty payload is `{}`.
fn as_json(payload: &Bytes) -> Result<&str, AwsError> {
    if payload.is_empty() {
        return Ok("{}");
    }
    let wrong = |why: String| {
        AwsError::bad_request(
            "InvalidRequestContentException",
            format!("Could not parse request body into json: {why}"),
        )
    };
    let text = std::str::from_utf8(payload).map_err(|why| wrong(why.to_string()))?;
    serde_json::from_str::<&serde_json::value::RawValue>(text).map_err(|why| wrong(why.to_string()))?;
    Ok(text)
}

fn unqualified() -> AwsError {
    invalid("You cannot invoke a durable function using an unqualified ARN.")
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("InvalidParameterValueException", message)
}
