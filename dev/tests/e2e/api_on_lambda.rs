//! The API as it runs on Lambda: the `api` binary behind the Runtime API, invoked with events of API Gateway.

use std::path::Path;

use serde_json::{Value, json};

use crate::stack::{LONGHAUL, Stack, eventually, shipped};

/// The binary beside the one under test.
pub(crate) fn api_binary() -> String {
    let api = shipped("ApiFunction").unwrap_or_else(|| Path::new(LONGHAUL).with_file_name("api"));
    assert!(api.exists(), "{} does not exist: run `cargo build --workspace --bins`", api.display());
    api.display().to_string()
}

/// The event that an HTTP API sends, in payload format 2.0
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>).
pub(crate) fn event(method: &str, path: &str, body: Option<&str>, authorizer: &Value) -> Value {
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "host": "abc.execute-api.us-east-1.amazonaws.com" },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc",
            "authorizer": authorizer,
            "domainName": "abc.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abc",
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test" },
            "requestId": "r1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_i64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}

async fn answer(stack: &Stack, event: &Value) -> Value {
    let request = stack.post_to_aws("/2015-03-31/functions/api/invocations").body(event.to_string());
    request.send().await.unwrap().json().await.unwrap()
}

async fn invoke(stack: &Stack, event: &Value) -> (u64, Value) {
    let answer = answer(stack, event).await;
    let body = answer["body"].as_str().unwrap_or_else(|| panic!("{answer:#}"));
    (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(body).unwrap_or(Value::Null))
}

/// Waits for the end of the execution with this path.
async fn done(stack: &Stack, path: &str, caller: &Value) -> Value {
    eventually(&format!("the end of {path}"), async || {
        let (status, execution) = invoke(stack, &event("GET", path, None, caller)).await;
        assert_eq!(status, 200, "{execution:#}");
        (execution["done"] == true).then_some(execution)
    })
    .await
}

#[tokio::test]
async fn api_gateways_request_id_is_in_the_response_and_in_one_log_line() {
    let stack = Stack::start(&["--function", &format!("api={}", api_binary())]).await;
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let path = "/executions/01a208cc-f685-7587-8cf0-6b6bfde36f95";
    let mut event = event("GET", path, None, &ada);
    event["headers"]["x-request-id"] = json!("chosen-by-the-caller");
    event["headers"]["idempotency-key"] = json!("a-key");
    let answer = answer(&stack, &event).await;
    assert_eq!(answer["statusCode"], 404, "{answer:#}");
    assert_eq!(answer["headers"]["x-request-id"], "r1", "{answer:#}");
    let problem: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!(problem["requestId"], "r1");
    // API Gateway serves HTTPS only.
    assert!(answer["headers"]["strict-transport-security"].as_str().unwrap().starts_with("max-age="), "{answer:#}");

    let (answered, _) = lines_of(&stack, "r1").await;
    let line: Value = serde_json::from_str(&answered).unwrap();
    let logged = ["level", "requestId", "method", "route", "status"].map(|field| line[field].clone());
    assert_eq!(json!(logged), json!(["INFO", "r1", "GET", "/executions/{executionId}", 404]), "{line:#}");
    assert!(line["durationMs"].as_f64().unwrap() > 0.0, "{line:#}");
    assert_eq!(line["owner"].as_str().unwrap().len(), 12, "{line:#}");
    // The line contains nothing that the caller sent, nor the caller's name.
    for secret in ["01a208cc", "a-key", "chosen-by", "ada"] {
        assert!(!answered.contains(secret), "{secret}: {answered}");
    }
}

/// The line that says that a request was answered, once it is in the API's log, and all other lines of the log that are about it or
/// about an error.
async fn lines_of(stack: &Stack, request_id: &str) -> (String, Vec<String>) {
    eventually("the request's line in the log", async || {
        let group = json!({ "logGroupName": "/aws/lambda/api" });
        let events = stack.call("Logs_20140328.FilterLogEvents", group).await;
        let messages = events["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap());
        let about = |message: &&str| message.contains(&format!("{request_id:?}")) || message.contains("Exception");
        let (mut answered, others): (Vec<_>, Vec<_>) =
            messages.filter(about).map(str::to_owned).partition(|message| message.contains("\"answered\""));
        let line = answered.pop()?;
        assert!(answered.is_empty(), "{line} and {answered:#?}");
        Some((line, others))
    })
    .await
}

/// The log contains the cause of a failed request exactly once, in a line with the request's id.
#[tokio::test]
async fn a_request_that_fails_inside_logs_its_cause_once_with_its_id() {
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let path = "/executions/01a208cc-f685-7587-8cf0-6b6bfde36f95";
    let body = r#"{"input": {"secret": "payload"}}"#;
    for (method, path, route, call, exception, status, level, code) in [
        ("GET", path, "/executions/{executionId}", "GetItem", "ThrottlingException", 503, "WARN", "aws-unavailable"),
        ("GET", path, "/executions/{executionId}", "GetItem", "AccessDeniedException", 503, "ERROR", "aws-unavailable"),
        ("GET", path, "/executions/{executionId}", "GetItem", "ValidationException", 500, "ERROR", "internal"),
        ("POST", "/executions/sync", "/executions/sync", "PutItem", "ValidationException", 500, "ERROR", "internal"),
    ] {
        let stack = Stack::start(&["--function", &format!("api={}", api_binary())]).await;
        let on = format!("dynamodb:{call}");
        stack.arm(&json!({ "on": on, "by": "api", "does": { "refuse": exception }, "times": "all" })).await;
        let body = (method == "POST").then_some(body);
        let answer = answer(&stack, &event(method, path, body, &ada)).await;
        assert_eq!(answer["statusCode"], status, "{answer:#}");
        assert!(!answer.to_string().contains(exception), "{answer:#}");
        let (_, others) = lines_of(&stack, "r1").await;
        assert_eq!(others.len(), 1, "{others:#?}");
        let line: Value = serde_json::from_str(&others[0]).unwrap();
        let logged = ["level", "requestId", "method", "route", "code"].map(|field| line[field].clone());
        assert_eq!(json!(logged), json!([level, "r1", method, route, code]), "{line:#}");
        let error = line["error"].as_str().unwrap();
        assert!(error.starts_with(&on) && error.contains(exception), "{line:#}");
        for secret in ["01a208cc", "payload", "ada"] {
            assert!(!others[0].contains(secret), "{secret}: {}", others[0]);
        }
    }
}

/// Operations of the document without security, and no others, answer a request without a caller.
#[tokio::test]
async fn only_operations_documented_without_security_need_no_caller() {
    let stack = Stack::start(&["--function", &format!("api={}", api_binary())]).await;
    let document: Value = stack.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let everywhere = &document["security"];
    assert!(everywhere.as_array().is_some_and(|schemes| !schemes.is_empty()), "{everywhere}");
    let (mut open, mut closed) = (Vec::new(), 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let security = operation.get("security").unwrap_or(everywhere).as_array().unwrap();
            let documented = security.is_empty() || security.contains(&json!({}));
            let concrete = path.replace("{executionId}", "01a208cc-f685-7587-8cf0-6b6bfde36f95");
            let body = operation.get("requestBody").map(|_| r#"{"input": null}"#);
            let event = event(&method.to_uppercase(), &concrete, body, &Value::Null);
            let status = answer(&stack, &event).await["statusCode"].as_u64().unwrap();
            assert_eq!(documented, status != 401, "{method} {path}: {status}");
            if documented { open.push(path.clone()) } else { closed += 1 }
        }
    }
    assert_eq!((open, closed), (vec!["/healthz".to_owned()], 22));
}

#[tokio::test]
async fn a_job_runs_when_started_through_api_gateway() {
    let stack = Stack::start(&["--function", &format!("api={}", api_binary())]).await;
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let eve = json!({ "iam": { "userArn": "arn:aws:iam::123456789012:user/eve", "accessKey": "AKIA", "accountId": "123456789012",
        "callerId": "AIDA", "principalOrgId": "o-1", "userId": "AIDA", "cognitoIdentity": null } });
    let body = r#"{"input": {"message": "Hello", "processingTime": 0}}"#;
    for pattern in ["sync", "callback"] {
        let (status, started) =
            invoke(&stack, &event("POST", &format!("/executions/{pattern}"), Some(body), &ada)).await;
        assert_eq!((status, &started["status"]), (202, &json!("PENDING")), "{started:#}");
        let path = format!("/executions/{}", started["executionId"].as_str().unwrap());
        let done = done(&stack, &path, &ada).await;
        assert_eq!((&done["status"], &done["result"]["message"]), (&json!("COMPLETED"), &json!("Hello")));
        let (status, problem) = invoke(&stack, &event("GET", &path, None, &eve)).await;
        assert_eq!((status, &problem["code"]), (404, &json!("execution-not-found")), "another caller sees it");
        let (status, problem) = invoke(&stack, &event("GET", &path, None, &json!(null))).await;
        assert_eq!((status, &problem["code"]), (401, &json!("unauthenticated")), "an unauthenticated caller sees it");
    }
    let (status, problem) = invoke(&stack, &event("POST", "/executions/sync", Some("{"), &ada)).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid-json")));
}

/// A role's session lasts hours, but a job can take longer.
#[tokio::test]
async fn a_role_sees_its_executions_in_its_next_session() {
    let stack = Stack::start(&["--function", &format!("api={}", api_binary())]).await;
    let role = |name: &str, session: &str| {
        json!({ "iam": { "userArn": format!("arn:aws:sts::123456789012:assumed-role/{name}/{session}"), "accessKey": "ASIA",
            "accountId": "123456789012", "callerId": "AROA", "userId": "AROA" } })
    };
    let body = r#"{"input": {"message": "Hello", "processingTime": 0}}"#;
    let (status, started) =
        invoke(&stack, &event("POST", "/executions/sync", Some(body), &role("jobs", "session-1"))).await;
    assert_eq!(status, 202, "{started:#}");
    let path = format!("/executions/{}", started["executionId"].as_str().unwrap());
    for (caller, expected) in [(role("jobs", "session-2"), 200), (role("others", "session-1"), 404)] {
        assert_eq!(invoke(&stack, &event("GET", &path, None, &caller)).await.0, expected, "{caller}");
    }
}

/// For another caller the execution does not exist, and an unauthenticated caller gets 401.
#[tokio::test]
async fn on_every_path_only_the_owner_authenticated_by_the_gateway_sees_an_execution() {
    let stack = Stack::start(&["--function", &format!("api={}", api_binary())]).await;
    let by = |subject: &str| json!({ "jwt": { "claims": { "sub": subject }, "scopes": null } });
    let (ada, eve, nobody) = (by("ada"), by("eve"), Value::Null);
    let ask = async |method: &str, path: &str, caller: &Value| {
        // The header of the local stack must have no effect here.
        let mut event = event(method, path, None, caller);
        event["headers"]["x-owner"] = json!("ada");
        invoke(&stack, &event).await
    };
    let body = r#"{"input": {"message": "Hello", "processingTime": 0}}"#;
    let (_, started) = invoke(&stack, &event("POST", "/executions/sync", Some(body), &ada)).await;
    let path = |rest: &str| format!("/executions/{}{rest}", started["executionId"].as_str().unwrap());
    done(&stack, &path(""), &ada).await;
    for (method, rest, expected) in [
        ("GET", "", 200),
        ("GET", "/logs", 200),
        ("GET", "/history", 200),
        ("POST", "/cancel", 200),
        ("POST", "/rerun", 202),
    ] {
        let (status, problem) = ask(method, &path(rest), &eve).await;
        assert_eq!((status, &problem["code"]), (404, &json!("execution-not-found")), "{method} {rest}");
        let (status, problem) = ask(method, &path(rest), &nobody).await;
        assert_eq!((status, &problem["code"]), (401, &json!("unauthenticated")), "{method} {rest}");
        let (status, answer) = ask(method, &path(rest), &ada).await;
        assert_eq!(status, expected, "{method} {rest} {answer:#}");
    }
    for (caller, count) in [(&ada, 2), (&eve, 0)] {
        let (status, page) = ask("GET", "/executions", caller).await;
        assert_eq!((status, page["executions"].as_array().unwrap().len()), (200, count), "{page:#}");
    }
    assert_eq!(ask("GET", "/executions", &nobody).await.0, 401);
}

/// Lambda allows responses of 6 MB. A log page must stay below that, even if every character is escaped in JSON.
#[tokio::test]
async fn a_log_page_fits_into_a_lambda_response() {
    let noise = "noise=head -c 990000 /dev/zero | tr '\\0' '\\001' | fold -w 990; echo '\"the end\"'";
    let api = format!("api=env LOG_READS=100000 {}", api_binary());
    let stack = Stack::start(&["--function", &api, "--job", noise]).await;
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let body = r#"{"job": "noise", "input": null}"#;
    let (_, started) = invoke(&stack, &event("POST", "/executions/callback", Some(body), &ada)).await;
    let path = format!("/executions/{}", started["executionId"].as_str().unwrap());
    let done = done(&stack, &path, &ada).await;
    // The end is recorded before the last lines are in the log.
    stack.wait_for_tasks_to_stop(done["executionId"].as_str().unwrap()).await;
    let (mut lines, mut query) = (0, String::new());
    eventually("the end of the log", async || {
        let mut event = event("GET", &format!("{path}/logs"), None, &ada);
        event["rawQueryString"] = json!(query);
        let (status, page) = invoke(&stack, &event).await;
        assert_eq!(status, 200, "{page:#}");
        let printed = page["lines"].as_array().unwrap();
        lines += printed.iter().filter(|line| line["text"].as_str().unwrap().starts_with('\u{1}')).count();
        let Some(next) = page["nextToken"].as_str() else { return Some(()) };
        query = format!("nextToken={next}");
        None
    })
    .await;
    assert_eq!(lines, 1_000);
}
