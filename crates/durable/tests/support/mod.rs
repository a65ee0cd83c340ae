//! The real workflows and the real activities, with an emulator of AWS: what is in it, and how one execution runs on it.

mod disturbed;
mod scenario;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws::Connection;
use aws_durable_execution_sdk::test_util::{LocalRunner, TestResult};
use compute::Network;
use contract::{catalog::Catalog, checkpoint::Finished, messages::StoredStart, schema};
use domain::{Event, Execution, ExecutionId, JobError, Json, Moment, Outcome, Owner, Pattern, Request, Start};
use durable::{AwsActivities, callback, config::Config, sync};
use emulator::testing::TestEmulator;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::Executions;
use tokio::{sync::Semaphore, task::JoinSet};

use self::disturbed::{Disturbed, TestClock};
pub(crate) use self::{
    disturbed::Fault,
    scenario::{Scenario, Script, Wake, long_starts, scenarios},
};

const TABLE: &str = "executions";
const CLUSTER: &str = "jobs";
const LOG_GROUP: &str = "/jobs";

/// The job of every execution that may start tasks: its tasks end when the test says so, with the exit code that it says.
const JOB: &str = "demo";

/// A job whose task definition does not exist.
const UNKNOWN_TASK_DEFINITION: &str = "unregistered";

/// How many executions run at a time.
const CONCURRENT: usize = 8;

/// The attribute of an outcome with the time of its end.
const FINISHED: &str = "\"finishedAt\":\"";

/// More waits for a callback than any workflow here needs.
const WAITS: usize = 40;

/// More invocations than any workflow here needs.
const INVOCATIONS: usize = 200;

/// An emulator with what Longhaul has on AWS: the table, the cluster and the task definitions. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    emulator: TestEmulator,
    connection: Connection,
    executions: Executions,
    count: AtomicUsize,
    slots: Semaphore,
}

impl Account {
    pub(crate) async fn open() -> Self {
        let script = r#"read -r code < "$TEST_DIRECTORY/$EXECUTION_ID" && echo '{"n":1}' && exit "$code""#;
        let log = json!({ "logDriver": "awslogs", "options": {
            "awslogs-group": LOG_GROUP, "awslogs-region": emulator::REGION, "awslogs-stream-prefix": "task",
        }});
        let container =
            json!({ "name": "job", "image": "any", "command": ["sh", "-c", script], "logConfiguration": log });
        let emulator = TestEmulator::start(json!({
            "tables": [{ "create": schema::create_table(TABLE), "expiresAt": schema::EXPIRES }],
            "cluster": CLUSTER,
            "taskDefinitions": [{ "family": JOB, "containerDefinitions": [container] }],
        }));
        let connection = Connection::to_endpoint(emulator.url(), emulator::REGION, "workflow").await;
        let executions = Executions::new(&connection, TABLE);
        let slots = Semaphore::new(CONCURRENT);
        Self(Arc::new(Inner { emulator, connection, executions, count: AtomicUsize::new(0), slots }))
    }

    /// Runs all of these, several at a time, and returns their results in the same order.
    pub(crate) async fn run_all(&self, cases: impl IntoIterator<Item = Case>) -> Vec<Ran> {
        let mut running = JoinSet::new();
        for (nth, case) in cases.into_iter().enumerate() {
            let account = self.clone();
            running.spawn(async move {
                let _slot = account.0.slots.acquire().await.unwrap();
                (nth, account.run(case).await)
            });
        }
        let mut all = running.join_all().await;
        all.sort_by_key(|(nth, _)| *nth);
        let mut tasks = self.tasks().await;
        let with_tasks = |ran: Ran| Ran { tasks: tasks.remove(ran.execution.id.as_str()).unwrap_or_default(), ..ran };
        all.into_iter().map(|(_, ran)| ran).map(with_tasks).collect()
    }

    pub(crate) async fn run_one(&self, case: Case) -> Ran {
        self.run_all([case]).await.remove(0)
    }

    /// The tasks that each execution has started.
    async fn tasks(&self) -> BTreeMap<String, Vec<Value>> {
        let mut tasks: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for task in self.0.emulator.tasks(CLUSTER).await {
            tasks.entry(task["startedBy"].as_str().unwrap().to_owned()).or_default().push(task);
        }
        tasks
    }

    async fn run(&self, case: Case) -> Ran {
        let number = self.0.count.fetch_add(1, Ordering::Relaxed);
        let id: ExecutionId = format!("e{number}").parse().unwrap();
        let clock = TestClock::started_now();
        let Case { scenario, fault, runner, what } = case;
        let arn = self.create(&id, &scenario, &clock).await;
        let activities = AwsActivities::new(&self.0.connection, config(), clock.reading());
        let disturbed = Disturbed::new(self.clone(), activities, &id, arn, &scenario.script, fault, clock);
        let disturbed = Arc::new(disturbed);
        disturbed.arm().await;
        let input = serde_json::to_string(&StoredStart::of(id.clone(), scenario.script.begin_with)).unwrap();
        let (input, with) = (Json::parse(&input).unwrap(), disturbed.clone());
        let result = match scenario.pattern {
            Pattern::Sync => runner.run(move |input: Json, ctx| sync(with.clone(), input, ctx), input).await,
            Pattern::Callback => runner.run(move |input: Json, ctx| callback(with.clone(), input, ctx), input).await,
        };
        disturbed.disarm().await;
        let execution = self.0.executions.get(&id).await.unwrap().unwrap();
        if scenario.pattern == Pattern::Callback && !execution.status().is_final() {
            disturbed.let_task_end(0);
        }
        let (activities, known) = (disturbed.carried_out(), disturbed.known_at_the_end());
        Ran { scenario, what, result, execution, activities, known, tasks: Vec::new() }
    }

    /// Stores an execution, as the API does before it starts the workflow. Returns the ARN of its workflow.
    async fn create(&self, id: &ExecutionId, scenario: &Scenario, clock: &TestClock) -> String {
        let (script, pattern) = (&scenario.script, scenario.pattern);
        let request = Request {
            job: if script.refused { UNKNOWN_TASK_DEFINITION } else { JOB }.to_owned(),
            timeout: script.timeout,
            max_attempts: script.max_attempts,
            retry: script.retry.clone(),
            start: script.starts_in.map(|seconds| Start::In { seconds }),
            start_before: script.latest_start_in.map(|seconds| Start::In { seconds }.after(clock.now())),
            ..Request::of(Json::null())
        };
        let new = Execution::new(id.clone(), pattern, Owner::new("ada"), request, clock.now());
        self.0.executions.create(&new, clock.now()).await.unwrap();
        let arn = |name: &str| {
            let function = format!("arn:aws:lambda:{}:{}:function:{pattern}:1", emulator::REGION, emulator::ACCOUNT);
            format!("{function}/durable-execution/{name}/0")
        };
        let first = Event::WorkflowStarted { durable_execution_arn: arn(id.as_str()), log: None };
        if script.cancelled_before {
            // Cancelled just after a workflow has accepted it. Before that, the cancel would end it, and the workflow would have
            // nothing to do.
            self.apply(id, &[first.clone(), Event::CancelRequested], clock.now()).await;
        }
        if let Some(earlier) = script.begin_with.get().checked_sub(1).and_then(domain::Attempt::new) {
            let error = JobError::new("exit-code", "exited with code 3");
            let failed = Event::AttemptFailed { attempt: earlier, error, excused: false, exit_code: Some(3) };
            let started = Event::TaskStarted { attempt: earlier, task_arn: "arn:earlier".to_owned() };
            self.apply(id, &[first, started, failed], clock.now()).await;
        }
        arn(&StoredStart::of(id.clone(), script.begin_with).name())
    }

    async fn apply(&self, id: &ExecutionId, events: &[Event], at: Timestamp) {
        for event in events {
            // An execution that is over refuses events.
            let _ = self.0.executions.advance(id, event, at).await;
        }
    }
}

fn config() -> Config {
    let job = |definition: &str| json!({ "taskDefinition": definition });
    let catalog = json!({ JOB: job(JOB), UNKNOWN_TASK_DEFINITION: job(UNKNOWN_TASK_DEFINITION) });
    Config {
        table: TABLE.to_owned(),
        bucket: "data".to_owned(),
        cluster: CLUSTER.to_owned(),
        catalog: serde_json::from_value::<Catalog>(catalog).unwrap(),
        log_group: LOG_GROUP.to_owned(),
        network: Network::default(),
        direct_owner: Owner::new("direct"),
    }
}

/// A scenario to run, with a fault.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) scenario: Scenario,
    pub(crate) fault: Fault,
    pub(crate) runner: LocalRunner,
    /// Names the fault in messages.
    pub(crate) what: String,
}

impl Case {
    pub(crate) fn new(scenario: &Scenario, fault: Fault) -> Self {
        let runner = runner(scenario.wake);
        Self { scenario: scenario.clone(), fault, runner, what: format!("{fault:?}") }
    }

    /// A case in which this checkpoint does not arrive.
    pub(crate) fn with_lost_checkpoint(scenario: &Scenario, nth: usize) -> Self {
        let runner = runner(scenario.wake).fail_checkpoints_after_retryable(nth, 1);
        Self { runner, what: format!("checkpoint {nth} lost"), ..Self::new(scenario, Fault::None) }
    }
}

/// The durable SDK's own runner, which skips all waits.
fn runner(wake: Wake) -> LocalRunner {
    (0..WAITS).fold(LocalRunner::new().max_invocations(INVOCATIONS), |runner, _| match wake {
        Wake::Timeout => runner.callback_timeout(),
        Wake::Says(result) => runner.callback_success(&serde_json::from_str::<Value>(result).unwrap()),
    })
}

/// The result of one case.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) scenario: Scenario,
    pub(crate) what: String,
    /// What its workflow returned.
    pub(crate) result: TestResult<Finished>,
    /// Its item.
    pub(crate) execution: Execution,
    /// How many activities its workflow ran.
    pub(crate) activities: usize,
    /// The outcome that its workflow knew when it gave up.
    pub(crate) known: Option<Outcome>,
    /// Its tasks.
    pub(crate) tasks: Vec<Value>,
}

impl Ran {
    /// The number of its tasks that have not ended and were not asked to stop.
    pub(crate) fn tasks_running(&self) -> usize {
        self.tasks.iter().filter(|task| task["desiredStatus"] == "RUNNING").count()
    }

    /// How often an end was recorded.
    pub(crate) fn ends(&self) -> usize {
        self.execution.timeline.entries().iter().filter(|entry| entry.what == Moment::Ended).count()
    }

    /// `text`, with everything replaced that differs between two runs: its id, its tasks, and the times of their ends.
    pub(crate) fn without_names_and_times(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for run in self.execution.earlier.iter().chain(self.execution.state.started_task()) {
            text = text.replace(&run.task_arn, &format!("TASK {}", run.attempt));
        }
        text = text.replace(&format!("\"{}\"", self.execution.id), "\"ID\"");
        match text.split_once(FINISHED) {
            Some((before, after)) => {
                let (_, rest) = after.split_once('"').unwrap();
                format!("{before}{FINISHED}TIME\"{rest}")
            }
            None => text,
        }
    }

    /// What identifies it in a message.
    pub(crate) fn name(&self) -> String {
        format!("{}, {}: {:?}", self.scenario.name, self.what, self.result.error_message())
    }
}
