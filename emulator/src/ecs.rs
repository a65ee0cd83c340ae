//! ECS: one cluster whose tasks are processes of this machine.
//!
//! Known differences from AWS are listed in `FACTS`.

mod answers;
mod arn;
mod container;
mod definitions;
mod dependencies;
mod event;
mod launch;
mod leftovers;
mod metadata;
mod refused;
mod request;
mod running;
mod shapes;
mod store;
mod supervisor;
mod task;
mod tasks;
#[cfg(test)]
mod tests;
mod view;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use axum::{extract::Request, http::StatusCode};
use jiff::Timestamp;
use rusqlite::Transaction;
use tokio::time::{Instant, timeout_at};

use crate::{
    callers::Callers,
    clock::Clock,
    db::Db,
    events::Events,
    logs::Logs,
    resources::Secrets,
    service::{self, Answer, Facts, Protocol, Service},
    wire::{self, AwsError},
};

pub(crate) use definitions::families_of_image;
pub(crate) use metadata::TaskMetadata;
pub(crate) use refused::Refused;
pub(crate) use store::SCHEMA;

use answers::{DescribeClustersResponse, Failure};
use request::DescribeClusters;
use running::{Order, Running};
use task::{Event, Status, Task};

/// What the gateway and the faults need to know about this service.
pub(crate) static FACTS: Facts = Facts {
    name: "ecs",
    title: "ECS",
    targets: &["AmazonEC2ContainerServiceV20141113"],
    operations: OPERATIONS,
    throttling: (StatusCode::BAD_REQUEST, "ThrottlingException"),
    failure: "ServerException",
    content_type: "application/x-amz-json-1.1",
    protocol: Protocol::Json,
    differences: &[
        "`image` is ignored: a container is its `entryPoint` and `command`, run here, in the emulator's own working directory and \
         network, as the emulator's own user. What an image would add (its entry point, files, variables) is missing.",
        "A container has no process namespace. When its first process has ended, the rest of its group is killed, and every \
         process with its variable `_EMULATOR_CONTAINER`. Only a process that left the group and emptied its environment \
         survives; its output is read for a few more seconds. Without `/proc`, only the group is found.",
        "There are no health checks, so the condition `HEALTHY` of `dependsOn` is refused. The containers of a task are stopped at once, \
         not in the reverse order of their dependencies.",
        "`healthCheck`, `startTimeout`, `environmentFiles`, `volumes`, \
         `restartPolicy`, CPU and memory limits and networking are kept and shown, but have no effect. Capacity is unlimited: \
         `failures` of `RunTask` is empty unless a fault says otherwise, or the resources of the emulator say that there is no \
         capacity for the task definition.",
        "The values of `secrets` come from the resources of the emulator, not from Parameter Store or Secrets Manager. A task whose secret \
         is not among them does not start, as on AWS.",
        "The states `ACTIVATING`, `DEACTIVATING` and `STOPPING` are skipped. Every change is visible at once, while ECS is \
         eventually consistent.",
        "`stopTimeout` may be shorter than Fargate's 2 seconds, and longer than its 120.",
        "Logs go to CloudWatch with the `awslogs` driver or nowhere; its multi-line options are not supported.",
        "There are no services, container instances, task sets, attributes or tagging calls, and no rate limits.",
        "When the emulator ends, its tasks end. They are then `STOPPED` with `InfrastructureHealth`, as after the loss of a host.",
    ],
};

/// When the emulator stops: how long tasks may take to end before they are killed, and the limit for ending them and writing their output.
const SHUT_DOWN_GRACE: Duration = Duration::from_secs(3);
const SHUT_DOWN_LIMIT: Duration = Duration::from_secs(12);

/// The settings of the cluster and of its tasks.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Name of the one cluster.
    pub cluster: String,
    /// Environment variables of every container, which its definition may override. Nothing else is inherited from the emulator.
    pub base_environment: Vec<(String, String)>,
    /// Where the gateway serves [`Ecs::metadata`] under `/v4/{task_id}`, for example `http://127.0.0.1:4566/_ecs`.
    pub metadata_base: String,
}

/// What may change while the cluster exists.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changeable {
    /// The families of task definitions for which there is no capacity, each with a reason.
    pub without_capacity: BTreeMap<String, String>,
    /// The values of secrets.
    pub secrets: Secrets,
}

/// The service. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Ecs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    logs: Logs,
    settings: Settings,
    changeable: RwLock<Changeable>,
    events: Events,
    callers: Callers,
    running: Running,
}

impl Service for Ecs {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn answer<'a>(&'a self, operation: &'a str, request: Request) -> Answer<'a> {
        Box::pin(async move {
            match service::body(request).await {
                Ok(body) => service::json(&FACTS, self.call(operation, &body)),
                Err(refused) => refused,
            }
        })
    }
}

impl Ecs {
    /// A cluster in a database that has [`SCHEMA`].
    #[must_use]
    pub(crate) fn new(db: Db, clock: Clock, logs: Logs, events: Events, callers: Callers, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            db,
            clock,
            logs,
            settings,
            changeable: RwLock::default(),
            events,
            callers,
            running: Running::default(),
        }))
    }

    /// Changes what applies to the tasks that are started from now on.
    pub(crate) fn change(&self, to: Changeable) {
        *self.0.changeable.write().unwrap_or_else(PoisonError::into_inner) = to;
    }

    fn changeable(&self) -> RwLockReadGuard<'_, Changeable> {
        self.0.changeable.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cleans up after an emulator that died: kills its tasks' processes and records the tasks as stopped. Call it at the start, before the
    /// service gets requests.
    ///
    /// # Errors
    ///
    /// A 500 when the database failed.
    pub(crate) fn recover(&self) -> Result<(), AwsError> {
        let lost = self.0.db.transact(store::unstopped)?;
        leftovers::kill(&lost, &self.0.settings);
        for task in lost {
            self.record(&task.id, &Event::HostLost)?;
            self.record(&task.id, &Event::Ended)?;
        }
        Ok(())
    }

    /// Answers a call of the API by the name that `x-amz-target` gives after `AmazonEC2ContainerServiceV20141113.`.
    ///
    /// # Errors
    ///
    /// What AWS would answer to such a request, or a 500 when the database failed.
    pub(crate) fn call(&self, operation: &str, body: &[u8]) -> Result<String, Refused> {
        self.dispatch(operation, body)
    }

    /// `startedBy` of a task, if the task exists and has one.
    pub(crate) fn started_by(&self, task_id: &str) -> Option<String> {
        self.0.db.transact(|tx| store::task(tx, task_id)).ok()??.started_by
    }

    /// Whether this task has stopped, and is recorded as stopped.
    pub(crate) fn has_stopped(&self, arn: &str) -> bool {
        let found = arn::task_id(arn, self.cluster()).map(|id| self.0.db.transact(|tx| store::task(tx, id)));
        matches!(found, Some(Ok(Some(task))) if task.status == Status::Stopped)
    }

    /// The task metadata endpoint's `/task`.
    ///
    /// # Errors
    ///
    /// A 404 for a task that does not exist, a 500 when the database failed.
    pub(crate) fn metadata(&self, task_id: &str) -> Result<TaskMetadata, AwsError> {
        let found = self.0.db.transact(|tx| store::task(tx, task_id))?;
        let task = found.ok_or_else(|| AwsError {
            status: StatusCode::NOT_FOUND,
            code: "ResourceNotFoundException",
            message: format!("there is no task {task_id}"),
        })?;
        Ok(metadata::of(&task, self.cluster()))
    }

    /// Ends all tasks: `SIGTERM`, then `SIGKILL` after a short grace period. They are recorded as stopped, and no more are started.
    pub(crate) async fn shut_down(&self) {
        let ending = self.0.running.close();
        for (id, orders) in &ending {
            if let Err(why) = self.record(id, &Event::HostLost) {
                tracing::error!(task = id, why = why.message, "cannot record that a task is being stopped");
            }
            running::give(orders, Order::StopSoon);
        }
        let limit = Instant::now() + SHUT_DOWN_LIMIT;
        for (id, orders) in ending {
            // The channel closes when the task's last state has been recorded.
            if timeout_at(limit, orders.closed()).await.is_err() {
                tracing::warn!(task = id, "a task did not stop in time");
            }
        }
    }

    /// Records an event of a task that happens now.
    fn record(&self, id: &str, event: &Event) -> Result<Task, AwsError> {
        self.record_at(id, event, self.0.clock.now())
    }

    /// Records an event of a task, if it changes anything. Every change of a task except its creation is made here.
    fn record_at(&self, id: &str, event: &Event, now: Timestamp) -> Result<Task, AwsError> {
        let (task, changed) = self.0.db.transact(|tx| {
            let before = store::task(tx, id)?.ok_or_else(|| AwsError::internal(format!("task {id} is gone")))?;
            let Some(after) = before.after(event, now) else { return Ok((before, false)) };
            store::replace(tx, &after)?;
            self.tell(tx, &after)?;
            Ok::<_, AwsError>((after, true))
        })?;
        if changed {
            tracing::debug!(
                task = task.id,
                status = ?task.status,
                version = task.version,
                "the state of a task changed"
            );
        }
        Ok(task)
    }

    /// Sends a task's state to EventBridge, in the transaction that records it.
    fn tell(&self, tx: &Transaction<'_>, task: &Task) -> rusqlite::Result<()> {
        let detail = event::detail(task, self.cluster());
        let resource = event::resource(task, self.cluster());
        self.0.events.put(tx, "aws.ecs", "ECS Task State Change", &[&resource], &detail)
    }

    fn describe_clusters(&self, request: &DescribeClusters) -> Result<DescribeClustersResponse, AwsError> {
        let asked = request.clusters.clone().unwrap_or_else(|| vec!["default".to_owned()]);
        let (here, missing): (Vec<_>, Vec<_>) =
            asked.into_iter().partition(|cluster| arn::is_cluster(cluster, self.cluster()));
        let unstopped = self.0.db.transact(store::unstopped)?;
        let view = view::cluster(self.cluster(), &unstopped);
        let missing = missing.iter().map(|name| Failure::missing(arn::cluster(arn::last_part(name))));
        Ok(DescribeClustersResponse {
            clusters: here.iter().map(|_| view.clone()).collect(),
            failures: missing.collect(),
        })
    }

    fn cluster(&self) -> &str {
        &self.0.settings.cluster
    }

    /// Refuses any cluster other than the only one. If none is named, `default` is meant.
    fn require_cluster(&self, named: Option<&str>) -> Result<(), AwsError> {
        if arn::is_cluster(named.unwrap_or("default"), self.cluster()) {
            Ok(())
        } else {
            Err(AwsError::bad_request("ClusterNotFoundException", "Cluster not found."))
        }
    }
}

wire::operations! {
    Ecs as "ECS", Refused:
    "DeregisterTaskDefinition" => deregister_task_definition,
    "DescribeClusters" => describe_clusters,
    "DescribeTaskDefinition" => describe_task_definition,
    "DescribeTasks" => describe_tasks,
    "ListTaskDefinitions" => list_task_definitions,
    "ListTasks" => list_tasks,
    "RegisterTaskDefinition" => register_task_definition,
    "RunTask" => run_task,
    "StopTask" => stop_task,
}
