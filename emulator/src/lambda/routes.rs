//! Lambda's HTTP API: the REST-JSON protocol of the service model, as `botocore` has it.

mod durable;
mod functions;
mod invoke;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::Method,
    routing::{delete, get, post, put},
};
use serde::de::DeserializeOwned;

use super::{
    Lambda,
    limits::{self, invalid},
};
use crate::wire::AwsError;

/// Makes the routes: a method, a path, the operation's name in the service, and its handler
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html>).
macro_rules! routes {
    ($($method:ident $path:literal $name:ident => $handler:path;)+) => {
        /// The operations that are answered here.
        pub(crate) const OPERATIONS: &[&str] = &[$(stringify!($name)),+];

        const ROUTES: &[(&str, &str, &str)] = &[$((stringify!($method), $path, stringify!($name))),+];

        fn routes() -> Router<Lambda> {
            Router::new()$(.route($path, $method($handler)))+
        }
    };
}

routes! {
    get "/2015-03-31/functions" ListFunctions => functions::list;
    post "/2015-03-31/functions" CreateFunction => functions::create;
    get "/2015-03-31/functions/{name}" GetFunction => functions::get;
    delete "/2015-03-31/functions/{name}" DeleteFunction => functions::delete;
    put "/2015-03-31/functions/{name}/code" UpdateFunctionCode => functions::update_code;
    get "/2015-03-31/functions/{name}/configuration" GetFunctionConfiguration => functions::configuration;
    put "/2015-03-31/functions/{name}/configuration" UpdateFunctionConfiguration => functions::update_configuration;
    get "/2015-03-31/functions/{name}/versions" ListVersionsByFunction => functions::versions;
    post "/2015-03-31/functions/{name}/versions" PublishVersion => functions::publish;
    get "/2015-03-31/functions/{name}/aliases" ListAliases => functions::aliases;
    post "/2015-03-31/functions/{name}/aliases" CreateAlias => functions::create_alias;
    get "/2015-03-31/functions/{name}/aliases/{alias}" GetAlias => functions::alias;
    put "/2015-03-31/functions/{name}/aliases/{alias}" UpdateAlias => functions::update_alias;
    delete "/2015-03-31/functions/{name}/aliases/{alias}" DeleteAlias => functions::delete_alias;
    post "/2015-03-31/functions/{name}/invocations" Invoke => invoke::invoke;
    get "/2025-12-01/functions/{name}/durable-executions" ListDurableExecutionsByFunction => durable::list;
    get "/2025-12-01/durable-executions/{arn}" GetDurableExecution => durable::get;
    post "/2025-12-01/durable-executions/{arn}/checkpoint" CheckpointDurableExecution => durable::checkpoint;
    get "/2025-12-01/durable-executions/{arn}/history" GetDurableExecutionHistory => durable::history;
    get "/2025-12-01/durable-executions/{arn}/state" GetDurableExecutionState => durable::state;
    post "/2025-12-01/durable-executions/{arn}/stop" StopDurableExecution => durable::stop;
    post "/2025-12-01/durable-execution-callbacks/{id}/succeed" SendDurableExecutionCallbackSuccess
        => durable::callback_success;
    post "/2025-12-01/durable-execution-callbacks/{id}/fail" SendDurableExecutionCallbackFailure
        => durable::callback_failure;
    post "/2025-12-01/durable-execution-callbacks/{id}/heartbeat" SendDurableExecutionCallbackHeartbeat
        => durable::callback_heartbeat;
}

pub(super) fn router(lambda: Lambda) -> Router {
    // boto3 calls these two with a slash at the end.
    let with_slash = get(functions::list).post(functions::create);
    // A checkpoint may carry several payloads, each within its own limit; JSON makes them longer.
    let limit = DefaultBodyLimit::max(8 * limits::SYNC_BYTES);
    routes().route("/2015-03-31/functions/", with_slash).layer(limit).with_state(lambda)
}

/// The operation that this method and path call.
pub(crate) fn operation(method: &Method, path: &str) -> Option<&'static str> {
    let parts = |path: &'static str| path.split('/').filter(|part| !part.is_empty());
    let called: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_at = |route: &'static str| {
        parts(route).count() == called.len()
            && parts(route).zip(&called).all(|(wanted, part)| wanted.starts_with('{') || wanted == *part)
    };
    let mut routes = ROUTES.iter();
    let found = routes.find(|(of, route, _)| of.eq_ignore_ascii_case(method.as_str()) && is_at(route));
    found.map(|(_, _, name)| *name)
}

/// Parses a body. A missing body is read as an empty object.
fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AwsError> {
    let bytes = if bytes.is_empty() || bytes == b"null" { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|why| invalid(format!("Could not parse request body: {why}")))
}
