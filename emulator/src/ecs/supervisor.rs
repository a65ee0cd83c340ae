//! Runs one task: starts its containers, ends them together, and records each step.
//!
//! **Invariant**: the events of a task are recorded in the order in which they happened, and none is left out. While the database cannot
//! be written, because the disk is full or another process holds its lock, the supervisor retries the write. The task's processes keep
//! running in the meantime.

use tokio::{sync::watch, task::JoinSet};

use super::{
    Ecs,
    container::Started,
    launch::Launch,
    running::Order,
    task::{Event, Task},
};
use crate::{callers, retry};

/// A task and what is needed to run it.
#[derive(Debug)]
pub(super) struct Supervisor {
    ecs: Ecs,
    id: String,
    launches: Vec<Launch>,
}

impl Supervisor {
    /// The supervisor of a task that has been recorded.
    pub(super) fn new(ecs: Ecs, id: String, launches: Vec<Launch>) -> Self {
        Self { ecs, id, launches }
    }

    /// Runs the task to its end. If the emulator is stopping, the task ends at once.
    pub(super) async fn run(mut self) {
        let Some(orders) = self.ecs.0.running.enter(&self.id) else {
            self.note(Event::HostLost).await;
            self.note(Event::Ended).await;
            return;
        };
        let task = self.note(Event::Provisioned).await;
        // A task that was stopped before it began is not started.
        if task.ending.is_none() {
            let key = callers::key_of_task(&self.id);
            let containers = self.start(&orders, &key, task.started_by.as_deref()).await;
            self.watch(containers, &orders).await;
            self.ecs.0.callers.ended(&key);
        }
        self.note(Event::Ended).await;
        self.ecs.0.running.leave(&self.id);
    }

    /// Starts the containers. If one cannot be started, the following ones are not started, and the previous ones have to end.
    async fn start(
        &mut self,
        orders: &watch::Receiver<Order>,
        key: &str,
        execution: Option<&str>,
    ) -> JoinSet<(String, Option<i32>)> {
        let mut containers = JoinSet::new();
        for launch in std::mem::take(&mut self.launches) {
            let name = launch.name.clone();
            match Started::new(launch, &self.ecs.0.logs) {
                Ok(started) => {
                    self.ecs.0.callers.started(key, started.group());
                    self.ecs.0.callers.set_execution(key, execution);
                    let began = Event::ContainerStarted { name: name.clone(), process: started.process() };
                    let orders = orders.clone();
                    containers.spawn(async move { (name, started.run(orders).await) });
                    self.note(began).await;
                }
                Err(why) => {
                    self.ecs.0.running.stop(&self.id);
                    self.note(Event::CannotStart { name, reason: why.to_string() }).await;
                    break;
                }
            }
        }
        containers
    }

    /// Waits for the end of every container. If an essential one ends, the others have to end too.
    async fn watch(&self, mut containers: JoinSet<(String, Option<i32>)>, orders: &watch::Receiver<Order>) {
        while let Some(ended) = containers.join_next().await {
            let (name, code) = match ended {
                Ok(ended) => ended,
                Err(why) => {
                    tracing::error!(task = self.id, %why, "the supervision of a container crashed; stopping the task");
                    self.ecs.0.running.stop(&self.id);
                    continue;
                }
            };
            if *orders.borrow() == Order::StopSoon {
                // The reason is recorded before the end, even if the emulator could not record it when it gave the order.
                self.note(Event::HostLost).await;
            }
            if self.note(Event::ContainerExited { name, code }).await.ending.is_some() {
                self.ecs.0.running.stop(&self.id);
            }
        }
    }

    /// Records an event with the time at which it happened, and retries until the database can be written. If the emulator ends before
    /// that, its next start records that the task has stopped.
    async fn note(&self, event: Event) -> Task {
        let (ecs, id, now) = (self.ecs.clone(), self.id.clone(), self.ecs.0.clock.now());
        retry::until_done("cannot record the state of a task; retrying", move || ecs.record_at(&id, &event, now)).await
    }
}
