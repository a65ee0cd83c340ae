//! The lower limit of the API's cost: handlers that make the same AWS calls and do nothing else. They check no request,
//! enforce no rule, and return only a number or an id. The difference from the API is the API's own cost.
//!
//! `limit ADDRESS` serves on that address and prints its URL. Without an argument it runs on Lambda's Runtime API through
//! `lambda_http`, as the API does. `limit nothing` is a function that returns at once. It replaces the durable functions
//! where only the API is measured.

use std::{collections::HashMap, error::Error, sync::Arc};

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_lambda::{primitives::Blob, types::InvocationType};
use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use futures_util::future::try_join_all;
use lambda_http::lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime::Builder};
use uuid::Uuid;

type Failed = Box<dyn Error + Send + Sync>;
type Answer = Result<String, (StatusCode, String)>;

const TABLE: &str = "longhaul-executions";
const LOG_GROUP: &str = "/ecs/longhaul";

/// The API's default page size plus one: the number of items that the API requests from each shard.
const PAGE: i32 = 51;

struct Aws {
    dynamodb: aws_sdk_dynamodb::Client,
    lambda: aws_sdk_lambda::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
}

/// Uses as many threads as the API: one in a function, one for each core as a server.
fn main() -> Result<(), Failed> {
    let argument = std::env::args().nth(1);
    let mut runtime = match argument.as_deref() {
        None | Some("nothing") => Builder::new_current_thread(),
        Some(_) => Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(run(argument))
}

async fn run(argument: Option<String>) -> Result<(), Failed> {
    if argument.as_deref() == Some("nothing") {
        let answer =
            |_: LambdaEvent<Value>| async { Ok::<_, Failed>(json!({ "Status": "SUCCEEDED", "Result": "null" })) };
        return lambda_http::lambda_runtime::run(service_fn(answer)).await;
    }
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let aws = Aws {
        dynamodb: aws_sdk_dynamodb::Client::new(&config),
        lambda: aws_sdk_lambda::Client::new(&config),
        logs: aws_sdk_cloudwatchlogs::Client::new(&config),
    };
    let router = Router::new()
        .route("/executions/sync", post(start))
        .route("/executions/callback", post(start))
        .route("/executions", get(list))
        .route("/executions/{id}", get(one))
        .route("/executions/{id}/cancel", post(one))
        .route("/executions/{id}/rerun", post(rerun))
        .route("/executions/{id}/logs", get(logs))
        .route("/executions/{id}/history", get(history))
        .route("/jobs", get(nothing))
        .route("/healthz", get(nothing))
        .route("/openapi.json", get(nothing))
        .with_state(Arc::new(aws));
    let Some(address) = argument else { return lambda_http::run(router).await };
    let listener = TcpListener::bind(address).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

fn failed(why: impl Into<Failed>) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{:?}", why.into()))
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

async fn nothing() -> &'static str {
    "{}"
}

async fn start(State(aws): State<Arc<Aws>>, body: Bytes) -> Answer {
    aws.start(&body).await
}

async fn one(State(aws): State<Arc<Aws>>, Path(id): Path<String>) -> Answer {
    Ok(aws.item(&id).await?.len().to_string())
}

async fn list(State(aws): State<Arc<Aws>>) -> Answer {
    let part = |number| {
        let query = aws.dynamodb.query().table_name(TABLE).index_name("byOwner").scan_index_forward(false).limit(PAGE);
        query
            .key_condition_expression("ownerShard = :shard AND #created BETWEEN :low AND :high")
            .expression_attribute_names("#created", "created")
            .expression_attribute_values(":shard", text(format!("{number}:local")))
            .expression_attribute_values(":low", text("0"))
            .expression_attribute_values(":high", text("~"))
            .send()
    };
    let parts = try_join_all((0..4).map(part)).await.map_err(failed)?;
    Ok(parts.iter().map(|part| part.count).sum::<i32>().to_string())
}

async fn rerun(State(aws): State<Arc<Aws>>, Path(id): Path<String>) -> Answer {
    aws.item(&id).await?;
    aws.start(b"{}").await
}

async fn logs(State(aws): State<Arc<Aws>>, Path(id): Path<String>) -> Answer {
    let item = aws.item(&id).await?;
    let run = item.get("run").and_then(|run| run.as_m().ok());
    let arn = run.and_then(|run| run.get("taskArn")?.as_s().ok()).ok_or_else(|| failed("no task"))?;
    let stream = format!("task/job/{}", arn.rsplit('/').next().unwrap_or_default());
    let request = aws.logs.get_log_events().log_group_name(LOG_GROUP).log_stream_name(stream);
    let page = request.start_from_head(true).limit(1_000).send().await.map_err(failed)?;
    Ok(page.events().len().to_string())
}

async fn history(State(aws): State<Arc<Aws>>, Path(id): Path<String>) -> Answer {
    let item = aws.item(&id).await?;
    let arn = item.get("durableExecutionArn").and_then(|arn| arn.as_s().ok()).ok_or_else(|| failed("no workflow"))?;
    let request = aws.lambda.get_durable_execution_history().durable_execution_arn(arn);
    let page = request.include_execution_data(false).max_items(1_000).send().await.map_err(failed)?;
    Ok(page.events().len().to_string())
}

impl Aws {
    async fn item(&self, id: &str) -> Result<HashMap<String, AttributeValue>, (StatusCode, String)> {
        let request = self.dynamodb.get_item().table_name(TABLE).consistent_read(true);
        let found = request.key("executionId", text(id)).send().await.map_err(failed)?;
        Ok(found.item.unwrap_or_default())
    }

    /// Writes an item of the same size and with the same indexes as the API's, for another owner, and due in the far future.
    async fn start(&self, input: &[u8]) -> Answer {
        let id = Uuid::new_v4().to_string();
        let now = "2026-01-02T03:04:05.123456789Z";
        let created = HashMap::from([("at".to_owned(), text(now)), ("what".to_owned(), text("created"))]);
        let numbers = [("version", 1), ("timeoutSeconds", 31_536_000), ("maxAttempts", 1)];
        let times = [("expiresAt", 4_102_444_800_i64), ("due", 4_102_444_800)];
        let number = |(name, number): (&str, i64)| (name.to_owned(), AttributeValue::N(number.to_string()));
        let texts = [
            ("executionId", id.as_str()),
            ("ownerShard", "0:limit"),
            ("created", id.as_str()),
            ("pattern", "sync"),
            ("status", "PENDING"),
            ("owner", "limit"),
            ("job", "demo"),
            ("fingerprint", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
            ("createdAt", now),
            ("deadline", now),
            ("activeShard", "0"),
        ];
        let item: HashMap<_, _> = texts
            .into_iter()
            .map(|(name, value)| (name.to_owned(), text(value)))
            .chain(numbers.into_iter().chain(times).map(number))
            .chain([
                ("input".to_owned(), text(String::from_utf8_lossy(input))),
                ("timeline".to_owned(), AttributeValue::L(vec![AttributeValue::M(created)])),
            ])
            .collect();
        let put = self.dynamodb.put_item().table_name(TABLE).set_item(Some(item));
        let put = put
            .condition_expression("attribute_not_exists(#key) OR #expires <= :now")
            .expression_attribute_names("#key", "executionId")
            .expression_attribute_names("#expires", "expiresAt")
            .expression_attribute_values(":now", AttributeValue::N("1767323045".to_owned()));
        put.send().await.map_err(failed)?;
        let payload = json!({ "longhaul": { "executionId": id } }).to_string();
        let invoke = self.lambda.invoke().function_name("longhaul-sync:live").invocation_type(InvocationType::Event);
        invoke.durable_execution_name(&id).payload(Blob::new(payload)).send().await.map_err(failed)?;
        Ok(id)
    }
}
