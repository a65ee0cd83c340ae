//! Calls of the Lambda API, by their names in the service.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::emulator::{Emulator, PATIENCE, root, signing};

/// The status and the body of a response. The body's `Code` is the `errorType` from the header.
pub(crate) type Answer = (StatusCode, Value);

/// The timeout of functions that [`Lambda::create`] creates. It is much longer than any invocation takes.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

/// A client of the Lambda API.
pub(crate) struct Lambda {
    url: String,
    client: Client,
}

/// `%`-encodes the characters that are not allowed in a path.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

impl Lambda {
    pub(crate) fn of(emulator: &Emulator) -> Self {
        Self { url: emulator.aws.clone(), client: signing().build().unwrap() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    async fn answer(request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let status = response.status();
        let code = response.headers().get("x-amzn-errortype").map(|code| code.to_str().unwrap().to_owned());
        let text = response.text().await.unwrap();
        let mut body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if let Some(code) = code {
            body["Code"] = json!(code);
        }
        (status, body)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Self::answer(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Self::answer(self.request(Method::POST, path).body(body.to_string())).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        Self::answer(self.request(Method::PUT, path).body(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Self::answer(self.request(Method::DELETE, path)).await
    }

    pub(crate) fn invoke(&self, function: &str, kind: &str, payload: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/2015-03-31/functions/{}/invocations", encoded(function)))
            .header("x-amz-invocation-type", kind)
            .body(payload.to_owned())
    }

    /// Starts a durable execution, and returns its ARN.
    pub(crate) async fn start(&self, function: &str, payload: &str) -> String {
        let response = self.invoke(function, "Event", payload).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED, "{:?}", response.text().await);
        response.headers()["x-amz-durable-execution-arn"].to_str().unwrap().to_owned()
    }

    pub(crate) fn path(arn: &str, more: &str) -> String {
        format!("/2025-12-01/durable-executions/{}{more}", encoded(arn))
    }

    pub(crate) async fn execution(&self, arn: &str) -> Value {
        let (status, execution) = self.get(&Self::path(arn, "")).await;
        assert_eq!(status, StatusCode::OK, "{execution}");
        execution
    }

    pub(crate) async fn checkpoint(&self, arn: &str, body: Value) -> Answer {
        self.post(&Self::path(arn, "/checkpoint"), &body).await
    }

    pub(crate) async fn history(&self, arn: &str, query: &str) -> Value {
        let (status, history) = self.get(&Self::path(arn, &format!("/history{query}"))).await;
        assert_eq!(status, StatusCode::OK, "{history}");
        history
    }

    pub(crate) async fn events(&self, arn: &str) -> Vec<Value> {
        self.history(arn, "?MaxItems=1000").await["Events"].as_array().unwrap().clone()
    }

    pub(crate) async fn call_back(&self, callback_id: &str, how: &str, body: &str) -> Answer {
        let path = format!("/2025-12-01/durable-execution-callbacks/{}/{how}", encoded(callback_id));
        Self::answer(self.request(Method::POST, &path).body(body.to_owned())).await
    }

    /// Waits for the end of an execution.
    pub(crate) async fn ended(&self, arn: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let execution = self.execution(arn).await;
            if execution["Status"] != "RUNNING" {
                return execution;
            }
            assert!(Instant::now() < deadline, "it hangs: {execution:#}\n{:#?}", self.events(arn).await);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Waits for an event in a history.
    pub(crate) async fn event(&self, arn: &str, kind: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let events = self.events(arn).await;
            if let Some(event) = events.iter().find(|event| event["EventType"] == kind) {
                return event.clone();
            }
            assert!(Instant::now() < deadline, "no {kind} in {events:#?}");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Creates a durable function that runs a command.
    pub(crate) async fn create(&self, name: &str, command: &str, durable: Option<Value>) -> Answer {
        let mut new = json!({
            "FunctionName": name,
            "Role": "arn:aws:iam::000000000000:role/any",
            "PackageType": "Image",
            "Code": { "ImageUri": format!("local:{command}") },
            "Timeout": TIMEOUT.as_secs(),
        });
        if let Some(durable) = durable {
            new["DurableConfig"] = durable;
        }
        self.post("/2015-03-31/functions", &new).await
    }
}

/// Python with the packages of `tests/requirements.txt`.
pub(crate) fn python() -> String {
    let python = root().join("target/venv/bin/python");
    assert!(python.exists(), "{} is not there: `make test` makes it", python.display());
    python.display().to_string()
}

/// A file of `emulator/tests/python`.
pub(crate) fn python_file(name: &str) -> PathBuf {
    root().join("emulator/tests/python").join(name)
}

/// The status and the code of a refusal.
pub(crate) fn refusal((status, body): &Answer) -> (u16, &str) {
    (status.as_u16(), body["Code"].as_str().unwrap_or_default())
}

pub(crate) const INVALID: (u16, &str) = (400, "InvalidParameterValueException");

/// A history in which everything that varies between runs is replaced: times, ids and tokens. Ids are replaced by the order in which they
/// appear.
pub(crate) fn redacted(events: &[Value]) -> Value {
    let mut ids: Vec<String> = Vec::new();
    let mut events = json!(events);
    for event in events.as_array_mut().unwrap() {
        redact(event, "", &mut ids);
    }
    events
}

fn redact(value: &mut Value, name: &str, ids: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter_mut().for_each(|(name, value)| redact(value, name, ids)),
        Value::Array(items) if name == "StackTrace" => *items = vec![json!("…")],
        Value::Array(items) => items.iter_mut().for_each(|item| redact(item, name, ids)),
        Value::Number(_) if name.ends_with("Timestamp") => *value = json!("…"),
        Value::String(text) if matches!(name, "Id" | "ParentId") => {
            let place = ids.iter().position(|id| id == text).unwrap_or_else(|| {
                ids.push(text.clone());
                ids.len() - 1
            });
            *text = format!("#{place}");
        }
        Value::String(text) if matches!(name, "RequestId" | "CallbackId" | "DurableExecutionArn") => *text = "…".into(),
        // A callback's id is base64 of JSON.
        Value::String(text) if text.contains("eyJ") => *text = "…".into(),
        Value::String(text) if name == "Name" && text.len() == 36 && text.matches('-').count() == 4 => {
            *text = "…".into();
        }
        _ => {}
    }
}
