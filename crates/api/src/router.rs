//! The routes, and the layers around them.

use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath},
    handler::Handler,
    http::Method,
    middleware,
    response::{IntoResponse as _, Response},
    routing::{MethodFilter, on},
};
use domain::limits;
use pastey::paste;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{Path, openapi::OpenApi};
use utoipa_axum::{PathItemExt, router::OpenApiRouter};

use crate::{
    answers::problem::{self, Code, Problem},
    app::App,
    docs, document,
    handlers::{
        batches, cancel, change, executions, health, history, index, jobs, listing, logs, schedules, start, uploads,
    },
    layers::{cors, cross_site, deadline, request_id, security},
};

/// The API.
pub fn router(app: App) -> Router {
    let routes = served()
        .merge(document::routes())
        .merge(docs::routes())
        .merge(index::routes())
        .fallback(|| async { Problem::new(Code::PathNotFound, "the document at /openapi.json lists all paths") })
        .method_not_allowed_fallback(|method: Method, path: Option<MatchedPath>| async move {
            Problem::new(Code::MethodNotAllowed, instead(&method, path.as_ref().map_or("", MatchedPath::as_str)))
        })
        .layer(DefaultBodyLimit::max(limits::BODY_BYTES))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(deadline::layer))
        .layer(middleware::from_fn_with_state(app.clone(), cross_site::layer));
    cors::open_to(&app.cors_origins, &app.callers, routes)
        .layer(middleware::from_fn(security::layer))
        .layer(middleware::from_fn_with_state(app.clone(), request_id::layer))
        .with_state(app)
}

/// What to send instead of a method that a path does not support.
fn instead(method: &Method, path: &str) -> &'static str {
    match (method.as_str(), path) {
        ("POST" | "PUT", "/executions" | "/executions/{executionId}") => {
            "nothing is started here; start an execution with POST /executions/sync or POST /executions/callback"
        }
        ("GET" | "HEAD", "/executions/sync" | "/executions/callback") => {
            "this path starts executions, with POST; list them with GET /executions"
        }
        ("GET" | "HEAD", "/batches") => {
            "this path starts batches, with POST; list the executions of one with GET /executions?batch=ID"
        }
        ("DELETE", "/executions/{executionId}") => "to stop an execution, POST /executions/{executionId}/cancel",
        _ => "the Allow header lists the methods that this path supports",
    }
}

/// Turns a panic in one request into a 500 for that request, without affecting others.
#[expect(clippy::needless_pass_by_value, reason = "the layer hands it over")]
fn panicked(what: Box<dyn Any + Send>) -> Response {
    let said = what.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let said = said.or_else(|| what.downcast_ref::<String>().cloned()).unwrap_or_default();
    Problem::internal(format!("the handler panicked: {said}")).into_response()
}

/// Each route once, in the order of use, both to serve and to document it. The documentation is built only when the document is
/// requested: building it would take a third of a function's start, and most processes never need it.
macro_rules! routes {
    ($($room:ident::$handler:ident),+ $(,)?) => { paste! {
        fn served() -> Router<App> {
            Router::new()$(.merge(route::<$room::[<__path_ $handler>], _, _>($room::$handler)))+
        }

        /// The document of every route.
        pub(crate) fn documented() -> OpenApi {
            let routes = OpenApiRouter::<App>::with_openapi(document::base());
            let mut document = routes$(.routes(utoipa_axum::routes!($room::$handler)))+.into_openapi();
            document::name_requests(&mut document);
            document::link_executions(&mut document);
            document::merge_objects(&mut document);
            problem::share(&mut document);
            document
        }
    } };
}

routes![
    start::start_sync,
    start::start_callback,
    executions::get_execution,
    listing::list_executions,
    cancel::cancel,
    change::change,
    start::rerun,
    batches::start_batch,
    batches::get_batch,
    logs::get_logs,
    history::get_history,
    start::validate_sync,
    start::validate_callback,
    uploads::create_upload,
    schedules::put_schedule,
    schedules::get_schedule,
    schedules::delete_schedule,
    schedules::list_schedules,
    schedules::pause_schedule,
    schedules::resume_schedule,
    schedules::trigger_schedule,
    jobs::list_jobs,
    health::get_health,
];

/// A handler at the path that its attribute names.
fn route<P: Path, H: Handler<T, App>, T: 'static>(handler: H) -> Router<App> {
    let methods = P::methods().iter().map(PathItemExt::to_method_filter).reduce(MethodFilter::or);
    Router::new().route(&P::path(), on(methods.unwrap_or(MethodFilter::GET), handler))
}
