//! Budgets that do not depend on the machine: AWS calls, operations and checkpointed bytes of an execution, and the instructions of
//! the handlers that are called most. A change that costs more has to raise the budget here.

use std::{
    collections::{BTreeMap, VecDeque},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderName, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command, sync::mpsc};

use crate::{
    api_on_lambda::{api_binary, event},
    blocked_jobs::BlockedJobs,
    stack::{PATIENCE, Stack, eventually},
};

/// The maximum cost of an execution whose job ends during the workflow's first wait. It allows for one more log read and one repeated
/// write, which can happen on a busy machine.
struct Budget {
    operations: u64,
    bytes: u64,
    calls: &'static [(&'static str, u64)],
}

const SYNC: Budget = Budget {
    operations: 9,
    bytes: 950,
    calls: &[
        ("dynamodb:GetItem", 8),
        ("dynamodb:PutItem", 5),
        ("ecs:RunTask", 1),
        ("ecs:DescribeTasks", 0),
        ("ecs:ListTasks", 0),
        ("ecs:StopTask", 0),
        ("logs:GetLogEvents", 0),
        ("lambda:CheckpointDurableExecution", 15),
        ("lambda:GetDurableExecutionState", 0),
    ],
};

const CALLBACK: Budget = Budget {
    operations: 4,
    bytes: 350,
    calls: &[
        ("dynamodb:GetItem", 3),
        ("dynamodb:PutItem", 3),
        ("ecs:RunTask", 1),
        ("ecs:DescribeTasks", 0),
        ("ecs:ListTasks", 0),
        ("ecs:StopTask", 0),
        ("logs:GetLogEvents", 0),
        ("lambda:CheckpointDurableExecution", 6),
        ("lambda:GetDurableExecutionState", 0),
    ],
};

/// The maximum number of instructions per request through `lambda_http` in a debug build, including AWS calls. It is 20 % more than
/// callgrind counted.
const INSTRUCTIONS: [(&str, u64); 2] = [("get", 8_000_000), ("start", 11_400_000)];

/// Whether a durable execution is running, and its operations and checkpointed bytes so far.
fn counted(stack: &Stack, id: &str) -> (bool, u64, u64) {
    let file = stack.data.join("aws.db");
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    database.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "SELECT running, body FROM durable_executions WHERE name = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, String>(1)?));
    let (running, body) = database.query_row(sql, [id], read).unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    (running, body["operations"].as_u64().unwrap(), body["written"].as_u64().unwrap())
}

/// On a very busy machine a call can time out and be repeated. A real increase exceeds the budget each time.
const REPEATS: usize = 3;

#[tokio::test]
async fn an_execution_stays_within_its_budget_of_calls_and_operations() {
    for (pattern, budget) in [("sync", SYNC), ("callback", CALLBACK)] {
        let mut excess = Vec::new();
        for _ in 0..REPEATS {
            excess = excess_of_one(pattern, &budget).await;
            if excess.is_empty() {
                break;
            }
        }
        assert!(excess.is_empty(), "{pattern}: {}", excess.join(", "));
    }
}

/// Runs an execution, and returns what exceeds the budget.
async fn excess_of_one(pattern: &str, budget: &Budget) -> Vec<String> {
    let blocked = BlockedJobs::new();
    let stack = Stack::start(&["--job", &blocked.job("blocked")]).await;
    let mut watches = BTreeMap::new();
    for on in budget.calls.iter().map(|(on, _)| *on).chain(["*"]) {
        let watch = json!({ "on": on, "does": "watch", "by": format!("longhaul-{pattern}"), "times": "all" });
        watches.insert(on, stack.arm(&watch).await);
    }
    let id = stack.start_running(pattern, "blocked").await;
    if pattern == "sync" {
        let arn = stack.execution(&id).await["durableExecutionArn"].as_str().unwrap().to_owned();
        stack.wait_for_sleep(&arn).await;
    }
    blocked.release(&id);
    stack.wait_for(&id, |execution| execution["done"] == true).await;
    let (operations, bytes) = eventually("the workflow to end", async || match counted(&stack, &id) {
        (false, operations, bytes) => Some((operations, bytes)),
        (true, ..) => None,
    })
    .await;
    let mut costs = vec![("operations", operations, budget.operations), ("bytes", bytes, budget.bytes)];
    let mut known = 0;
    for (call, most) in budget.calls {
        let seen = stack.fault(watches[call]).await["seen"].as_u64().unwrap();
        costs.push((call, seen, *most));
        known += seen;
    }
    let all = stack.fault(watches["*"]).await["seen"].as_u64().unwrap();
    costs.push(("other calls", all - known, 0));
    for (what, count, _) in &costs {
        println!("{pattern}: {count} {what}");
    }
    let excess = costs.into_iter().filter(|(_, count, most)| count > most);
    excess.map(|(what, count, most)| format!("{count} {what}, {most} at most")).collect()
}

/// A Runtime API that hands out events one at a time, and forwards the responses.
struct Runtime {
    events: Mutex<VecDeque<Value>>,
    answers: mpsc::UnboundedSender<Value>,
}

async fn next(State(runtime): State<Arc<Runtime>>) -> Response {
    let event = loop {
        if let Some(event) = runtime.events.lock().unwrap().pop_front() {
            break event;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let headers = [
        ("lambda-runtime-aws-request-id", "r1"),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:123456789012:function:api"),
        ("lambda-runtime-trace-id", "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0"),
    ];
    (headers.map(|(name, value)| (HeaderName::from_static(name), value)), Json(event)).into_response()
}

async fn answered(State(runtime): State<Arc<Runtime>>, body: Bytes) -> StatusCode {
    runtime.answers.send(serde_json::from_slice(&body).unwrap()).unwrap();
    StatusCode::ACCEPTED
}

/// Counts the instructions that the API's program executes for a number of starts, and of polls of the last execution.
async fn instructions(stack: &Stack, api: &Path, starts: usize, polls: usize) -> u64 {
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let (answers, mut answer) = mpsc::unbounded_channel();
    let runtime = Arc::new(Runtime { events: Mutex::default(), answers });
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
        .with_state(runtime.clone());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let program = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(api)
        .env_clear()
        .envs([("PATH", "/usr/bin"), ("AWS_REGION", "us-east-1"), ("AWS_ENDPOINT_URL", &stack.aws)])
        .envs([
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "any"),
            ("EXECUTIONS_TABLE", "longhaul-executions"),
            ("DATA_BUCKET", "longhaul-data"),
        ])
        .envs([("SYNC_FUNCTION", "longhaul-sync:live"), ("CALLBACK_FUNCTION", "longhaul-callback:live")])
        .env("RECONCILER_FUNCTION", "longhaul-reconciler")
        .envs([("JOBS", r#"{"demo":{"taskDefinition":"longhaul-demo"}}"#), ("AWS_LAMBDA_FUNCTION_NAME", "api")])
        .envs([("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"), ("AWS_LAMBDA_FUNCTION_VERSION", "1")])
        .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("valgrind is not installed: run `apt-get install valgrind`");
    let mut ask = async |event: Value, status: u64| {
        runtime.events.lock().unwrap().push_back(event);
        let answer = tokio::time::timeout(PATIENCE, answer.recv()).await.unwrap().unwrap();
        assert_eq!(answer["statusCode"], status, "{answer:#}");
        serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap()
    };
    let mut path = String::new();
    for _ in 0..starts {
        let body = r#"{"input": {"message": "Hello", "processingTime": 0}}"#;
        let started = ask(event("POST", "/executions/callback", Some(body), &ada), 202).await;
        path = format!("/executions/{}", started["executionId"].as_str().unwrap());
    }
    // Poll a finished execution, so that each poll costs the same.
    let id = path.rsplit('/').next().unwrap();
    eventually("the job to end", async || (stack.item(id).await["status"]["S"] == "COMPLETED").then_some(())).await;
    for _ in 0..polls {
        ask(event("GET", &path, None, &ada), 200).await;
    }
    kill_process(Pid::from_raw(program.id().unwrap().try_into().unwrap()).unwrap(), Signal::TERM).unwrap();
    let output = program.wait_with_output().await.unwrap();
    server.abort();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = stderr.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = collected.unwrap_or_else(|| panic!("callgrind printed no count: {stderr}"));
    count.trim().parse().unwrap()
}

#[tokio::test]
async fn the_most_called_handlers_stay_within_their_budget_of_instructions() {
    const MORE: usize = 5;
    let stack = Stack::start(&[]).await;
    let api = PathBuf::from(api_binary());
    // One at a time, because valgrind is slow.
    let base = instructions(&stack, &api, 2, 2).await;
    let starts = instructions(&stack, &api, 2 + MORE, 2).await;
    let polls = instructions(&stack, &api, 2, 2 + MORE).await;
    let each = |all: u64| all.saturating_sub(base) / u64::try_from(MORE).unwrap();
    for (what, most) in INSTRUCTIONS {
        let count = each(if what == "get" { polls } else { starts });
        println!("{what}: {count} instructions");
        assert!(count <= most, "{what}: {count} instructions, {most} at most");
    }
}
