//! Runs the test commands of the original pattern with the ordinary `aws` client against the local stack.

use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::stack::{Stack, TABLE, eventually};

/// Runs `aws ARGUMENTS` against the stack, which accepts any credentials.
async fn aws(stack: &Stack, arguments: &[&str]) -> Output {
    let mut command = Command::new("aws");
    command.args(["--endpoint-url", &stack.aws, "--output", "json"]).args(arguments);
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ] {
        command.env(name, value);
    }
    command.output().await.expect("the aws client is not installed: run `make target/venv/.made`")
}

async fn json_of(stack: &Stack, arguments: &[&str]) -> Value {
    let output = aws(stack, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn refusal(stack: &Stack, arguments: &[&str]) -> String {
    let output = aws(stack, arguments).await;
    assert!(!output.status.success(), "{arguments:?} was not refused");
    String::from_utf8(output.stderr).unwrap()
}

/// The arguments of `aws lambda invoke` for a durable function.
fn invoke<'a>(function: &'a str, more: &[&'a str], payload: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["lambda", "invoke", "--function-name", function, "--payload", payload];
    arguments.extend(more);
    arguments.push("/dev/null");
    arguments
}

async fn items(stack: &Stack) -> Vec<Value> {
    let scan = json_of(stack, &["dynamodb", "scan", "--table-name", "longhaul-executions"]).await;
    scan["Items"].as_array().unwrap().clone()
}

/// A direct invocation returns no execution id. It is read from the table, as in the pattern's documentation.
async fn finished_item(stack: &Stack, pattern: &str) -> Value {
    let done = |item: &&Value| item["pattern"]["S"] == pattern && item["status"]["S"] == "COMPLETED";
    let id = eventually(&format!("a {pattern} execution that has completed"), async || {
        // Not with the `aws` client, which takes a second to start.
        let scan = stack.call("DynamoDB_20120810.Scan", json!({ "TableName": TABLE })).await;
        scan["Items"].as_array().unwrap().iter().find(done).map(|item| item["executionId"]["S"].clone())
    })
    .await;
    // The end is recorded before the last lines are in the log.
    stack.wait_for_tasks_to_stop(id.as_str().unwrap()).await;
    items(stack).await.iter().find(done).unwrap().clone()
}

#[tokio::test]
async fn the_commands_of_the_original_pattern_work() {
    let stack = Stack::start(&[]).await;
    let payload = r#"{"message": "Hello from the aws client", "processingTime": 1}"#;
    for (function, pattern) in [("longhaul-sync:$LATEST", "sync"), ("longhaul-callback:$LATEST", "callback")] {
        let event = ["--invocation-type", "Event"];
        let answer = json_of(&stack, &invoke(function, &event, payload)).await;
        assert_eq!(answer["StatusCode"], 202);
        assert!(answer["DurableExecutionArn"].as_str().is_none_or(|arn| arn.contains("/durable-execution/")));

        let item = finished_item(&stack, pattern).await;
        let id = item["executionId"]["S"].as_str().unwrap();
        let key = json!({ "executionId": { "S": id } }).to_string();
        let get = ["dynamodb", "get-item", "--table-name", "longhaul-executions", "--key", &key];
        let got = json_of(&stack, &get).await;
        let result: Value = serde_json::from_str(got["Item"]["result"]["S"].as_str().unwrap()).unwrap();
        assert_eq!(result["message"], "Hello from the aws client");
        let shown = stack.execution(id).await;
        assert_eq!(shown["status"], "COMPLETED", "the API shows it too");
        assert_eq!(shown["resultSource"], "stdout", "the worker reported the result: {shown:#}");
    }

    let group = ["--log-group-name", "/ecs/longhaul"];
    let streams = json_of(&stack, &["logs", "describe-log-streams", group[0], group[1]]).await;
    let stream = streams["logStreams"][0]["logStreamName"].as_str().unwrap();
    let events = json_of(&stack, &["logs", "get-log-events", group[0], group[1], "--log-stream-name", stream]).await;
    assert!(
        events["events"].as_array().unwrap().iter().any(|event| event["message"].as_str().unwrap().contains("Hello"))
    );
    let filtered = json_of(&stack, &["logs", "filter-log-events", group[0], group[1]]).await;
    assert!(filtered["events"].as_array().unwrap().len() >= 2, "`aws logs tail` uses this call");
    let functions =
        json_of(&stack, &["logs", "filter-log-events", "--log-group-name", "/aws/lambda/longhaul-sync"]).await;
    assert!(!functions["events"].as_array().unwrap().is_empty(), "the function has a log");
}

#[tokio::test]
async fn invalid_invocations_of_a_durable_function_are_refused_as_by_aws() {
    let stack = Stack::start(&[]).await;
    let event = ["--invocation-type", "Event"];
    let unqualified = refusal(&stack, &invoke("longhaul-sync", &event, "{}")).await;
    assert!(
        unqualified.contains("InvalidParameterValueException") && unqualified.contains("unqualified"),
        "{unqualified}"
    );
    let synchronous = refusal(&stack, &invoke("longhaul-sync:$LATEST", &[], "{}")).await;
    assert!(
        synchronous.contains("InvalidParameterValueException") && synchronous.contains("15 minutes"),
        "{synchronous}"
    );
    let unknown = refusal(&stack, &invoke("no-such-function:live", &event, "{}")).await;
    assert!(unknown.contains("ResourceNotFoundException"), "{unknown}");
    let invalid = refusal(&stack, &invoke("longhaul-sync:live", &event, "{")).await;
    assert!(invalid.contains("InvalidRequestContentException"), "{invalid}");
    assert!(items(&stack).await.is_empty(), "no execution was created");
}

/// As on AWS, the same name with the same payload returns the first execution, and with another payload is refused.
#[tokio::test]
async fn a_repeated_name_starts_no_second_durable_execution() {
    let stack = Stack::start(&[]).await;
    let invoke = |payload: &'static str| {
        let request = stack.post_to_aws("/2015-03-31/functions/longhaul-callback:live/invocations");
        let request = request.header("x-amz-invocation-type", "Event").header("x-amz-durable-execution-name", "mine");
        request.body(payload).send()
    };
    let arn = |response: &reqwest::Response| response.headers()["x-amz-durable-execution-arn"].clone();
    let (first, second) = (invoke(r#"{"message":"a"}"#).await.unwrap(), invoke(r#"{"message":"a"}"#).await.unwrap());
    assert_eq!(arn(&first), arn(&second));
    let other = invoke(r#"{"message":"b"}"#).await.unwrap();
    assert_eq!(other.status(), 409);
    assert_eq!(other.headers()["x-amzn-errortype"], "DurableExecutionAlreadyStartedException");
    eventually("the execution to appear", async || {
        (stack.get("/executions/mine").send().await.unwrap().status() == 200).then_some(())
    })
    .await;
    let done = stack.wait_for("mine", |execution| execution["done"] == true).await;
    assert_eq!((&done["status"], &done["result"]["message"]), (&json!("COMPLETED"), &json!("a")));
    assert_eq!(stack.items().await, 1);
}
