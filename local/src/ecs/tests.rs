//! The service as its callers see it, with real processes.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::logs;

const CLUSTER: &str = "jobs";
const GROUP: &str = "/ecs/jobs";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A stack over a database file.
struct Stack {
    ecs: Ecs,
    logs: Logs,
    db: Db,
}

impl Stack {
    fn over(directory: &Path) -> Self {
        let db = Db::open(&directory.join("local.db"), &[SCHEMA, logs::SCHEMA]).unwrap();
        let logs = Logs::new(db.clone(), Clock);
        let settings = Settings {
            cluster: CLUSTER.into(),
            base_environment: vec![
                ("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()),
                ("BASE".into(), "base".into()),
            ],
            metadata_base: "http://127.0.0.1:4566/_ecs".into(),
        };
        Self { ecs: Ecs::new(db.clone(), Clock, logs.clone(), settings), logs, db }
    }

    fn fresh() -> (Self, TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (Self::over(directory.path()), directory)
    }

    async fn ask(&self, operation: &str, mut request: Value) -> Result<Value, Refused> {
        if operation != "RegisterTaskDefinition" {
            request["cluster"] = json!(CLUSTER);
        }
        self.ecs.answer(operation, request.to_string().as_bytes()).await
    }

    async fn register(&self, containers: Value) {
        let definition = json!({ "family": "f", "containerDefinitions": containers });
        self.ask("RegisterTaskDefinition", definition).await.unwrap();
    }

    /// Registers a task definition of one container that is a shell script, as `f`.
    async fn script(&self, script: &str) {
        self.register(json!([shell("job", script)])).await;
    }

    /// Starts a task and gives its ARN.
    async fn run(&self, request: Value) -> String {
        let answer = self.ask("RunTask", request).await.unwrap();
        assert_eq!(answer["failures"], json!([]));
        answer["tasks"][0]["taskArn"].as_str().unwrap().to_owned()
    }

    async fn describe(&self, arn: &str) -> Value {
        self.ask("DescribeTasks", json!({ "tasks": [arn] })).await.unwrap()["tasks"][0].clone()
    }

    /// Looks at a task until it is as wanted.
    async fn until(&self, arn: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.describe(arn).await;
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
        self.script(script).await;
        let task = self.stopped(&self.run(json!({ "taskDefinition": "f" })).await).await;
        let lines = self.lines(&task, "job").await;
        (task, lines)
    }

    /// What a container printed, as one reads it from its stream.
    async fn lines(&self, task: &Value, container: &str) -> Vec<String> {
        let arn = task["taskArn"].as_str().unwrap();
        let stream = format!("task/{container}/{}", arn::last_part(arn));
        let mut request = json!({ "logGroupName": GROUP, "logStreamName": stream, "startFromHead": true });
        let mut lines = Vec::new();
        loop {
            let page = self.logs.handle("GetLogEvents", request.to_string().as_bytes()).await.unwrap();
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
            if let Some(line) = self.lines(&task, "job").await.first() {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "it prints nothing: {task:#}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn shell(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": "ignored", "entryPoint": ["/bin/sh", "-c"], "command": [script], "stopTimeout": 1,
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
    // A process that was killed and that nobody waits for yet is a zombie.
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

#[tokio::test]
async fn a_task_runs_to_its_end() {
    let (stack, _directory) = Stack::fresh();
    let (task, lines) = stack.outcome("echo out; echo err >&2").await;
    assert_eq!(task["containers"][0]["exitCode"], 0);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(task["stoppedReason"], "Essential container in task exited");
    assert_eq!(
        (&task["desiredStatus"], &task["group"], &task["version"]),
        (&json!("STOPPED"), &json!("family:f"), &json!(5))
    );
    for time in ["createdAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"] {
        assert!(task[time].as_f64().unwrap() > 1.7e9, "{time}");
    }
    assert_eq!(std::collections::BTreeSet::from_iter(lines), ["err".into(), "out".into()].into());

    let (failed, _) = stack.outcome("exit 3").await;
    assert_eq!(failed["containers"][0]["exitCode"], 3);
    let (killed, _) = stack.outcome("kill -KILL $$").await;
    assert_eq!(killed["containers"][0]["exitCode"], 137);
    assert!(failed["taskDefinitionArn"].as_str().unwrap().ends_with("task-definition/f:2"));
}

#[tokio::test]
async fn overrides_are_over_the_definition_and_nothing_is_inherited() {
    let (stack, _directory) = Stack::fresh();
    let mut container = shell("job", "echo wrong");
    container["environment"] = json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    stack.register(json!([container])).await;
    let script = "echo $A$B $BASE $CARGO_MANIFEST_DIR $ECS_CONTAINER_METADATA_URI_V4";
    let by = json!({ "name": "job", "command": [script], "environment": [{ "name": "B", "value": "3" }] });
    let tags = json!([{ "key": "k", "value": "v" }]);
    let request = json!({
        "taskDefinition": "f:1", "overrides": { "containerOverrides": [by] }, "startedBy": "me", "tags": tags,
    });
    let task = stack.stopped(&stack.run(request).await).await;
    let id = arn::last_part(task["taskArn"].as_str().unwrap());
    assert_eq!(stack.lines(&task, "job").await, [format!("13 base http://127.0.0.1:4566/_ecs/v4/{id}")]);
    assert_eq!((&task["startedBy"], &task["tags"]), (&json!("me"), &json!([])));
    assert_eq!(task["overrides"]["containerOverrides"][0]["environment"][0]["value"], "3");
    let with_tags = stack.ask("DescribeTasks", json!({ "tasks": [id], "include": ["TAGS"] })).await.unwrap();
    assert_eq!(with_tags["tasks"][0]["tags"], tags);

    let unknown = json!({ "taskDefinition": "f", "overrides": { "containerOverrides": [{ "name": "x" }] } });
    assert_eq!(code(stack.ask("RunTask", unknown).await.unwrap_err()), "InvalidParameterException");
    let metadata = stack.ecs.metadata(id).unwrap();
    assert_eq!((&metadata["KnownStatus"], &metadata["Revision"]), (&json!("STOPPED"), &json!("1")));
}

#[tokio::test]
async fn a_client_token_starts_its_tasks_once() {
    let (stack, _directory) = Stack::fresh();
    stack.script("true").await;
    let request = |by: &str| json!({ "taskDefinition": "f", "clientToken": "t", "startedBy": by, "count": 2 });
    let arns = |answer: &Value| {
        let tasks = answer["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["taskArn"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = arns(&stack.ask("RunTask", request("me")).await.unwrap());
    assert_eq!(first.len(), 2);
    // Also under another name of the definition that may mean another one by now: the request is what counts.
    stack.script("false").await;
    assert_eq!(arns(&stack.ask("RunTask", request("me")).await.unwrap()), first);
    let conflict = stack.ask("RunTask", request("you")).await.unwrap_err();
    assert_eq!(conflict, Refused::Conflict(first.clone()));
    assert_eq!(code(conflict), "ConflictException");

    for arn in &first {
        stack.stopped(arn).await;
    }
    let forget = |tx: &rusqlite::Transaction<'_>| tx.execute("UPDATE ecs_tasks SET stopped_ms = 0", []);
    stack.db.transact(forget).unwrap();
    let again = arns(&stack.ask("RunTask", request("you")).await.unwrap());
    assert!(again.iter().all(|arn| !first.contains(arn)));
}

#[tokio::test]
async fn what_ignores_sigterm_is_killed_with_all_its_children() {
    let (stack, _directory) = Stack::fresh();
    stack.script("trap '' TERM; sleep 1000 & echo $!; wait; wait; sleep 1000").await;
    let arn = stack.run(json!({ "taskDefinition": "f" })).await;
    let child = stack.first_line(&arn).await;
    let stopping = stack.ask("StopTask", json!({ "task": arn, "reason": "enough" })).await.unwrap()["task"].clone();
    assert_eq!((&stopping["desiredStatus"], &stopping["lastStatus"]), (&json!("STOPPED"), &json!("RUNNING")));
    let task = stack.stopped(&arn).await;
    assert_eq!(task["containers"][0]["exitCode"], 137);
    assert_eq!((&task["stopCode"], &task["stoppedReason"]), (&json!("UserInitiated"), &json!("enough")));
    gone(&child).await;

    let again = stack.ask("StopTask", json!({ "task": arn, "reason": "more" })).await.unwrap()["task"].clone();
    assert_eq!((&again["stoppedReason"], &again["version"]), (&json!("enough"), &task["version"]));
    let unknown = stack.ask("StopTask", json!({ "task": "0" })).await.unwrap_err();
    assert_eq!(AwsError::from(unknown).message, "The referenced task was not found.");
}

#[tokio::test]
async fn sigterm_goes_to_the_first_process_and_its_children_end_with_it() {
    let (stack, _directory) = Stack::fresh();
    stack.script("sleep 1000 & echo $!; trap 'echo bye; exit 5' TERM; wait").await;
    let arn = stack.run(json!({ "taskDefinition": "f" })).await;
    let child = stack.first_line(&arn).await;
    stack.ask("StopTask", json!({ "task": arn })).await.unwrap();
    let task = stack.stopped(&arn).await;
    assert_eq!(
        (&task["containers"][0]["exitCode"], &task["stoppedReason"]),
        (&json!(5), &json!("Task stopped by user"))
    );
    assert_eq!(stack.lines(&task, "job").await, [child.as_str(), "bye"]);
    gone(&child).await;
}

#[tokio::test]
async fn a_command_that_is_not_there_fails_to_start() {
    let (stack, _directory) = Stack::fresh();
    let mut missing = shell("job", "");
    missing["entryPoint"] = json!(["/nowhere/at-all"]);
    stack.register(json!([shell("side", "sleep 1000"), missing])).await;
    let task = stack.stopped(&stack.run(json!({ "taskDefinition": "f" })).await).await;
    let reason = task["stoppedReason"].as_str().unwrap();
    assert!(reason.starts_with("CannotStartContainerError: exec: \"/nowhere/at-all\": No such file"), "{reason}");
    assert_eq!((&task["stopCode"], task.get("startedAt")), (&json!("TaskFailedToStart"), None));
    assert_eq!((&task["containers"][1]["reason"], task["containers"][1].get("exitCode")), (&json!(reason), None));
    assert_eq!(task["containers"][0]["exitCode"], 143);
    assert!(stack.lines(&task, "job").await.is_empty(), "the stream exists from the start");
}

#[tokio::test]
async fn all_output_is_there_when_the_task_is_stopped() {
    let (stack, _directory) = Stack::fresh();
    let (_, one) = stack.outcome("head -c 5000000 /dev/zero | tr '\\0' x").await;
    assert_eq!(one.iter().map(String::len).sum::<usize>(), 5_000_000);
    assert!(one.iter().all(|event| event.len() <= aws::MAX_EVENT_BYTES));
    assert_eq!(one.len(), 5_000_000_usize.div_ceil(aws::MAX_EVENT_BYTES));
    let (_, many) = stack.outcome("seq 1 700000").await;
    assert_eq!(many.len(), 700_000);
    assert!(many.iter().enumerate().all(|(place, line)| *line == (place + 1).to_string()));
    let (_, strange) = stack.outcome("printf 'a\\377b\\n\\nend'").await;
    assert_eq!(strange, ["a\u{fffd}b", "end"]);
}

#[tokio::test]
async fn who_holds_the_pipe_open_does_not_hold_the_task() {
    let (stack, _directory) = Stack::fresh();
    let (task, lines) = stack.outcome("setsid sh -c 'echo $$; exec sleep 1000' & sleep 0.5; echo end").await;
    assert_eq!((&task["containers"][0]["exitCode"], lines[1].as_str()), (&json!(0), "end"));
    assert!(is_alive(&lines[0]), "a known difference from AWS");
    std::process::Command::new("kill").arg(&lines[0]).status().unwrap();
}

#[tokio::test]
async fn an_essential_container_takes_the_others_with_it() {
    let (stack, _directory) = Stack::fresh();
    let mut helper = shell("helper", "echo helped");
    helper["essential"] = json!(false);
    let job = shell("job", "sleep 0.3; echo done; exit 4");
    stack.register(json!([helper, job, shell("server", "sleep 1000")])).await;
    let task = stack.stopped(&stack.run(json!({ "taskDefinition": "f" })).await).await;
    let codes: Vec<_> = (0..3).map(|n| task["containers"][n]["exitCode"].as_i64().unwrap()).collect();
    assert_eq!(codes, [0, 4, 143]);
    assert_eq!(task["stopCode"], "EssentialContainerExited");
    assert_eq!(
        (stack.lines(&task, "helper").await, stack.lines(&task, "job").await),
        (vec!["helped".into()], vec!["done".into()])
    );
}

#[tokio::test]
async fn tasks_are_listed_until_they_are_to_end_and_shown_for_an_hour() {
    let (stack, _directory) = Stack::fresh();
    stack.script("sleep 1000").await;
    let mine = stack.run(json!({ "taskDefinition": "f", "startedBy": "me" })).await;
    let yours = stack.run(json!({ "taskDefinition": "f", "startedBy": "you" })).await;
    let list = async |request: Value| stack.ask("ListTasks", request).await.unwrap()["taskArns"].clone();
    assert_eq!(list(json!({ "startedBy": "me" })).await, json!([mine]));
    assert_eq!(list(json!({ "family": "f" })).await, json!([mine, yours]));
    assert_eq!(list(json!({ "family": "g" })).await, json!([]));
    let first = stack.ask("ListTasks", json!({ "maxResults": 1 })).await.unwrap();
    let rest = json!({ "maxResults": 1, "nextToken": first["nextToken"] });
    assert_eq!((first["taskArns"].clone(), list(rest).await), (json!([mine]), json!([yours])));
    let both = json!({ "startedBy": "me", "family": "f" });
    assert_eq!(code(stack.ask("ListTasks", both).await.unwrap_err()), "InvalidParameterException");

    stack.ask("StopTask", json!({ "task": mine })).await.unwrap();
    assert_eq!(list(json!({ "startedBy": "me" })).await, json!([]));
    assert_eq!(list(json!({ "desiredStatus": "STOPPED" })).await, json!([mine]));
    stack.stopped(&mine).await;
    let forget =
        |tx: &rusqlite::Transaction<'_>| tx.execute("UPDATE ecs_tasks SET stopped_ms = 0 WHERE to_end = 1", []);
    stack.db.transact(forget).unwrap();
    let unknown = "0".repeat(32);
    let seen = stack.ask("DescribeTasks", json!({ "tasks": [mine, yours, unknown] })).await.unwrap();
    let unknown = arn::task(CLUSTER, &unknown);
    assert_eq!(
        seen["failures"],
        json!([{ "arn": mine, "reason": "MISSING" }, { "arn": unknown, "reason": "MISSING" }])
    );
    assert_eq!(seen["tasks"].as_array().unwrap().len(), 1);
    stack.ecs.shut_down().await;
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let (stack, _directory) = Stack::fresh();
    let elsewhere = json!({ "cluster": "other", "tasks": ["x"] }).to_string();
    let error = stack.ecs.handle("DescribeTasks", elsewhere.as_bytes()).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), ("ClusterNotFoundException", "Cluster not found."));
    let run = stack.ask("RunTask", json!({ "taskDefinition": "f" })).await.unwrap_err();
    assert_eq!(AwsError::from(run).message, "TaskDefinition not found.");
    let describe = stack.ask("DescribeTaskDefinition", json!({ "taskDefinition": "f" })).await.unwrap_err();
    assert_eq!(AwsError::from(describe).message, "Unable to describe task definition.");
    assert_eq!(code(stack.ask("CreateService", json!({})).await.unwrap_err()), "UnknownOperationException");
    let broken = stack.ecs.handle("RunTask", b"{").await.unwrap_err();
    assert_eq!(broken.code, "SerializationException");
    let none = json!({ "family": "f", "containerDefinitions": [] });
    assert_eq!(code(stack.ask("RegisterTaskDefinition", none).await.unwrap_err()), "ClientException");
    let clusters = stack.ask("DescribeClusters", json!({ "clusters": [CLUSTER, "other"] })).await.unwrap();
    assert_eq!(clusters["clusters"][0]["status"], "ACTIVE");
    assert_eq!(clusters["failures"], json!([{ "arn": arn::cluster("other"), "reason": "MISSING" }]));
}

#[tokio::test]
async fn every_registration_is_a_revision() {
    let (stack, _directory) = Stack::fresh();
    for _ in 0..3 {
        stack.script("true").await;
    }
    let described = stack.ask("DescribeTaskDefinition", json!({ "taskDefinition": "f" })).await.unwrap();
    assert_eq!(described["taskDefinition"]["revision"], 3);
    assert_eq!(described["taskDefinition"]["containerDefinitions"][0]["essential"], true);
    let page = stack.ask("ListTaskDefinitions", json!({ "familyPrefix": "f", "maxResults": 2 })).await.unwrap();
    assert_eq!(page["taskDefinitionArns"], json!([arn::definition("f", 1), arn::definition("f", 2)]));
    let rest = stack.ask("ListTaskDefinitions", json!({ "nextToken": page["nextToken"] })).await.unwrap();
    assert_eq!(rest["taskDefinitionArns"], json!([arn::definition("f", 3)]));
}

/// A stack dies with a task that has children, one of which has a group of its own; the next stack ends them all.
#[test]
fn the_next_stack_ends_what_a_dead_one_left() {
    let directory = tempfile::tempdir().unwrap();
    let first = Runtime::new().unwrap();
    let (arn, pids) = first.block_on(async {
        let stack = Stack::over(directory.path());
        stack.script("sleep 1000 & a=$!; setsid sleep 1000 & echo $$ $a $!; wait").await;
        let arn = stack.run(json!({ "taskDefinition": "f" })).await;
        let line = stack.first_line(&arn).await;
        (arn, line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    });
    first.shutdown_background();
    assert!(pids.iter().all(|pid| is_alive(pid)));

    Runtime::new().unwrap().block_on(async {
        let stack = Stack::over(directory.path());
        stack.ecs.recover().unwrap();
        let task = stack.describe(&arn).await;
        assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("InfrastructureHealth")));
        assert_eq!(task["stoppedReason"], "Host terminated: the local stack was stopped.");
        assert_eq!(task["containers"][0].get("exitCode"), None);
        for pid in &pids {
            gone(pid).await;
        }
    });
}

/// A stack dies between the answer to `RunTask` and the start of the process.
#[test]
fn a_task_that_never_ran_is_said_to_have_failed_to_start() {
    let directory = tempfile::tempdir().unwrap();
    let first = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Nothing that is spawned runs before the next await that waits, and there is none.
    let arn = first.block_on(async {
        let stack = Stack::over(directory.path());
        stack.script("sleep 1000").await;
        stack.run(json!({ "taskDefinition": "f" })).await
    });
    drop(first);
    Runtime::new().unwrap().block_on(async {
        let stack = Stack::over(directory.path());
        assert_eq!(stack.describe(&arn).await["lastStatus"], "PROVISIONING");
        stack.ecs.recover().unwrap();
        let task = stack.describe(&arn).await;
        assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("TaskFailedToStart")));
    });
}

#[tokio::test]
async fn the_stack_takes_its_tasks_with_it() {
    let (stack, _directory) = Stack::fresh();
    stack.script("trap 'echo bye; exit 0' TERM; echo $$; sleep 1000 & wait").await;
    let arn = stack.run(json!({ "taskDefinition": "f" })).await;
    stack.first_line(&arn).await;
    stack.ecs.shut_down().await;
    let task = stack.describe(&arn).await;
    assert_eq!((&task["lastStatus"], &task["stopCode"]), (&json!("STOPPED"), &json!("InfrastructureHealth")));
    assert_eq!(stack.lines(&task, "job").await[1], "bye");
    let late = stack.stopped(&stack.run(json!({ "taskDefinition": "f" })).await).await;
    assert_eq!(late["stopCode"], "TaskFailedToStart");
}
