//! One port for all of AWS: recognizes the service of a request by its protocol.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest as _, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{dynamodb::DynamoDb, ecs::Ecs, events::Events, lambda::Lambda, logs::Logs, wire::AwsError};

/// Most bytes of a request: as many as DynamoDB accepts, which accepts the most
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>).
const BODY_BYTES: usize = 16 * 1024 * 1024;

/// The services behind the port.
#[derive(Debug, Clone)]
pub(crate) struct Services {
    pub(crate) dynamodb: DynamoDb,
    pub(crate) ecs: Ecs,
    pub(crate) events: Events,
    pub(crate) logs: Logs,
    pub(crate) lambda: Lambda,
    /// Receives the body of every `PutItem` that succeeded.
    pub(crate) put_items: Option<mpsc::Sender<Bytes>>,
}

impl Services {
    /// Everything on one port: Lambda by its paths, the others by `x-amz-target`.
    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/_ecs/v4/{task}/task", get(task_metadata))
            .route("/", any(by_target).layer(DefaultBodyLimit::max(BODY_BYTES)))
            .with_state(self.clone())
            .merge(self.lambda.router())
            .fallback(|| async { unknown("no service of the local stack has this path") })
    }
}

async fn by_target(State(services): State<Services>, request: Request) -> Response {
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (service, operation) = target.split_once('.').unwrap_or_default();
    let (service, operation) = (service.to_owned(), operation.to_owned());
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(why) => return why.into_response(),
    };
    match service.as_str() {
        "DynamoDB_20120810" | "DynamoDBStreams_20120810" => {
            let listener = services.put_items.as_ref().filter(|_| operation == "PutItem").zip(Some(body.clone()));
            let answer = services.dynamodb.answer(operation, body).await;
            if let Some((listener, put)) = listener.filter(|_| answer.status().is_success()) {
                // A listener that is slow must neither block the emulator nor fill its memory.
                let _ = listener.try_send(put);
            }
            answer
        }
        "AmazonEC2ContainerServiceV20141113" => match services.ecs.answer(&operation, &body).await {
            Ok(answer) => Json(answer).into_response(),
            Err(refused) => refused.into_response(),
        },
        "AWSEvents" => match services.events.handle(&operation, &body, &services.lambda) {
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
