//! How a container is started: from its definition and the overrides of its task.

use std::time::Duration;

use super::{
    Settings,
    shapes::{ContainerDefinition, ContainerOverride, Dependency},
};
use crate::{
    callers::{self, ACCESS_KEY},
    leftovers::{CONTAINER_MARK, MARK},
    resources::Secrets,
};

/// ECS's own default
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>).
const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A container that can be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) name: String,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// All environment variables; if a name occurs twice, the last one counts.
    pub(super) environment: Vec<(String, String)>,
    /// A variable that all of the container's processes have, and no other processes.
    pub(super) mark: (String, String),
    pub(super) stop_timeout: Duration,
    /// What it waits for.
    pub(super) depends_on: Vec<Dependency>,
    /// A secret that it needs and that does not exist.
    pub(super) missing_secret: Option<String>,
    /// Where its output goes, if anywhere.
    pub(super) log: Option<LogStream>,
}

/// A log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogStream {
    pub(super) group: String,
    pub(super) stream: String,
}

impl Launch {
    /// A container of a task. An override of `command` leaves the entry point as it is, as in AWS.
    pub(super) fn new(
        definition: &ContainerDefinition,
        overridden: Option<&ContainerOverride>,
        settings: &Settings,
        secrets: &Secrets,
        task_id: &str,
    ) -> Self {
        let command = overridden.and_then(|by| by.command.as_ref()).or(definition.command.as_ref());
        let own = definition.environment.iter();
        let by_task = overridden.and_then(|by| by.environment.as_ref()).into_iter().flatten();
        let pairs = own.chain(by_task).filter(|pair| ![MARK, CONTAINER_MARK].contains(&&*pair.name));
        let pairs = pairs.map(|pair| (pair.name.clone(), pair.value.clone().unwrap_or_default()));
        let mut environment = settings.base_environment.clone();
        let mark = (CONTAINER_MARK.to_owned(), format!("{task_id}/{}", definition.name));
        environment.push(mark.clone());
        environment.push((ACCESS_KEY.to_owned(), callers::key_of_task(task_id)));
        let mut missing_secret = None;
        for secret in &definition.secrets {
            match secrets.get(&secret.value_from) {
                Some(value) => environment.push((secret.name.clone(), value.to_owned())),
                None => missing_secret = Some(secret.value_from.clone()),
            }
        }
        environment.extend(pairs);
        environment.push((METADATA_VARIABLE.to_owned(), metadata_address(settings, task_id)));
        Self {
            name: definition.name.clone(),
            command: definition.entry_point.iter().chain(command).flatten().cloned().collect(),
            environment,
            mark,
            stop_timeout: definition.stop_timeout.map_or(DEFAULT_STOP_TIMEOUT, |s| Duration::from_secs(s.into())),
            depends_on: definition.depends_on.clone(),
            missing_secret,
            log: log_stream(definition, task_id),
        }
    }
}

/// `prefix/container/task-id` (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html>).
fn log_stream(definition: &ContainerDefinition, task_id: &str) -> Option<LogStream> {
    let (group, prefix) = definition.log_configuration.as_ref()?.awslogs()?;
    Some(LogStream { group: group.to_owned(), stream: format!("{prefix}/{}/{task_id}", definition.name) })
}

const METADATA_VARIABLE: &str = "ECS_CONTAINER_METADATA_URI_V4";

fn metadata_address(settings: &Settings, task_id: &str) -> String {
    format!("{}/v4/{task_id}", settings.metadata_base)
}
