//! The program, used as any program uses AWS: with AWS's own SDKs, over its port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

use std::{path::Path, process::Stdio};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::{config::Credentials, types::AttributeValue};
use emulator::testing::{Client, PATIENCE, eventually, first_line};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::process::{Child, Command};

/// A running emulator, and how to reach it.
struct Program {
    process: Child,
    url: String,
    aws: SdkConfig,
}

impl Program {
    async fn start(directory: &Path, resources: &serde_json::Value) -> Self {
        let file = directory.join("resources.json");
        std::fs::write(&file, resources.to_string()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_emulator"))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(directory.join("data"))
            .arg("--resources")
            .arg(file)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let url = first_line(&mut process).await;
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&url)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "any", None, None, "test"))
            .load()
            .await;
        Self { process, url, aws }
    }

    /// Asks the emulator to stop, and waits until it has stopped.
    async fn stop(mut self) {
        let pid = Pid::from_raw(self.process.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = tokio::time::timeout(PATIENCE, self.process.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
    }
}

fn resources() -> serde_json::Value {
    json!({
        "tables": [{ "create": {
            "TableName": "notes",
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "BillingMode": "PAY_PER_REQUEST",
        }}],
        "cluster": "jobs",
        "taskEnvironment": { "NAME": "world" },
        "taskDefinitions": [{
            "family": "greet",
            "containerDefinitions": [{
                "name": "main",
                "image": "any",
                "command": ["sh", "-c", "echo hello $NAME"],
                "logConfiguration": { "logDriver": "awslogs", "options": {
                    "awslogs-group": "/jobs", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "task",
                }},
            }],
        }],
    })
}

#[tokio::test]
async fn what_the_resources_declare_exists_and_what_clients_store_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &resources()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&program.aws);
    let item = || AttributeValue::S("first".to_owned());
    dynamodb.put_item().table_name("notes").item("id", item()).send().await.unwrap();
    program.stop().await;

    let program = Program::start(directory.path(), &resources()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&program.aws);
    let found = dynamodb.get_item().table_name("notes").key("id", item()).send().await.unwrap();
    assert_eq!(found.item.unwrap()["id"], item());
    let ecs = aws_sdk_ecs::Client::new(&program.aws);
    let definition = ecs.describe_task_definition().task_definition("greet").send().await.unwrap();
    assert_eq!(definition.task_definition.unwrap().revision, 1, "an unchanged definition gets no new revision");
    program.stop().await;
}

#[tokio::test]
async fn a_task_runs_and_its_output_is_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &resources()).await;
    let ecs = aws_sdk_ecs::Client::new(&program.aws);
    let started = ecs.run_task().cluster("jobs").task_definition("greet").send().await.unwrap();
    let arn = started.tasks()[0].task_arn().unwrap().to_owned();
    let stopped = eventually("the task to stop", async || {
        let described = ecs.describe_tasks().cluster("jobs").tasks(&arn).send().await.unwrap();
        described.tasks.unwrap().pop().filter(|task| task.last_status() == Some("STOPPED"))
    });
    assert_eq!(stopped.await.containers()[0].exit_code(), Some(0));
    let stream = format!("task/main/{}", arn.rsplit('/').next().unwrap());
    let logs = aws_sdk_cloudwatchlogs::Client::new(&program.aws);
    let log = logs.get_log_events().log_group_name("/jobs").log_stream_name(stream).send().await.unwrap();
    assert_eq!(log.events()[0].message(), Some("hello world"));
    program.stop().await;
}

/// The SDK retries a call that was throttled.
#[tokio::test]
async fn a_fault_hits_the_calls_that_it_selects() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &resources()).await;
    let client = Client::new(&program.url);
    let fault = json!({ "on": "dynamodb:PutItem", "by": "test", "does": "throttle" });
    let id = client.arm(&fault).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&program.aws);
    let put = dynamodb.put_item().table_name("notes").item("id", AttributeValue::S("second".to_owned()));
    put.send().await.unwrap();
    let armed = client.fault(id).await;
    assert_eq!((&armed["seen"], &armed["hit"]), (&json!(2), &json!(1)));
    program.stop().await;
}
