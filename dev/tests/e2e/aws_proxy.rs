//! A proxy between the functions and the local ECS and CloudWatch. It returns responses that the local services never give.
//!
//! The response depends on the job that a call is about, so that many responses can be tested at the same time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, response::IntoResponse, routing::post};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::stack::signing;

/// How a call is answered.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// With this error (status, code, message), without making the call.
    Refuses(u16, &'static str, &'static str),
    /// With this response, without making the call.
    Says(fn() -> Value),
    /// With this response for the first page. Calls for other pages are forwarded.
    Begins(fn() -> Value),
    /// By making the call and changing its response. The function returns the status.
    Did(fn(&mut Value) -> u16),
}

/// The answer to the first calls of an operation for each execution of a job.
#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) job: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) calls: usize,
    pub(crate) answer: Answer,
}

#[derive(Clone)]
pub(crate) struct AwsProxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    behind: OnceLock<String>,
    rules: Vec<Rule>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The job and the execution of each task, by the task's id.
    tasks: HashMap<String, (String, String)>,
    /// Calls so far, by execution and operation.
    calls: HashMap<(String, String), usize>,
}

impl AwsProxy {
    pub(crate) async fn start(rules: Vec<Rule>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared =
            Shared { client: signing().build().unwrap(), behind: OnceLock::new(), rules, known: Mutex::default() };
        let proxy = Self { url, shared: Arc::new(shared) };
        let router = Router::new().route("/", post(answer)).with_state(proxy.shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        proxy
    }

    /// Sets the address to which calls are forwarded.
    pub(crate) fn forward_to(&self, aws: &str) {
        self.shared.behind.set(aws.to_owned()).unwrap();
    }

    /// The command of a function that calls ECS and CloudWatch through this proxy.
    pub(crate) fn command_of(&self, program: &str, function: &str) -> String {
        let Self { url, .. } = self;
        format!("env AWS_ENDPOINT_URL_ECS={url} AWS_ENDPOINT_URL_CLOUDWATCH_LOGS={url} {program} function {function}")
    }
}

async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let target = headers["x-amz-target"].to_str().unwrap().to_owned();
    let operation = target.rsplit('.').next().unwrap().to_owned();
    let request: Value = serde_json::from_slice(&body).unwrap();
    let rule = shared.rule(&operation, &request);
    let (status, answer) = match rule.map(|rule| rule.answer) {
        Some(Answer::Refuses(status, code, message)) => {
            (StatusCode::from_u16(status).unwrap(), json!({ "__type": code, "message": message }))
        }
        Some(Answer::Says(says)) => (StatusCode::OK, says()),
        Some(Answer::Begins(says)) if request.get("nextToken").is_none() => (StatusCode::OK, says()),
        Some(Answer::Did(changed)) => {
            let (_, mut answer) = shared.forward(&target, body).await;
            shared.learn(&operation, &request, &answer);
            (StatusCode::from_u16(changed(&mut answer)).unwrap(), answer)
        }
        Some(Answer::Begins(_)) | None => {
            let (status, answer) = shared.forward(&target, body).await;
            shared.learn(&operation, &request, &answer);
            (status, answer)
        }
    };
    (status, [("content-type", "application/x-amz-json-1.1")], answer.to_string())
}

impl Shared {
    fn rule(&self, operation: &str, request: &Value) -> Option<Rule> {
        let mut known = self.known.lock().unwrap();
        let (job, execution) = match operation {
            "RunTask" => (job(request), text(&request["startedBy"])),
            // The request does not name a job, so rules for it have an empty one.
            "ListTasks" => (String::new(), text(&request["startedBy"])),
            "DescribeTasks" => known.tasks.get(&last(&request["tasks"][0]))?.clone(),
            "StopTask" => known.tasks.get(&last(&request["task"]))?.clone(),
            "GetLogEvents" => known.tasks.get(&last(&request["logStreamName"]))?.clone(),
            _ => return None,
        };
        let calls = known.calls.entry((execution, operation.to_owned())).or_default();
        *calls += 1;
        let about = |rule: &&Rule| rule.job == job && rule.operation == operation && *calls <= rule.calls;
        self.rules.iter().find(about).copied()
    }

    async fn forward(&self, target: &str, body: Bytes) -> (StatusCode, Value) {
        let request = self.client.post(self.behind.get().unwrap()).header("x-amz-target", target).body(body);
        let response = request.header("content-type", "application/x-amz-json-1.1").send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    fn learn(&self, operation: &str, request: &Value, answer: &Value) {
        if operation == "RunTask" {
            let task = (job(request), text(&request["startedBy"]));
            self.known.lock().unwrap().tasks.insert(last(&answer["tasks"][0]["taskArn"]), task);
        }
    }
}

fn job(run_task: &Value) -> String {
    text(&run_task["taskDefinition"]).replacen("longhaul-", "", 1)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A task's id: the last part of its ARN, and of its log stream.
fn last(value: &Value) -> String {
    text(value).rsplit('/').next().unwrap_or_default().to_owned()
}
