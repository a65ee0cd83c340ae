//! A task, and its next state after each event. Pure.
//!
//! `PROVISIONING → PENDING → RUNNING → DEPROVISIONING → STOPPED`
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::shapes::{Tag, TaskOverride};

/// A task, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) id: String,
    pub(super) family: String,
    pub(super) revision: i64,
    pub(super) group: String,
    pub(super) started_by: Option<String>,
    pub(super) overrides: TaskOverride,
    pub(super) tags: Vec<Tag>,
    pub(super) cpu: Option<String>,
    pub(super) memory: Option<String>,
    pub(super) containers: Vec<Container>,
    /// Increases with each change.
    pub(super) version: u64,
    pub(super) status: Status,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    /// Why it has to end; `None` as long as it should run.
    pub(super) ending: Option<Ending>,
    /// When its last container ended.
    pub(super) execution_stopped_at: Option<Timestamp>,
    pub(super) stopped_at: Option<Timestamp>,
}

/// A container of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    /// If it ends, the task ends.
    pub(super) essential: bool,
    pub(super) status: ContainerStatus,
    /// Its process, once it was started.
    pub(super) process: Option<Process>,
    pub(super) exit_code: Option<i32>,
    pub(super) reason: Option<String>,
}

/// A process that was started, distinguishable from others that get its number later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// When it was started, as the kernel reports it; `None` if it does not.
    pub(super) born: Option<String>,
}

/// `lastStatus` of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Status {
    /// Recorded.
    Provisioning,
    /// Its containers are being started.
    Pending,
    /// Its containers have been started.
    Running,
    /// Its containers have ended.
    Deprovisioning,
    /// It is over, and its output is written.
    Stopped,
}

/// `lastStatus` of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ContainerStatus {
    /// Not started yet.
    Pending,
    /// Started.
    Running,
    /// Ended, or will never be started.
    Stopped,
}

/// Why a task has to end. The first reason counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) code: StopCode,
    pub(super) reason: String,
    pub(super) at: Timestamp,
}

/// The values of `stopCode` that occur here
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StopCode {
    /// An essential container ended.
    EssentialContainerExited,
    /// Its host was lost.
    InfrastructureHealth,
    /// A container could not be started.
    TaskFailedToStart,
    /// By `StopTask`.
    UserInitiated,
}

/// What happens to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// It has a supervisor.
    Provisioned,
    /// The process of a container was started.
    ContainerStarted { name: String, process: Process },
    /// A container could not be started.
    CannotStart { name: String, reason: String },
    /// A container depends on one that did not do what it waits for.
    CannotDepend { name: String, reason: String },
    /// A stop was requested.
    StopRequested { reason: String },
    /// A container ended; without a code if it is unknown.
    ContainerExited { name: String, code: Option<i32> },
    /// The emulator ends, or has ended.
    HostLost,
    /// None of its processes is running, and its output is written.
    Ended,
}

impl Task {
    /// The task after an event; `None` if that changes nothing.
    pub(super) fn after(&self, event: &Event, now: Timestamp) -> Option<Self> {
        if self.status == Status::Stopped {
            return None;
        }
        let mut next = self.clone();
        match event {
            Event::Provisioned => next.provisioned(),
            Event::ContainerStarted { name, process } => next.container_started(name, process, now),
            Event::CannotStart { name, reason } => next.cannot_start(name, reason, now),
            Event::CannotDepend { name, reason } => next.cannot_depend(name, reason, now),
            Event::StopRequested { reason } => next.end(StopCode::UserInitiated, reason, now),
            Event::ContainerExited { name, code } => next.container_exited(name, *code, now),
            Event::HostLost => next.host_lost(now),
            Event::Ended => next.ended(now),
        }
        if next == *self {
            return None;
        }
        next.version += 1;
        Some(next)
    }

    fn provisioned(&mut self) {
        if self.status == Status::Provisioning {
            self.status = Status::Pending;
        }
    }

    fn container_started(&mut self, name: &str, process: &Process, now: Timestamp) {
        if let Some(container) = self.container(name) {
            container.status = ContainerStatus::Running;
            container.process = Some(process.clone());
        }
        self.look_for_running(now);
    }

    /// With the exit code that ECS gives a container that it never started
    /// (<https://github.com/aws/amazon-ecs-agent/pull/3218>).
    fn cannot_depend(&mut self, name: &str, reason: &str, now: Timestamp) {
        const SIGTERM: i32 = 143;
        let Some(container) = self.container(name) else { return };
        container.status = ContainerStatus::Stopped;
        container.exit_code = Some(SIGTERM);
        container.reason = Some(reason.to_owned());
        if container.essential {
            self.end(StopCode::TaskFailedToStart, reason, now);
        }
        self.look_for_running(now);
        self.look_for_execution_stopped(now);
    }

    /// A task runs when no container has to be started any more. Some may have ended by then.
    fn look_for_running(&mut self, now: Timestamp) {
        let is = |status| move |container: &Container| container.status == status;
        let waits = self.containers.iter().any(is(ContainerStatus::Pending));
        if self.status == Status::Pending && !waits && self.containers.iter().any(is(ContainerStatus::Running)) {
            self.status = Status::Running;
            self.started_at = Some(now);
        }
    }

    fn cannot_start(&mut self, name: &str, reason: &str, now: Timestamp) {
        if let Some(container) = self.container(name) {
            container.status = ContainerStatus::Stopped;
            container.reason = Some(reason.to_owned());
        }
        self.end(StopCode::TaskFailedToStart, reason, now);
        self.look_for_execution_stopped(now);
    }

    fn container_exited(&mut self, name: &str, code: Option<i32>, now: Timestamp) {
        let Some(container) = self.container(name) else { return };
        container.status = ContainerStatus::Stopped;
        container.exit_code = code;
        if container.essential {
            self.end(StopCode::EssentialContainerExited, "Essential container in task exited", now);
        }
        self.look_for_execution_stopped(now);
    }

    fn host_lost(&mut self, now: Timestamp) {
        const REASON: &str = "Host terminated: the emulator was stopped.";
        let ran = self.started_at.is_some();
        self.end(if ran { StopCode::InfrastructureHealth } else { StopCode::TaskFailedToStart }, REASON, now);
    }

    fn ended(&mut self, now: Timestamp) {
        for container in &mut self.containers {
            container.status = ContainerStatus::Stopped;
        }
        self.status = Status::Stopped;
        self.stopped_at = Some(now);
    }

    /// The first reason to end counts: an essential container that exits because of `StopTask` is `UserInitiated`.
    fn end(&mut self, code: StopCode, reason: &str, now: Timestamp) {
        self.ending.get_or_insert_with(|| Ending { code, reason: reason.to_owned(), at: now });
    }

    fn look_for_execution_stopped(&mut self, now: Timestamp) {
        // A task that has to end starts no more containers.
        let will_not_run = |container: &Container| match container.status {
            ContainerStatus::Pending => self.ending.is_some(),
            ContainerStatus::Running => false,
            ContainerStatus::Stopped => true,
        };
        if self.containers.iter().all(will_not_run) {
            self.status = Status::Deprovisioning;
            self.execution_stopped_at = Some(now);
        }
    }

    fn container(&mut self, name: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| container.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(containers: &[(&str, bool)]) -> Task {
        let container = |&(name, essential): &(&str, bool)| Container {
            name: name.into(),
            image: "image".into(),
            essential,
            status: ContainerStatus::Pending,
            process: None,
            exit_code: None,
            reason: None,
        };
        Task {
            id: "id".into(),
            family: "family".into(),
            revision: 1,
            group: "family:family".into(),
            started_by: None,
            overrides: TaskOverride::default(),
            tags: Vec::new(),
            cpu: None,
            memory: None,
            containers: containers.iter().map(container).collect(),
            version: 1,
            status: Status::Provisioning,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            ending: None,
            execution_stopped_at: None,
            stopped_at: None,
        }
    }

    fn started(name: &str) -> Event {
        Event::ContainerStarted { name: name.into(), process: Process { pid: 7, born: None } }
    }

    fn exited(name: &str, code: i32) -> Event {
        Event::ContainerExited { name: name.into(), code: Some(code) }
    }

    /// The task after these events, with the states in between.
    fn after(mut task: Task, events: &[Event]) -> (Task, Vec<Status>) {
        let mut seen = vec![task.status];
        for event in events {
            task = task.after(event, Timestamp::UNIX_EPOCH).unwrap_or(task);
            if seen.last() != Some(&task.status) {
                seen.push(task.status);
            }
        }
        (task, seen)
    }

    #[test]
    fn a_task_goes_through_all_its_states() {
        let events = [Event::Provisioned, started("job"), exited("job", 3), Event::Ended];
        let (task, seen) = after(task(&[("job", true)]), &events);
        let all = [Status::Provisioning, Status::Pending, Status::Running, Status::Deprovisioning, Status::Stopped];
        assert_eq!((seen.as_slice(), task.version), (all.as_slice(), 5));
        assert_eq!(task.containers[0].exit_code, Some(3));
        assert_eq!(task.ending.unwrap().code, StopCode::EssentialContainerExited);
    }

    #[test]
    fn a_task_of_an_older_stack_can_be_read() {
        let row = r#"{"id":"i","family":"f","revision":2,"group":"family:f","started_by":"me","overrides":{"cpu":"256"},
            "tags":[{"key":"k","value":"v"}],"cpu":null,"memory":null,"containers":[{"name":"job","image":"image",
            "essential":true,"status":"RUNNING","process":{"pid":7,"born":"boot/4242"},"exit_code":null,"reason":null}],
            "version":3,"status":"RUNNING","created_at":"2026-11-23T00:00:00Z","started_at":"2026-11-23T00:00:01Z",
            "ending":{"code":"UserInitiated","reason":"enough","at":"2026-11-23T00:00:02Z"},
            "execution_stopped_at":null,"stopped_at":null}"#;
        let task: Task = serde_json::from_str(row).unwrap();
        let process = Process { pid: 7, born: Some("boot/4242".into()) };
        assert_eq!((task.containers[0].process.as_ref(), task.status), (Some(&process), Status::Running));
        let said = (task.started_by.as_deref(), task.overrides.cpu.as_deref(), task.tags[0].value.as_str());
        assert_eq!(said, (Some("me"), Some("256"), "v"));
        let (over, _) = after(task, &[exited("job", 143), Event::Ended]);
        assert_eq!(
            (over.status, over.version, over.ending.unwrap().code),
            (Status::Stopped, 5, StopCode::UserInitiated)
        );
    }

    #[test]
    fn only_an_essential_container_ends_the_task() {
        let events = [Event::Provisioned, started("job"), started("side"), exited("side", 1)];
        let (running, _) = after(task(&[("job", true), ("side", false)]), &events);
        assert_eq!((running.status, &running.ending), (Status::Running, &None));
        let (ending, _) = after(running, &[exited("job", 0)]);
        assert_eq!(ending.status, Status::Deprovisioning);
    }

    #[test]
    fn a_container_whose_dependency_failed_ends_the_task_if_it_is_essential() {
        let failed = |name: &str| Event::CannotDepend { name: name.into(), reason: "why".into() };
        let begun = [Event::Provisioned, started("job")];
        let (running, _) = after(task(&[("job", true), ("side", false)]), &[&begun[..], &[failed("side")]].concat());
        assert_eq!((running.status, running.containers[1].exit_code), (Status::Running, Some(143)));
        let events = [&begun[..], &[exited("job", 1), failed("main"), Event::Ended]].concat();
        let (stopped, seen) = after(task(&[("job", false), ("main", true)]), &events);
        let through = [Status::Provisioning, Status::Pending, Status::Deprovisioning, Status::Stopped];
        assert_eq!((seen.as_slice(), stopped.started_at), (through.as_slice(), None));
        let ending = stopped.ending.unwrap();
        assert_eq!((ending.code, &*ending.reason), (StopCode::TaskFailedToStart, "why"));
    }

    #[test]
    fn a_task_runs_when_the_last_container_starts_after_another_has_ended() {
        let events = [Event::Provisioned, started("init"), exited("init", 0), started("job")];
        let (running, _) = after(task(&[("init", false), ("job", true)]), &events);
        assert_eq!(running.status, Status::Running);
    }

    #[test]
    fn the_first_stopped_reason_is_kept() {
        let stop = |reason: &str| Event::StopRequested { reason: reason.into() };
        let events = [Event::Provisioned, started("job"), stop("first"), stop("second"), exited("job", 143)];
        let (task, _) = after(task(&[("job", true)]), &events);
        let ending = task.ending.unwrap();
        assert_eq!((ending.code, ending.reason.as_str()), (StopCode::UserInitiated, "first"));
    }

    #[test]
    fn a_lost_host_is_distinguished_from_a_task_that_never_ran() {
        let code = |events: &[Event]| after(task(&[("job", true)]), events).0.ending.unwrap().code;
        assert_eq!(code(&[Event::Provisioned, Event::HostLost]), StopCode::TaskFailedToStart);
        assert_eq!(code(&[Event::Provisioned, started("job"), Event::HostLost]), StopCode::InfrastructureHealth);
    }

    #[test]
    fn a_stopped_task_never_changes() {
        let (stopped, _) = after(task(&[("job", true)]), &[Event::HostLost, Event::Ended]);
        let stop = Event::StopRequested { reason: "why".into() };
        for event in [Event::Provisioned, started("job"), stop, exited("job", 1), Event::HostLost, Event::Ended] {
            assert_eq!(stopped.after(&event, Timestamp::UNIX_EPOCH), None, "{event:?}");
        }
    }
}
