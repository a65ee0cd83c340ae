//! One port for all of AWS: says which service a request is for, by what the services' protocols put into it.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{FromRequest as _, Path, Request, State},
    http::{StatusCode, Uri, uri::PathAndQuery},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
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
    client: Client<HttpConnector, Body>,
}

impl Services {
    pub(crate) fn new(dynamodb: SocketAddr, ecs: Ecs, events: Events, logs: Logs, lambda: Lambda) -> Self {
        Self { dynamodb, ecs, events, logs, lambda, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Everything on one port: Lambda by its paths, the others by `x-amz-target`.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/_ecs/v4/{task}/task", get(task_metadata))
            .route("/", any(by_target))
            .with_state(self.clone())
            .merge(self.lambda.router())
            .fallback(|| async { unknown("no service of the local stack has this path") })
    }

    async fn to_dynamodb(&self, mut request: Request) -> Response {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let to = Uri::builder().scheme("http").authority(self.dynamodb.to_string()).path_and_query(path).build();
        let Ok(to) = to else { return unknown("the path is not one").into_response() };
        *request.uri_mut() = to;
        match self.client.request(request).await {
            Ok(response) => response.map(Body::new),
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
