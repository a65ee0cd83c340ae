//! The service as its callers see it, with real processes: what the tests have in common.

mod answers;
mod api;
mod ending;
mod running;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{callers::Callers, events, faults::Faults, logs};

const CLUSTER: &str = "jobs";
const GROUP: &str = "/ecs/jobs";

/// How long a test waits: far longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// An emulator over a database file.
struct Stack {
    ecs: Ecs,
    logs: Logs,
    db: Db,
}

impl Stack {
    fn over(directory: &Path) -> Self {
        let db = Db::open(&directory.join("local.db"), &[SCHEMA, logs::SCHEMA, events::SCHEMA]).unwrap();
        let logs = Logs::new(db.clone(), Clock::default());
        let settings = Settings {
            cluster: CLUSTER.into(),
            base_environment: vec![
                ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
                ("BASE".into(), "base".into()),
                crate::leftovers::mark(directory),
            ],
            metadata_base: "http://127.0.0.1:4566/_ecs".into(),
        };
        let events = Events::new(db.clone(), Clock::default(), Faults::default(), vec![]).unwrap();
        Self {
            ecs: Ecs::new(db.clone(), Clock::default(), logs.clone(), events, Callers::default(), settings),
            logs,
            db,
        }
    }

    fn fresh() -> (Self, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (Self::over(directory.path()), directory)
    }

    fn ask(&self, operation: &str, mut request: Value) -> Result<Value, Refused> {
        if operation != "RegisterTaskDefinition" {
            request["cluster"] = json!(CLUSTER);
        }
        self.ecs.call(operation, request.to_string().as_bytes()).map(|body| serde_json::from_str(&body).unwrap())
    }

    #[expect(clippy::needless_pass_by_value, reason = "definitions are written in place")]
    fn register(&self, containers: Value) {
        let definition = json!({ "family": "f", "containerDefinitions": containers });
        self.ask("RegisterTaskDefinition", definition).unwrap();
    }

    /// Registers a task definition of one container that is a shell script, as `f`.
    fn script(&self, script: &str) {
        self.register(json!([shell("job", script)]));
    }

    /// Starts a task. Returns its ARN.
    fn run(&self, request: Value) -> String {
        let answer = self.ask("RunTask", request).unwrap();
        assert_eq!(answer["failures"], json!([]));
        answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
    }

    fn describe(&self, arn: &str) -> Value {
        self.ask("DescribeTasks", json!({ "tasks": [arn] })).unwrap()["tasks"][0].clone()
    }

    /// Waits until a task meets a condition, and returns the task.
    async fn until(&self, arn: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.describe(arn);
            if wanted(&task) {
                return task;
            }
            assert!(Instant::now() < deadline, "not in time: {task:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stopped(&self, arn: &str) -> Value {
        self.until(arn, |task| task["lastStatus"] == "STOPPED").await
    }

    /// Runs a script to its end.
    async fn outcome(&self, script: &str) -> (Value, Vec<String>) {
        self.script(script);
        let task = self.stopped(&self.run(json!({ "taskDefinition": "f" }))).await;
        let lines = self.lines(&task, "job");
        (task, lines)
    }

    /// The output of a container, read from its log stream.
    fn lines(&self, task: &Value, container: &str) -> Vec<String> {
        let arn = task["taskArn"].as_str().unwrap();
        let stream = format!("task/{container}/{}", arn::last_part(arn));
        let mut request = json!({ "logGroupName": GROUP, "logStreamName": stream, "startFromHead": true });
        let mut lines = Vec::new();
        loop {
            let page = self.logs.call("GetLogEvents", request.to_string().as_bytes()).unwrap();
            let page: Value = serde_json::from_str(&page).unwrap();
            if page["nextForwardToken"] == request["nextToken"] {
                return lines;
            }
            let events = page["events"].as_array().unwrap().iter();
            lines.extend(events.map(|event| event["message"].as_str().unwrap().to_owned()));
            request["nextToken"] = page["nextForwardToken"].clone();
        }
    }

    /// Waits until a task has printed its first line.
    async fn first_line(&self, arn: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task =
                self.until(arn, |task| task["lastStatus"] != "PROVISIONING" && task["lastStatus"] != "PENDING").await;
            if let Some(line) = self.lines(&task, "job").first() {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "it prints nothing: {task:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn shell(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": "ignored", "entryPoint": ["/bin/sh", "-c"], "command": [script],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": { "awslogs-group": GROUP, "awslogs-stream-prefix": "task", "awslogs-region": "us-east-1" },
        },
    })
}

fn code(refused: Refused) -> &'static str {
    AwsError::from(refused).code
}

fn is_alive(pid: &str) -> bool {
    // A process that was killed and has not been reaped yet is a zombie.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Waits for the end of a process.
async fn gone(pid: &str) {
    let deadline = Instant::now() + PATIENCE;
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
