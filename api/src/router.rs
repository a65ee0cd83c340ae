//! What is served where, and with what.

use std::sync::Arc;

use aws::{Catalog, Connection, Executions, Workflows};
use axum::{Router, extract::DefaultBodyLimit, middleware};
use domain::limits;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    caller::Callers,
    config::Config,
    document, executions, health,
    problem::{Code, Problem},
    request_id, start,
};

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) executions: Executions,
    pub(crate) workflows: Workflows,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) callers: Callers,
}

impl App {
    /// An API over these services, for these callers.
    #[must_use]
    pub fn new(connection: &Connection, config: Config, callers: Callers) -> Self {
        Self {
            executions: Executions::new(connection, config.table),
            workflows: Workflows::new(connection, config.sync_function, config.callback_function),
            catalog: Arc::new(config.catalog),
            callers,
        }
    }
}

/// The API.
pub fn router(app: App) -> Router {
    let (routes, api) = documented().split_for_parts();
    routes
        .merge(document::routes(api))
        .fallback(|| async { Problem::new(Code::PathNotFound, "the document at /openapi.json lists what there is") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "the Allow header lists the methods of this path")
        })
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .layer(middleware::from_fn(request_id::layer))
        .with_state(app)
}

/// Every route that is in the document.
pub(crate) fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(document::base())
        .routes(routes!(start::start_sync))
        .routes(routes!(start::start_callback))
        .routes(routes!(executions::get_execution))
        .routes(routes!(health::get_health))
}
