//! The operation `Invoke`.

use axum::{
    Json,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{
    lambda::{
        Lambda,
        durable::{
            start::Start,
            store::{Execution, ExecutionStatus},
        },
        functions::Qualified,
        limits::{self, invalid},
        queue::Entry,
        runtime::{Outcome, Ran, Request, RuntimeError},
    },
    wire::AwsError,
};

/// How many bytes from the end of the log a response contains.
const LOG_TAIL_BYTES: usize = 4 * 1024;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InvokeQuery {
    qualifier: Option<String>,
}

/// A call of `Invoke`.
struct Call<'a> {
    function: Qualified,
    headers: &'a HeaderMap,
    payload: Bytes,
}

impl Call<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn name(&self) -> Option<&str> {
        self.header("x-amz-durable-execution-name")
    }

    fn trace(&self) -> Option<&str> {
        self.header("x-amzn-trace-id")
    }

    fn start<'a>(&'a self, input: &'a str) -> Start<'a> {
        Start { name: self.name(), input, trace: self.trace(), parent: None }
    }

    fn request(&self) -> Result<Request, AwsError> {
        let context = self.header("x-amz-client-context").map(client_context).transpose()?;
        let payload = if self.payload.is_empty() { Bytes::from_static(b"{}") } else { self.payload.clone() };
        Ok(Request { client_context: context, trace: self.trace().map(str::to_owned), ..Request::new(payload) })
    }

    /// Checks the rules that apply to every invocation type.
    fn check(&self) -> Result<(), AwsError> {
        match (self.function.durable(), self.name()) {
            (Some(_), _) if !self.function.explicit => {
                Err(invalid("You cannot invoke a durable function using an unqualified ARN."))
            }
            (None, Some(_)) => Err(invalid("DurableExecutionName is allowed only for durable functions.")),
            _ => Ok(()),
        }
    }
}

pub(super) async fn invoke(
    State(lambda): State<Lambda>,
    Path(name): Path<String>,
    Query(query): Query<InvokeQuery>,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<Response, AwsError> {
    let function = lambda.functions.qualified(&name, query.qualifier.as_deref())?;
    let call = Call { function, headers: &headers, payload };
    call.check()?;
    match call.header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "Event" => invoke_event(&lambda, &call),
        "RequestResponse" => invoke_and_wait(&lambda, &call).await,
        "DryRun" => Ok(StatusCode::NO_CONTENT.into_response()),
        other => Err(invalid(format!("Unknown invocation type: {other}"))),
    }
}

fn invoke_event(lambda: &Lambda, call: &Call<'_>) -> Result<Response, AwsError> {
    limits::payload_fits(&call.payload, limits::EVENT_BYTES)?;
    let input = as_json(&call.payload)?;
    if call.function.durable().is_none() {
        let request = call.request()?;
        lambda.queue.accept(&Entry::event(&call.function, input, &request))?;
        return Ok(with_headers(StatusCode::ACCEPTED.into_response(), [("x-amzn-requestid", Some(&request.id))]));
    }
    let arn = lambda.durable.start(&call.function, &call.start(input))?;
    Ok(with_headers(StatusCode::ACCEPTED.into_response(), [("x-amz-durable-execution-arn", Some(&arn))]))
}

async fn invoke_and_wait(lambda: &Lambda, call: &Call<'_>) -> Result<Response, AwsError> {
    limits::payload_fits(&call.payload, limits::SYNC_BYTES)?;
    let input = as_json(&call.payload)?;
    if let Some(durable) = call.function.durable() {
        if i64::try_from(durable.execution_timeout.as_secs()).map_or(true, |s| s > *limits::FUNCTION_SECONDS.end()) {
            let why =
                "You cannot synchronously invoke a durable function with an executionTimeout greater than 15 minutes.";
            return Err(invalid(why));
        }
        let arn = lambda.durable.start(&call.function, &call.start(input))?;
        return Ok(of_execution(lambda.durable.ended(&arn).await?));
    }
    let slot = lambda.functions.slot(&call.function).await;
    let slot = slot.ok_or_else(|| AwsError::internal("the emulator is stopping"))?;
    let ran = slot.run(call.request()?).await;
    let tail = match call.header("x-amz-log-type") {
        Some("Tail") => Some(log_tail(lambda, &call.function, &ran)),
        _ => None,
    };
    let (response, failed) = match ran.outcome {
        Outcome::Answered(body) => (body.into_response(), false),
        Outcome::Failed(error) => (Json(RuntimeError::from(error)).into_response(), true),
    };
    let headers = [
        ("x-amzn-requestid", Some(ran.request_id.as_str())),
        ("x-amz-executed-version", Some(call.function.version.as_str())),
        ("x-amz-function-error", failed.then_some("Unhandled")),
        ("x-amz-log-result", tail.as_deref()),
    ];
    Ok(with_headers(response, headers))
}

/// The response to a synchronous start of a durable execution that has ended.
fn of_execution(execution: Execution) -> Response {
    let failed = execution.status != ExecutionStatus::Succeeded;
    let response = if failed {
        Json(RuntimeError::from(execution.error.unwrap_or_default())).into_response()
    } else {
        execution.result.filter(|result| !result.is_empty()).unwrap_or_else(|| "null".to_owned()).into_response()
    };
    let headers = [
        ("x-amz-durable-execution-arn", Some(execution.arn.as_str())),
        ("x-amz-executed-version", Some(execution.version.as_str())),
        ("x-amz-function-error", failed.then_some("Unhandled")),
        ("content-type", Some("application/json")),
    ];
    with_headers(response, headers)
}

fn with_headers<'a, S: AsRef<str> + ?Sized + 'a>(
    mut response: Response,
    headers: impl IntoIterator<Item = (&'static str, Option<&'a S>)>,
) -> Response {
    for (name, value) in headers {
        if let Some(Ok(value)) = value.map(|value| HeaderValue::try_from(value.as_ref())) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Parses the payload. An empty one is `{}`.
fn as_json(payload: &Bytes) -> Result<&str, AwsError> {
    if payload.is_empty() {
        return Ok("{}");
    }
    let wrong = |why: String| {
        let message = format!("Could not parse request body into json: {why}");
        AwsError::bad_request("InvalidRequestContentException", message)
    };
    let text = std::str::from_utf8(payload).map_err(|why| wrong(why.to_string()))?;
    serde_json::from_str::<&RawValue>(text).map_err(|why| wrong(why.to_string()))?;
    Ok(text)
}

/// Decodes the client context: the header has it as base64, and a process gets it as JSON.
fn client_context(header: &str) -> Result<String, AwsError> {
    let decoded = BASE64_STANDARD.decode(header).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let json = decoded.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let json = json.ok_or_else(|| {
        let message = "Client context must be a valid Base64-encoded JSON object.";
        AwsError::bad_request("InvalidRequestContentException", message)
    })?;
    Ok(json.to_string())
}

/// The last lines that an invocation wrote to its log, as base64.
fn log_tail(lambda: &Lambda, function: &Qualified, ran: &Ran) -> String {
    let group = format!("/aws/lambda/{}", function.name());
    let lines = ran.stream.as_ref().and_then(|stream| lambda.logs.newest_lines(&group, stream, ran.started_at).ok());
    let lines = lines.unwrap_or_default();
    let text = lines.join("\n");
    let bytes = text.as_bytes();
    BASE64_STANDARD.encode(bytes.get(bytes.len().saturating_sub(LOG_TAIL_BYTES)..).unwrap_or_default())
}
