//! Third-party clients: boto3 for every call of the API, and the `aws` client for a history.

use tokio::process::Command;

use crate::{
    emulator::{Emulator, root},
    support::{Lambda, python, python_file},
};

fn command(handler: &str) -> String {
    let path = root().join("emulator/tests/python");
    format!("env PYTHONPATH={} {} -m awslambdaric durable_functions.{handler}", path.display(), python())
}

/// Runs a script against the emulator. Returns what it prints: how many APIs it called.
async fn script(emulator: &Emulator, file: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(python()).arg(python_file(file)).arg(&emulator.aws).args(arguments).output().await.unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    said.trim().to_owned()
}

/// The script also checks each response against AWS's service model.
#[tokio::test]
async fn boto3_can_make_every_lambda_call() {
    let emulator = Emulator::start(&[]).await;
    let commands = [command("plain"), command("callback")];
    let said = script(&emulator, "every_call.py", &[&commands[0], &commands[1]]).await;
    assert_eq!(said, "24 operations called");
}

#[tokio::test]
async fn boto3_can_make_every_call_of_the_other_services() {
    let emulator = Emulator::start(&[]).await;
    assert_eq!(script(&emulator, "other_services.py", &[]).await, "22 operations called");
}

#[tokio::test]
async fn the_aws_client_shows_an_execution_and_its_history() {
    let option = format!("steps={}", command("steps"));
    let emulator = Emulator::start(&["--durable-function", &option]).await;
    let lambda = Lambda::of(&emulator);
    let arn = lambda.start("steps:1", r#"{"n": 1}"#).await;
    lambda.ended(&arn).await;
    for (call, shown) in [("get-durable-execution", "SUCCEEDED"), ("get-durable-execution-history", "WaitSucceeded")] {
        let mut aws = Command::new(root().join("target/venv/bin/aws"));
        aws.args([
            "--endpoint-url",
            &emulator.aws,
            "--region",
            "us-east-1",
            "lambda",
            call,
            "--durable-execution-arn",
            &arn,
        ]);
        for (name, value) in
            [("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any"), ("AWS_CONFIG_FILE", "/dev/null")]
        {
            aws.env(name, value);
        }
        let output = aws.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains(shown), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
