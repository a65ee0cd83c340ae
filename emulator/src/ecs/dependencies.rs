//! The order in which the containers of a task are started: `dependsOn`
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html#container_definition_dependson>). Pure.

use super::{
    shapes::{ContainerDefinition, Dependency},
    task::{Container, ContainerStatus},
};

/// The values of `condition`.
const START: &str = "START";
const COMPLETE: &str = "COMPLETE";
const SUCCESS: &str = "SUCCESS";
const HEALTHY: &str = "HEALTHY";

/// Whether a container may be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Readiness {
    /// Now.
    Ready,
    /// Not yet.
    Waits,
    /// Never, for this reason.
    Never(String),
}

/// Refuses dependencies that cannot be met, with ECS's messages as far as they are known.
///
/// # Errors
///
/// What is wrong.
pub(super) fn check(containers: &[ContainerDefinition]) -> Result<(), String> {
    for container in containers {
        for Dependency { container_name: on, condition } in &container.depends_on {
            let Some(other) = containers.iter().find(|other| other.name == *on) else {
                let name = &container.name;
                return Err(format!("The container '{name}' depends on the container '{on}', which does not exist."));
            };
            match condition.as_str() {
                START => {}
                COMPLETE | SUCCESS if other.essential => {
                    return Err(
                        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
                            .to_owned(),
                    );
                }
                COMPLETE | SUCCESS => {}
                HEALTHY => {
                    return Err(format!(
                        "The emulator runs no health checks, so the container '{}' cannot depend on the condition {HEALTHY}. \
                         Use {START}, {COMPLETE} or {SUCCESS}.",
                        container.name
                    ));
                }
                other => {
                    return Err(format!(
                        "'{other}' is not a condition of a container dependency; use {START}, {COMPLETE}, {SUCCESS} or {HEALTHY}."
                    ));
                }
            }
        }
    }
    match in_cycle(containers) {
        Some(name) => Err(format!("The container '{name}' depends on itself, directly or through other containers.")),
        None => Ok(()),
    }
}

/// A container that depends on itself.
fn in_cycle(containers: &[ContainerDefinition]) -> Option<&str> {
    let mut left: Vec<_> = containers.iter().collect();
    loop {
        let is_left = |on: &Dependency| left.iter().any(|other| other.name == on.container_name);
        let (waiting, free): (Vec<_>, Vec<_>) =
            left.iter().copied().partition(|container| container.depends_on.iter().any(is_left));
        if free.is_empty() {
            return waiting.first().map(|container| container.name.as_str());
        }
        left = waiting;
    }
}

/// Whether a container with these dependencies may be started while the containers of its task are in this state.
pub(super) fn readiness(name: &str, dependencies: &[Dependency], containers: &[Container]) -> Readiness {
    let mut readiness = Readiness::Ready;
    for Dependency { container_name: on, condition } in dependencies {
        let Some(other) = containers.iter().find(|other| other.name == *on) else { continue };
        let succeeded = other.exit_code == Some(0);
        match (other.status, condition.as_str()) {
            (ContainerStatus::Stopped, _) if other.process.is_none() => {
                return never(name, other, "because dependency will never start");
            }
            (ContainerStatus::Stopped, SUCCESS) if !succeeded => {
                return never(name, other, "as dependency did not exit successfully.");
            }
            (ContainerStatus::Stopped, _) | (ContainerStatus::Running, START) => {}
            (ContainerStatus::Pending | ContainerStatus::Running, _) => readiness = Readiness::Waits,
        }
    }
    readiness
}

/// With the reason that ECS's agent gives.
fn never(name: &str, on: &Container, why: &str) -> Readiness {
    let exit = on.exit_code.map_or_else(String::new, |code| format!(" - Exit: {code}"));
    Readiness::Never(format!(
        "CannotStartContainerError: dependency graph: failed to resolve container ordering dependency [{}{exit}] for target [{name}] {why}",
        on.name
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ecs::task::Process;

    fn checked(containers: Value) -> Result<(), String> {
        let containers: Vec<ContainerDefinition> = serde_json::from_value(containers).unwrap();
        check(&containers)
    }

    fn on(name: &str, condition: &str) -> Value {
        json!([{ "containerName": name, "condition": condition }])
    }

    #[test]
    fn dependencies_that_cannot_be_met_are_refused() {
        let pair = |essential: bool, condition: &str| {
            checked(json!([
                { "name": "job", "dependsOn": on("init", condition) },
                { "name": "init", "essential": essential },
            ]))
        };
        for condition in ["START", "COMPLETE", "SUCCESS"] {
            assert_eq!(pair(false, condition), Ok(()), "{condition}");
        }
        assert_eq!(pair(true, "START"), Ok(()));
        assert!(pair(true, "SUCCESS").unwrap_err().contains("cannot be an essential container"));
        assert!(pair(false, "HEALTHY").unwrap_err().contains("no health checks"));
        assert!(pair(false, "DONE").unwrap_err().contains("'DONE' is not a condition"));
        let missing = json!([{ "name": "job", "dependsOn": on("init", "START") }]);
        assert!(checked(missing).unwrap_err().contains("does not exist"));
        let cycle = json!([
            { "name": "a" },
            { "name": "b", "dependsOn": on("c", "START") },
            { "name": "c", "dependsOn": on("b", "START") },
        ]);
        assert_eq!(
            checked(cycle).unwrap_err(),
            "The container 'b' depends on itself, directly or through other containers."
        );
    }

    #[test]
    fn a_container_is_ready_when_what_it_depends_on_has_happened() {
        let state = |status, exit_code| Container {
            name: "init".into(),
            image: "image".into(),
            essential: false,
            status,
            process: (status != ContainerStatus::Pending).then_some(Process { pid: 7, born: None }),
            exit_code,
            reason: None,
        };
        let pending = state(ContainerStatus::Pending, None);
        let running = state(ContainerStatus::Running, None);
        let [done, failed] = [0, 1].map(|code| state(ContainerStatus::Stopped, Some(code)));
        let never = Container { process: None, ..failed.clone() };
        let ready = |condition: &str, container: &Container| {
            let dependencies: Vec<Dependency> = serde_json::from_value(on("init", condition)).unwrap();
            match readiness("job", &dependencies, std::slice::from_ref(container)) {
                Readiness::Ready => "ready",
                Readiness::Waits => "waits",
                Readiness::Never(_) => "never",
            }
        };
        let all = [&pending, &running, &done, &failed, &never];
        for (condition, wanted) in [
            ("START", ["waits", "ready", "ready", "ready", "never"]),
            ("COMPLETE", ["waits", "waits", "ready", "ready", "never"]),
            ("SUCCESS", ["waits", "waits", "ready", "never", "never"]),
        ] {
            assert_eq!(all.map(|container| ready(condition, container)), wanted, "{condition}");
        }
    }
}
