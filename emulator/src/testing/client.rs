//! A client of an emulator, in this process or another.

use std::time::Duration;

use reqwest::{
    ClientBuilder, RequestBuilder, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use serde_json::{Value, json};

use super::wait::eventually;
use crate::callers;

/// The prefix of ECS's operations in `x-amz-target`.
const ECS: &str = "AmazonEC2ContainerServiceV20141113";

/// The access key of a [`Client`]'s calls, by which faults select them.
pub const KEY: &str = "test";

/// An HTTP client that sends a signature, as every AWS client does. The emulator does not verify it.
pub fn signing() -> ClientBuilder {
    let signature = HeaderValue::try_from(callers::signature(KEY)).unwrap();
    reqwest::Client::builder().no_proxy().default_headers([(AUTHORIZATION, signature)].into_iter().collect())
}

/// A client of an emulator. All its calls must succeed, unless it returns the response.
#[derive(Debug, Clone)]
pub struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the emulator at this URL.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), http: signing().build().unwrap() }
    }

    /// The emulator's URL: what programs use as `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A POST to a path.
    pub fn post_to_aws(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }

    /// A GET of a path.
    pub fn get_from_aws(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    /// The request of [`Client::call`].
    pub fn request(&self, target: &str, body: &Value) -> RequestBuilder {
        let request = self.post_to_aws("/").header("x-amz-target", target).body(body.to_string());
        let request = request.header("content-type", "application/x-amz-json-1.0");
        request.header("x-amz-date", "20260101T000000Z")
    }

    /// Makes a call in one of AWS's JSON protocols.
    pub async fn call(&self, target: &str, body: Value) -> Value {
        let response = self.request(target, &body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{target}");
        response.json().await.unwrap()
    }

    /// All tasks of a cluster, running or not. A task that stops between two calls is in both lists of ECS, but is returned once.
    pub async fn tasks(&self, cluster: &str) -> Vec<Value> {
        let mut tasks = Vec::new();
        for desired in ["RUNNING", "STOPPED"] {
            let mut token = Value::Null;
            loop {
                let list = json!({ "cluster": cluster, "desiredStatus": desired, "nextToken": token });
                let page = self.call(&format!("{ECS}.ListTasks"), list).await;
                if page["taskArns"].as_array().is_some_and(|arns| !arns.is_empty()) {
                    for task in self.describe(cluster, &page["taskArns"]).await {
                        tasks.retain(|before: &Value| before["taskArn"] != task["taskArn"]);
                        tasks.push(task);
                    }
                }
                token = page["nextToken"].clone();
                if token.is_null() {
                    break;
                }
            }
        }
        tasks
    }

    async fn describe(&self, cluster: &str, arns: &Value) -> Vec<Value> {
        let described = self.call(&format!("{ECS}.DescribeTasks"), json!({ "cluster": cluster, "tasks": arns })).await;
        described["tasks"].as_array().unwrap().clone()
    }

    /// Arms a fault, and returns its id.
    pub async fn arm(&self, fault: &Value) -> u64 {
        self.admin("faults", fault).await.unwrap()["id"].as_u64().unwrap()
    }

    /// Disarms a fault.
    pub async fn disarm(&self, id: u64) {
        self.delete(&format!("faults/{id}")).await;
    }

    /// A fault, and the calls that it has seen so far.
    pub async fn fault(&self, id: u64) -> Value {
        self.local(&format!("faults/{id}")).await
    }

    /// Waits until a fault has been hit.
    pub async fn wait_for_hit(&self, id: u64) {
        eventually("a call to hit the fault", async || (self.fault(id).await["hit"] != 0).then_some(())).await;
    }

    /// Moves the clock forward.
    pub async fn forward(&self, by: Duration) {
        self.admin("clock", &json!({ "forward": by.as_secs() })).await.unwrap();
    }

    /// Posts to a path of `/_local`.
    ///
    /// # Errors
    ///
    /// The status and the message of a refusal.
    pub async fn admin(&self, path: &str, body: &Value) -> Result<Value, (StatusCode, String)> {
        let response = self.post_to_aws(&format!("/_local/{path}")).json(body).send().await.unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        if status.is_success() { Ok(answer) } else { Err((status, answer["error"].as_str().unwrap().to_owned())) }
    }

    /// Reads a path of `/_local`.
    pub async fn local(&self, path: &str) -> Value {
        let response = self.get_from_aws(&format!("/_local/{path}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        response.json().await.unwrap()
    }

    /// Deletes a path of `/_local`, such as `faults`.
    pub async fn delete(&self, path: &str) {
        let response = self.http.delete(format!("{}/_local/{path}", self.url)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{path}");
    }
}
