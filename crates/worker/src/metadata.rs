//! Asks the ECS agent which task this is
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html>).

use std::{error::Error, time::Duration};

use http_body_util::{BodyExt as _, Limited};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;
use tokio::time::timeout;

/// The agent runs on the same host: if a response takes longer, it will not come.
const PATIENCE: Duration = Duration::from_secs(2);

/// Largest response that is read, in bytes. The response for a task with ten containers has a few dozen KB.
const ANSWER_BYTES: usize = 1024 * 1024;

#[derive(Debug, Deserialize)]
struct Task {
    #[serde(rename = "TaskARN")]
    arn: String,
}

/// The task's ARN, from the agent at `endpoint`.
pub(crate) async fn task_arn(endpoint: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    timeout(PATIENCE, ask(endpoint)).await?
}

async fn ask(endpoint: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let client = Client::builder(TokioExecutor::new()).build_http::<String>();
    let answer = client.get(format!("{endpoint}/task").parse()?).await?;
    if !answer.status().is_success() {
        return Err(format!("the ECS agent answered {}", answer.status()).into());
    }
    let body = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await?.to_bytes();
    Ok(serde_json::from_slice::<Task>(&body)?.arn)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Starts an agent that sends one response, and returns its endpoint.
    async fn agent(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v4/c1", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /v4/c1/task "));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        endpoint
    }

    #[tokio::test]
    async fn the_task_arn_comes_from_the_ecs_agent() {
        let endpoint =
            agent("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"Cluster\": \"c\", \"TaskARN\": \"arn:t\"}").await;
        assert_eq!(ask(&endpoint).await.unwrap(), "arn:t");
    }

    #[tokio::test]
    async fn a_missing_ecs_agent_is_an_error() {
        let endpoint = agent("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        assert!(ask(&endpoint).await.unwrap_err().to_string().contains("404"));
        assert!(ask("http://127.0.0.1:1").await.is_err());
        assert!(ask("no address").await.is_err());
    }

    #[tokio::test]
    async fn a_silent_ecs_agent_times_out() {
        // It accepts the connection but never reads from it.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = task_arn(&format!("http://{}", silent.local_addr().unwrap())).await.unwrap_err();
        assert!(error.is::<tokio::time::error::Elapsed>(), "{error}");
    }
}
