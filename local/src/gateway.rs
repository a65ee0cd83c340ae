//! One port for all of AWS: says which service a request is for, by what the services' protocols put into it.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{FromRequest as _, Path, Request, State},
    http::{self, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::Value;

use crate::{ecs::Ecs, events::Events, lambda::Lambda, logs::Logs, wire::AwsError};

/// The services behind the port.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    pub(crate) dynamodb: SocketAddr,
    pub(crate) ecs: Ecs,
    pub(crate) events: Events,
    pub(crate) logs: Logs,
    pub(crate) lambda: Lambda,
    pub(crate) client: reqwest::Client,
}

impl Services {
    /// Everything on one port: Lambda by its paths, the others by `x-amz-target`.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/_ecs/v4/{task}/task", get(task_metadata))
            .route("/", any(by_target))
            .with_state(self.clone())
            .merge(self.lambda.router())
            .fallback(|| async { unknown("no service of the local stack has this path") })
    }

    async fn to_dynamodb(&self, request: Request) -> Response {
        let (mut parts, body) = request.into_parts();
        let body = match axum::body::to_bytes(body, usize::MAX).await {
            Ok(body) => body,
            Err(why) => return AwsError::internal(format!("the request broke off: {why}")).into_response(),
        };
        // How the body came says nothing of how it goes on.
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            parts.headers.remove(name);
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = self.client.request(parts.method, format!("http://{}{path}", self.dynamodb));
        match request.headers(parts.headers).body(body).send().await {
            Ok(response) => http::Response::from(response).map(Body::new),
            Err(why) => AwsError::internal(format!("DynamoDB does not answer: {why}")).into_response(),
        }
    }
}

async fn by_target(State(services): State<Services>, request: Request) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or_default();
    let (service, operation) = (service.to_owned(), operation.to_owned());
    if service.starts_with("DynamoDB") {
        return services.to_dynamodb(request).await;
    }
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(why) => return why.into_response(),
    };
    match service.as_str() {
        "AmazonEC2ContainerServiceV20141113" => match services.ecs.answer(&operation, &body).await {
            Ok(answer) => Json(answer).into_response(),
            Err(refused) => refused.into_response(),
        },
        "AWSEvents" => match services.events.handle(&operation, &body) {
            Ok(answer) => Json(answer).into_response(),
            Err(refused) => refused.into_response(),
        },
        "Logs_20140328" => match services.logs.handle(&operation, &body).await {
            Ok(answer) => Json(answer).into_response(),
            Err(refused) => refused.into_response(),
        },
        _ => unknown("x-amz-target names no service of the local stack").into_response(),
    }
}

async fn task_metadata(State(services): State<Services>, Path(task): Path<String>) -> Result<Json<Value>, AwsError> {
    services.ecs.metadata(&task).map(Json)
}

fn unknown(why: &str) -> AwsError {
    AwsError { status: StatusCode::NOT_FOUND, code: "UnknownOperationException", message: why.to_owned() }
}
