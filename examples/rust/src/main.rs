//! Starts the demonstration job, waits until it is over, and prints its result: `start-and-wait URL NAME`.
//!
//! NAME makes the start idempotent. If this program is killed and runs again with the same name, it finds the same execution.

use std::{error::Error, time::Duration};

use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{ETAG, IF_NONE_MATCH, RETRY_AFTER},
};
use serde::Deserialize;
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Longer than the API holds a response.
const TIMEOUT: Duration = Duration::from_secs(35);
/// How often a request is repeated after no response, a 408, a 429 or a 5xx. Every request here is idempotent.
const RETRIES: u32 = 5;
/// The pause before the next request, if the last response had no `Retry-After`.
const PAUSE: Duration = Duration::from_secs(2);

/// What this program reads of an execution.
#[derive(Deserialize)]
struct Execution {
    #[serde(rename = "executionId")]
    id: String,
    status: String,
    done: bool,
    #[serde(default)]
    result: Value,
    error: Option<ExecutionError>,
}

#[derive(Deserialize)]
struct ExecutionError {
    message: String,
}

/// What this program reads of a problem, which is an error of the API.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Problem {
    detail: String,
    request_id: String,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(api), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: start-and-wait URL NAME, for example http://127.0.0.1:8080 hello-1".into());
    };
    let client = Client::builder().timeout(TIMEOUT).build()?;

    let job = json!({ "job": "demo", "input": { "message": "Hello", "processingTime": 2 } });
    let start = client.post(format!("{api}/executions/sync")).header("idempotency-key", name).json(&job);
    let Execution { id, .. } = sent(start).await?.json().await?;
    println!("started {id}");

    let execution = ended(&client, &format!("{api}/executions/{id}")).await?;
    if let Some(error) = execution.error {
        return Err(format!("{}: {}", execution.status, error.message).into());
    }
    println!("{}", execution.result);
    Ok(())
}

/// The execution at an address, once it is over.
async fn ended(client: &Client, url: &str) -> Outcome<Execution> {
    let mut etag = None;
    loop {
        let mut poll = client.get(url);
        // The response is held until something changes, for 20 s at most.
        if let Some(known) = &etag {
            poll = poll.header(IF_NONE_MATCH, known).header("prefer", "wait=20");
        }
        let response = sent(poll).await?;
        let held = response.headers().contains_key("preference-applied");
        let first = etag.is_none();
        let pause = retry_after(&response);
        if response.status() != StatusCode::NOT_MODIFIED {
            etag = response.headers().get(ETAG).cloned();
            let execution: Execution = response.json().await?;
            if execution.done {
                return Ok(execution);
            }
            println!("{}", execution.status);
        }
        // The first request was not held, because no `ETag` was known yet. The next one is, so it needs no pause before it.
        let at_once = held || (first && etag.is_some());
        if !at_once {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Sends a request, retries transient failures, and turns a problem into an error.
async fn sent(request: RequestBuilder) -> Outcome<Response> {
    let mut retries = 0;
    loop {
        let again = request.try_clone().ok_or("the request has a body that cannot be sent twice")?;
        let pause = match again.send().await {
            Ok(response) if is_transient(response.status()) && retries < RETRIES => retry_after(&response),
            Ok(response) if response.status().is_client_error() || response.status().is_server_error() => {
                let status = response.status();
                let problem: Problem = response.json().await.unwrap_or_default();
                return Err(format!("{status}: {} (request {})", problem.detail, problem.request_id).into());
            }
            Ok(response) => return Ok(response),
            Err(_) if retries < RETRIES => PAUSE,
            Err(error) => return Err(error.into()),
        };
        retries += 1;
        tokio::time::sleep(pause).await;
    }
}

fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT || status.is_server_error()
}

fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    seconds.map_or(PAUSE, Duration::from_secs)
}
