//! The Runtime API: what a process receives, how it ends, and what is logged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    emulator::{Emulator, PATIENCE},
    manual_runtime::{self, ManualRuntime},
    support::{Lambda, TIMEOUT},
};

/// Encodes a few bytes as base64, as in AWS's headers.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            (0..4).map(move |place| {
                let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap();
                if place > chunk.len() { '=' } else { char::from(DIGITS[digit]) }
            })
        })
        .collect()
}

async fn log(emulator: &Emulator, function: &str) -> Vec<String> {
    let body = json!({ "logGroupName": format!("/aws/lambda/{function}") });
    let answer = emulator.call("Logs_20140328.FilterLogEvents", body).await;
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_process_has_the_environment_and_headers_of_lambda() {
    let runtime = ManualRuntime::open().await;
    let lambda = &runtime.lambda;
    assert_eq!(lambda.create("plain", &runtime.command(), None).await.0.as_u16(), 201);
    let context = r#"{"custom":{"a":"b"}}"#;
    let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let before = now();
    let request = lambda.invoke("plain", "RequestResponse", r#"{"n":1}"#);
    let request = request.header("x-amz-client-context", base64(context)).header("x-amzn-trace-id", trace);
    let waiting = tokio::spawn(request.header("x-amz-log-type", "Tail").send());
    let invocation = runtime.next().await;
    let header = |name: &str| invocation.headers[name].to_str().unwrap();
    assert_eq!(invocation.event, json!({ "n": 1 }));
    assert_eq!((header("lambda-runtime-trace-id"), header("lambda-runtime-client-context")), (trace, context));
    assert!(header("lambda-runtime-invoked-function-arn").ends_with(":function:plain:$LATEST"));
    let deadline: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
    let (earliest, latest) = (before + TIMEOUT.as_millis(), now() + TIMEOUT.as_millis());
    assert!((earliest..=latest).contains(&deadline), "{deadline} is not in {earliest}..={latest}");
    // A second invocation at the same time gets a separate process.
    let other = tokio::spawn(lambda.invoke("plain", "RequestResponse", "2").send());
    let second = runtime.next().await;
    second.answer(json!("second")).await;
    assert_eq!(invocation.post("response", "1".into()).await.as_u16(), 202);
    assert_eq!(invocation.post("response", "1".into()).await.as_u16(), 400, "it was answered");
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.headers()["x-amz-executed-version"], "$LATEST");
    assert!(response.headers()["x-amz-log-result"].to_str().unwrap().len() > 40);
    assert_eq!(response.text().await.unwrap(), "1");
    assert_eq!(other.await.unwrap().unwrap().text().await.unwrap(), "\"second\"");
    let lines = log(&runtime.emulator, "plain").await;
    for line in ["START RequestId: ", "END RequestId: ", "REPORT RequestId: "] {
        assert_eq!(lines.iter().filter(|said| said.starts_with(line)).count(), 2, "{lines:?}");
    }
    let report = lines.iter().find(|line| line.starts_with("REPORT")).unwrap();
    assert!(report.contains("\tMemory Size: 128 MB\t") && report.contains("Init Duration: "), "{report}");
}

#[tokio::test]
async fn a_function_that_does_not_start_crashes_or_takes_too_long_is_an_error() {
    let emulator = Emulator::start(&[]).await;
    let lambda = Lambda::of(&emulator);
    let init = r#"sh -c 'echo started; curl -sS -o /dev/null -H "Lambda-Runtime-Function-Error-Type: Init" -d "{\"errorMessage\":\"no\"}" http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/init/error; sleep 60'"#;
    let hang =
        "sh -c 'curl -sS -o /dev/null http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next; sleep 60'";
    for (name, command) in [("init", init), ("crash", "sh -c 'exit 3'"), ("hang", hang), ("gone", "/no/such/program")] {
        assert_eq!(lambda.create(name, command, None).await.0.as_u16(), 201);
    }
    let timeout = json!({ "Timeout": 1 });
    assert_eq!(lambda.put("/2015-03-31/functions/hang/configuration", &timeout).await.0.as_u16(), 200);
    for (name, kind, message) in [
        ("init", "Init", "no"),
        ("crash", "Runtime.ExitError", "Error: Runtime exited with error: exit status 3"),
        ("hang", "Sandbox.Timedout", "Error: Task timed out after 1.00 seconds"),
        ("gone", "Runtime.ExitError", "Error: Runtime exited with error: exit status 127"),
    ] {
        let response = lambda.invoke(name, "RequestResponse", "{}").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["x-amz-function-error"]),
            (200, &"Unhandled".parse().unwrap())
        );
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["errorType"], kind, "{error}");
        assert!(error["errorMessage"].as_str().unwrap().contains(message), "{error}");
    }
    assert_eq!(
        log(&emulator, "init").await.iter().filter(|line| *line == "started").count(),
        1,
        "one process for one invocation"
    );
    let lines = log(&emulator, "hang").await;
    assert!(lines.iter().any(|line| line.contains("Task timed out after 1.00 seconds")), "{lines:?}");
}

/// An asynchronous invocation is on disk before it is acknowledged.
#[tokio::test]
async fn an_accepted_event_survives_a_restart() {
    let (data, before, after) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let option = format!("plain={}", manual_runtime::command(before.path()));
    let mut emulator = Emulator::start_over(data.path(), &["--function", &option]).await;
    let response = Lambda::of(&emulator).invoke("plain", "Event", r#""event""#).send().await.unwrap();
    let id = response.headers()["x-amzn-requestid"].to_str().unwrap().to_owned();
    assert_eq!(response.status().as_u16(), 202);
    emulator.process.kill().await.unwrap();
    let option = format!("plain={}", manual_runtime::command(after.path()));
    let emulator = Emulator::start_over(data.path(), &["--function", &option]).await;
    let runtime = ManualRuntime::over(emulator, after);
    let invocation = runtime.next().await;
    assert_eq!((invocation.id.as_str(), &invocation.event), (id.as_str(), &json!("event")));
    invocation.answer(json!(1)).await;
    let deadline = Instant::now() + PATIENCE;
    while !log(&runtime.emulator, "plain").await.iter().any(|line| line.starts_with("REPORT")) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(runtime.next_within(Duration::from_secs(1)).await.is_none(), "once is enough");
}

/// The state of a process from `/proc`; `None` if it does not exist. A process that has ended but has not been reaped is `Z`.
fn state(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// If it were not killed, the old handler would keep running in parallel with its replacement.
#[tokio::test]
async fn a_process_left_by_a_killed_emulator_is_killed_at_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("pid");
    let mut emulator = Emulator::start_over(data.path(), &[]).await;
    let lambda = Lambda::of(&emulator);
    let command = format!("sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600'", file.display());
    assert_eq!(lambda.create("sleeper", &command, None).await.0.as_u16(), 201);
    assert_eq!(lambda.invoke("sleeper", "Event", "{}").send().await.unwrap().status().as_u16(), 202);
    let deadline = Instant::now() + PATIENCE;
    while !file.exists() {
        assert!(Instant::now() < deadline, "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = std::fs::read_to_string(&file).unwrap();
    emulator.process.kill().await.unwrap();
    assert!(matches!(state(&pid), Some('S' | 'R' | 'D')), "the function's process must outlive the killed emulator");
    let _emulator = Emulator::start_over(data.path(), &[]).await;
    while !matches!(state(&pid), None | Some('Z')) {
        assert!(Instant::now() < deadline, "it is left running");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
