//! Sees one task through: starts its containers, ends them together, and records each step.

use tokio::{sync::watch, task::JoinSet};

use super::{
    Ecs,
    container::Started,
    launch::Launch,
    running::Order,
    task::{Event, Task},
};
use crate::callers;

/// A task and what it takes to run it.
#[derive(Debug)]
pub(super) struct Supervisor {
    ecs: Ecs,
    id: String,
    launches: Vec<Launch>,
}

impl Supervisor {
    /// For a task that is recorded.
    pub(super) fn new(ecs: Ecs, id: String, launches: Vec<Launch>) -> Self {
        Self { ecs, id, launches }
    }

    /// Runs the task to its end. If the stack is closing, that is at once.
    pub(super) async fn run(mut self) {
        let Some(orders) = self.ecs.0.running.enter(&self.id) else {
            self.note(&Event::HostLost);
            self.note(&Event::Ended);
            return;
        };
        // A task that was stopped before it began, or whose state cannot be written, is not begun.
        if let Some(task) = self.note(&Event::Provisioned).filter(|task| task.ending.is_none()) {
            let key = callers::key_of_task(&self.id);
            let containers = self.start(&orders, &key);
            self.ecs.0.callers.works_for(&key, task.started_by.as_deref());
            self.watch(containers).await;
            self.ecs.0.callers.ended(&key);
        }
        self.note(&Event::Ended);
        self.ecs.0.running.leave(&self.id);
    }

    /// Starts the containers; if one cannot be started, none after it, and those before it are to end.
    fn start(&mut self, orders: &watch::Receiver<Order>, key: &str) -> JoinSet<(String, Option<i32>)> {
        let mut containers = JoinSet::new();
        for launch in std::mem::take(&mut self.launches) {
            let name = launch.name.clone();
            match Started::new(launch, &self.ecs.0.logs) {
                Ok(started) => {
                    self.ecs.0.callers.started(key, started.group());
                    self.note(&Event::ContainerStarted { name: name.clone(), process: started.process() });
                    let orders = orders.clone();
                    containers.spawn(async move { (name, started.run(orders).await) });
                }
                Err(why) => {
                    self.note(&Event::CannotStart { name, reason: why.to_string() });
                    self.ecs.0.running.stop(&self.id);
                    break;
                }
            }
        }
        containers
    }

    /// Waits for the end of every container; the end of an essential one is ordered to the others.
    async fn watch(&self, mut containers: JoinSet<(String, Option<i32>)>) {
        while let Some(ended) = containers.join_next().await {
            let (name, code) = match ended {
                Ok(ended) => ended,
                Err(why) => {
                    tracing::error!(task = self.id, %why, "a container is not watched any more");
                    self.ecs.0.running.stop(&self.id);
                    continue;
                }
            };
            if self.note(&Event::ContainerExited { name, code }).is_none_or(|task| task.ending.is_some()) {
                self.ecs.0.running.stop(&self.id);
            }
        }
    }

    /// Records an event. If that fails there is nobody to tell: the task goes on to its end, and the next start of the
    /// stack records it.
    fn note(&self, event: &Event) -> Option<Task> {
        let recorded = self.ecs.record(&self.id, event);
        recorded.inspect_err(|why| tracing::error!(task = self.id, why = why.message, "a state is not recorded")).ok()
    }
}
