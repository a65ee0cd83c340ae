//! One port for all of AWS: passes each request to the service whose protocol it speaks.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::get,
};

use crate::{
    callers,
    ecs::{Ecs, TaskMetadata},
    service::{Service, called},
    wire::AwsError,
};

/// The maximum size of a request that is read as a whole: DynamoDB's, which is the largest of all services
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
const BODY_BYTES: usize = 16 * 1024 * 1024;

/// Everything on one port: these services, and the task metadata endpoint.
pub(crate) fn router(services: Vec<Box<dyn Service>>, ecs: Ecs) -> Router {
    let metadata = Router::new().route("/_ecs/v4/{task}/task", get(task_metadata)).with_state(ecs);
    Router::new()
        .fallback(pass)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(Arc::from(services))
        .merge(metadata)
}

async fn pass(State(services): State<Arc<[Box<dyn Service>]>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let called = called(&parts);
    let service = called.and_then(|(facts, operation)| {
        let service = services.iter().find(|service| *service.facts() == *facts)?;
        Some((service, facts.name, operation))
    });
    let Some((service, name, operation)) = service else {
        return unknown("no service here has this x-amz-target, or this method and path").into_response();
    };
    let by = callers::key_of_request(&parts).unwrap_or_default();
    let response = service.answer(&operation, Request::from_parts(parts, body)).await;
    tracing::debug!(service = name, operation, by, status = response.status().as_u16(), "answered a call");
    response
}

async fn task_metadata(State(ecs): State<Ecs>, Path(task): Path<String>) -> Result<Json<TaskMetadata>, AwsError> {
    ecs.metadata(&task).map(Json)
}

fn unknown(why: &str) -> AwsError {
    AwsError { status: StatusCode::NOT_FOUND, code: "UnknownOperationException", message: why.to_owned() }
}
