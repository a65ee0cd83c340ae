//! Lambda's HTTP API: the REST-JSON protocol of the service model, as `botocore` has it.

mod durable;
mod functions;
mod invoke;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post, put},
};
use serde::de::DeserializeOwned;

use super::{
    Lambda,
    limits::{self, invalid},
};
use crate::wire::AwsError;

pub(super) fn router(lambda: Lambda) -> Router {
    let functions = Router::new()
        .route("/2015-03-31/functions/", get(functions::list).post(functions::create))
        .route("/2015-03-31/functions", get(functions::list).post(functions::create))
        .route("/2015-03-31/functions/{name}", get(functions::get).delete(functions::delete))
        .route("/2015-03-31/functions/{name}/code", put(functions::update_code))
        .route(
            "/2015-03-31/functions/{name}/configuration",
            get(functions::configuration).put(functions::update_configuration),
        )
        .route("/2015-03-31/functions/{name}/versions", get(functions::versions).post(functions::publish))
        .route("/2015-03-31/functions/{name}/aliases", get(functions::aliases).post(functions::create_alias))
        .route(
            "/2015-03-31/functions/{name}/aliases/{alias}",
            get(functions::alias).put(functions::update_alias).delete(functions::delete_alias),
        )
        .route("/2015-03-31/functions/{name}/invocations", post(invoke::invoke));
    let durable = Router::new()
        .route("/2025-12-01/functions/{name}/durable-executions", get(durable::list))
        .route("/2025-12-01/durable-executions/{arn}", get(durable::get))
        .route("/2025-12-01/durable-executions/{arn}/checkpoint", post(durable::checkpoint))
        .route("/2025-12-01/durable-executions/{arn}/history", get(durable::history))
        .route("/2025-12-01/durable-executions/{arn}/state", get(durable::state))
        .route("/2025-12-01/durable-executions/{arn}/stop", post(durable::stop))
        .route("/2025-12-01/durable-execution-callbacks/{id}/succeed", post(durable::callback_success))
        .route("/2025-12-01/durable-execution-callbacks/{id}/fail", post(durable::callback_failure))
        .route("/2025-12-01/durable-execution-callbacks/{id}/heartbeat", post(durable::callback_heartbeat));
    // A checkpoint may carry several payloads, each within its own limit; JSON makes them longer.
    functions.merge(durable).layer(DefaultBodyLimit::max(8 * limits::SYNC_BYTES)).with_state(lambda)
}

/// Reads a body; none at all is an empty one.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AwsError> {
    let bytes = if bytes.is_empty() || bytes == b"null" { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|why| invalid(format!("Could not parse request body: {why}")))
}
