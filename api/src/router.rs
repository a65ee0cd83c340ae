//! What is served where, and with what.

use std::{any::Any, sync::Arc};

use aws::{Catalog, Connection, Executions, Histories, Logs, Reconciler, Workflows};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse as _, Response},
};
use domain::limits;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    caller::Callers,
    cancel,
    config::Config,
    cors::{self, Origin},
    document, executions, health, history, listing, logs,
    problem::{Code, Problem},
    request_id, security, start, tasks,
};

/// What every handler shares.
#[derive(Debug, Clone)]
pub struct App {
    pub(crate) executions: Executions,
    pub(crate) workflows: Workflows,
    pub(crate) reconciler: Reconciler,
    pub(crate) histories: Histories,
    pub(crate) logs: Logs,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) callers: Callers,
    cors_origins: Arc<[Origin]>,
}

impl App {
    /// An API over these services, for these callers.
    #[must_use]
    pub fn new(connection: &Connection, config: Config, callers: Callers) -> Self {
        Self {
            executions: Executions::new(connection, config.table),
            histories: Histories::new(connection, &config.sync_function, &config.callback_function),
            logs: Logs::new(connection, config.log_group),
            workflows: Workflows::new(connection, config.sync_function, config.callback_function),
            reconciler: Reconciler::new(connection, config.reconciler_function),
            catalog: Arc::new(config.catalog),
            callers,
            cors_origins: config.cors_origins.into(),
        }
    }
}

/// The API.
pub fn router(app: App) -> Router {
    let (routes, _) = documented().split_for_parts();
    let routes = routes
        .merge(document::routes())
        .fallback(|| async { Problem::new(Code::PathNotFound, "the document at /openapi.json lists what there is") })
        .method_not_allowed_fallback(|| async {
            Problem::new(Code::MethodNotAllowed, "the Allow header lists the methods of this path")
        })
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked));
    cors::open_to(&app.cors_origins, routes)
        .layer(middleware::from_fn(security::layer))
        .layer(middleware::from_fn_with_state(app.clone(), request_id::layer))
        .with_state(app)
}

/// A mistake of ours in one request is that request's problem, and nobody else's.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(what: Box<dyn Any + Send>) -> Response {
    let said = what.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| what.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(said, "a handler panicked");
    Problem::new(Code::Internal, "it has been logged under this request's id").into_response()
}

/// Every route that is in the document.
pub(crate) fn documented() -> OpenApiRouter<App> {
    let mut routes = OpenApiRouter::with_openapi(document::base())
        .routes(routes!(start::start_sync))
        .routes(routes!(start::start_callback))
        .routes(routes!(listing::list_executions))
        .routes(routes!(executions::get_execution))
        .routes(routes!(cancel::cancel))
        .routes(routes!(start::rerun))
        .routes(routes!(logs::get_logs))
        .routes(routes!(history::get_history))
        .routes(routes!(tasks::list_tasks))
        .routes(routes!(health::get_health));
    document::name_requests(routes.get_openapi_mut());
    routes
}
