//! The index at `/`: links to the rest of the API, as a page for browsers and as JSON for other clients.

use axum::{
    Json, Router,
    http::{HeaderMap, header},
    response::{Html, IntoResponse as _, Response},
    routing::get,
};
use serde_json::json;

use crate::app::App;

/// Links are relative, like those of the documentation, since API Gateway may put a stage in front of them.
const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Longhaul</title>
</head>
<body>
<h1>Longhaul</h1>
<p>Runs container jobs on AWS for as long as they take, and never loses one.</p>
<ul>
<li><a href="docs/">Documentation</a>, with a form to try each call</li>
<li><a href="docs/errors">Errors</a>, and what to do about each</li>
<li><a href="openapi.yaml">OpenAPI document</a>, also <a href="openapi.json">in JSON</a></li>
<li><a href="executions">Your executions</a>, newest first</li>
<li><a href="jobs">The jobs that may be run</a></li>
</ul>
<p>To start an execution, POST to <code>/executions/sync</code> or <code>/executions/callback</code>.</p>
</body>
</html>
"#;

/// Its path.
pub(crate) const PATH: &str = "/";

/// The index.
pub(crate) fn routes() -> Router<App> {
    Router::new().route(PATH, get(index))
}

async fn index(headers: HeaderMap) -> Response {
    let answer = if wants_page(&headers) {
        Html(PAGE).into_response()
    } else {
        Json(json!({
            "name": "Longhaul",
            "links": {
                "documentation": "/docs/",
                "document": "/openapi.json",
                "errors": "/docs/errors",
                "executions": "/executions",
                "jobs": "/jobs",
                "health": "/healthz",
            },
        }))
        .into_response()
    };
    ([(header::VARY, "accept")], answer).into_response()
}

/// Whether the request comes from a browser: browsers accept HTML by name, programs accept anything.
fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("text/html"))
}
