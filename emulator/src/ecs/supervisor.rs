//! Runs one task: starts its containers, ends them together, and records each step.
//!
//! **Invariant**: the events of a task are recorded in the order in which they happened, and none is left out. While the database cannot
//! be written, because the disk is full or another process holds its lock, the supervisor retries the write. The task's processes keep
//! running in the meantime.

use tokio::{sync::watch, task::JoinSet};

use super::{
    Ecs,
    container::Started,
    dependencies::{self, Readiness},
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
        let key = callers::key_of_task(&self.id);
        self.run_containers(task, &orders, &key).await;
        self.ecs.0.callers.ended(&key);
        self.note(Event::Ended).await;
        self.ecs.0.running.leave(&self.id);
    }

    /// Starts the containers, each as soon as its dependencies are met, and waits for their end. If an essential one ends, the others have
    /// to end too.
    async fn run_containers(&mut self, mut task: Task, orders: &watch::Receiver<Order>, key: &str) {
        let mut containers = JoinSet::new();
        loop {
            self.start_ready(&mut task, &mut containers, orders, key).await;
            let Some(ended) = containers.join_next().await else { return };
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
            task = self.note(Event::ContainerExited { name, code }).await;
            if task.ending.is_some() {
                self.ecs.0.running.stop(&self.id);
            }
        }
    }

    /// Starts the containers whose dependencies are met, in the order of the definition. Once the task has to end, or if one cannot be
    /// started, no more are started, and those that run have to end.
    async fn start_ready(
        &mut self,
        task: &mut Task,
        containers: &mut JoinSet<(String, Option<i32>)>,
        orders: &watch::Receiver<Order>,
        key: &str,
    ) {
        // A container that was started, or that never can be, may be what one before it waits for.
        while let Some((place, readiness)) = self.next(task) {
            // A task that was stopped before it began is not started.
            if task.ending.is_some() || *orders.borrow() != Order::Run {
                self.launches.clear();
                return;
            }
            let launch = self.launches.remove(place);
            let name = launch.name.clone();
            let event = match readiness {
                Some(reason) => Event::CannotDepend { name, reason },
                None => match Started::new(launch, &self.ecs.0.logs) {
                    Ok(started) => {
                        self.ecs.0.callers.started(key, started.group());
                        self.ecs.0.callers.set_execution(key, task.started_by.as_deref());
                        let process = started.process();
                        let (its, orders) = (name.clone(), orders.clone());
                        containers.spawn(async move { (its, started.run(orders).await) });
                        Event::ContainerStarted { name, process }
                    }
                    Err(why) => Event::CannotStart { name, reason: why.to_string() },
                },
            };
            *task = self.note(event).await;
            if task.ending.is_some() {
                self.ecs.0.running.stop(&self.id);
            }
        }
    }

    /// The place of the next container to start, or of one that cannot be started, with the reason.
    fn next(&self, task: &Task) -> Option<(usize, Option<String>)> {
        let mut decided =
            self.launches.iter().enumerate().filter_map(|(place, launch)| {
                match dependencies::readiness(&launch.name, &launch.depends_on, &task.containers) {
                    Readiness::Ready => Some((place, None)),
                    Readiness::Waits => None,
                    Readiness::Never(reason) => Some((place, Some(reason))),
                }
            });
        decided.next()
    }

    /// Records an event with the time at which it happened, and retries until the database can be written. If the emulator ends before
    /// that, its next start records that the task has stopped.
    async fn note(&self, event: Event) -> Task {
        let (ecs, id, now) = (self.ecs.clone(), self.id.clone(), self.ecs.0.clock.now());
        retry::until_done("cannot record the state of a task; retrying", move || ecs.record_at(&id, &event, now)).await
    }
}
