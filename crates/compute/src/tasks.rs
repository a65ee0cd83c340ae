//! Tasks: ECS.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_ecs::{
    Client,
    operation::run_task::RunTaskError,
    types::{
        AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, ContainerOverride, DesiredStatus,
        KeyValuePair, NetworkConfiguration, PropagateTags, Tag, TaskOverride,
    },
};
use domain::task::{Container, Task};
use jiff::Timestamp;

use aws::{CallFailed, Cause, Connection};
use contract::catalog::Job;

/// Where tasks are placed in a VPC.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Subnets; none for a cluster without `awsvpc` networking.
    pub subnets: Vec<String>,
    /// Security groups.
    pub security_groups: Vec<String>,
    /// Whether tasks get a public address: they need one in a public subnet to pull their image.
    pub public_ip: bool,
}

/// The cluster that tasks run in.
#[derive(Debug, Clone)]
pub struct Tasks {
    client: Client,
    cluster: String,
    network: Network,
}

/// Identifies what a task is started for. ECS keeps it, so that the task can be found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskOwner {
    /// `startedBy`, at most 128 characters.
    pub started_by: String,
    /// `clientToken`, at most 64 characters: for up to 24 hours, a repeated call with it does not start a second task.
    pub client_token: String,
}

/// A task to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask<'a> {
    /// The job to start.
    pub job: &'a Job,
    /// The execution and the attempt that it is started for.
    pub owner: TaskOwner,
    /// Variables for the job's container. All overrides together may have 8,192 characters
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_TaskOverride.html>).
    pub environment: Vec<(String, String)>,
    /// CPU units, if not the task definition's own.
    pub cpu: Option<u32>,
    /// Memory in MiB, if not the task definition's own.
    pub memory: Option<u32>,
    /// ARN of the task role, if not the task definition's own.
    pub role: Option<String>,
    /// Tags, at most 50.
    pub tags: BTreeMap<String, String>,
}

/// Why a task could not be started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No capacity now, or too many calls: the start can be retried.
    #[error("ECS cannot start a task now: {0}")]
    Busy(String),
    /// The `clientToken` was already used, with other parameters. This is the task that it started, if ECS says which.
    #[error("a task was already started with this client token")]
    Taken(Option<String>),
    /// ECS refuses to start it.
    #[error("ECS refused to start the task: {0}")]
    Refused(String),
    /// ECS did not answer, or refused the call.
    #[error(transparent)]
    Call(#[from] CallFailed),
}

/// What ECS says about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// ECS does not know the task yet, because it is eventually consistent, or has forgotten it, which it does an hour after the task's
    /// end.
    Missing,
    /// ECS knows it.
    Task(Box<Task>),
}

impl Tasks {
    /// The cluster with that name or ARN.
    #[must_use]
    pub fn new(connection: &Connection, cluster: impl Into<String>, network: Network) -> Self {
        Self { client: Client::new(connection.sdk_config()), cluster: cluster.into(), network }
    }

    /// Starts a task. Idempotent while ECS remembers the client token, for up to 24 hours
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/ECS_Idempotency.html>). After that, check with
    /// [`Tasks::started_by`] first.
    ///
    /// # Errors
    ///
    /// [`RunError`]; after [`RunError::Call`] with an unknown outcome, repeat it with the same token.
    pub async fn run(&self, new: &NewTask<'_>) -> Result<String, RunError> {
        let environment =
            new.environment.iter().map(|(name, value)| KeyValuePair::builder().name(name).value(value).build());
        let container =
            ContainerOverride::builder().name(&new.job.container).set_environment(Some(environment.collect())).build();
        let overrides = TaskOverride::builder()
            .container_overrides(container)
            .set_cpu(new.cpu.map(|units| units.to_string()))
            .set_memory(new.memory.map(|mebibytes| mebibytes.to_string()))
            .set_task_role_arn(new.role.clone())
            .build();
        // Without one, the cluster's default applies. A launch type must not be given together with a strategy
        // (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>, `capacityProviderStrategy`).
        let strategy = new.job.capacity_provider.as_ref();
        let strategy =
            strategy.map(|name| CapacityProviderStrategyItem::builder().capacity_provider(name).weight(1).build());
        let strategy = strategy.transpose().map_err(|why| CallFailed::rejected("ecs:RunTask", why))?;
        let tags = new.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let sent = self
            .client
            .run_task()
            .cluster(&self.cluster)
            .task_definition(&new.job.task_definition)
            .count(1)
            .started_by(&new.owner.started_by)
            .client_token(&new.owner.client_token)
            .overrides(overrides)
            .set_capacity_provider_strategy(strategy.map(|item| vec![item]))
            .set_network_configuration(self.network_configuration()?)
            .set_tags(Some(tags.collect()))
            .propagate_tags(PropagateTags::TaskDefinition)
            .send()
            .await;
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => {
                if let Some(RunTaskError::ConflictException(conflict)) = error.as_service_error() {
                    // The call requests only one task, so there is only one id.
                    return Err(RunError::Taken(conflict.resource_ids().first().cloned()));
                }
                return Err(busy_or_failed(CallFailed::new("ecs:RunTask", error)));
            }
        };
        // A response can have both a task and a failure; then the task counts.
        if let Some(arn) = answer.tasks().first().and_then(|task| task.task_arn()) {
            return Ok(arn.to_owned());
        }
        Err(not_started(answer.failures()))
    }

    /// What ECS says about a task now.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if ECS did not answer or refused the call.
    pub async fn describe(&self, arn: &str) -> Result<Seen, CallFailed> {
        let found = self.describe_all(vec![arn.to_owned()]).await?;
        Ok(found.into_iter().next().map_or(Seen::Missing, |task| Seen::Task(Box::new(task))))
    }

    /// What ECS says about up to 100 tasks now, in one call. Tasks that it does not know are left out.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if ECS did not answer or refused the call.
    pub async fn describe_many(&self, arns: Vec<String>) -> Result<Vec<Task>, CallFailed> {
        if arns.is_empty() { Ok(Vec::new()) } else { self.describe_all(arns).await }
    }

    /// The tasks that were started with this `startedBy` and whose desired status is `RUNNING`. ECS cannot list stopped tasks by
    /// `startedBy`.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if ECS did not answer or refused the call.
    pub async fn started_by(&self, name: &str) -> Result<Vec<Task>, CallFailed> {
        let answer = self.client.list_tasks().cluster(&self.cluster).started_by(name).send().await;
        let arns = answer.map_err(|error| CallFailed::new("ecs:ListTasks", error))?.task_arns.unwrap_or_default();
        if arns.is_empty() { Ok(Vec::new()) } else { self.describe_all(arns).await }
    }

    /// The tasks of a job that were started with this `startedBy` and have stopped, for as long as ECS shows them, which is at least an
    /// hour. ECS cannot list stopped tasks by `startedBy`, so this examines all stopped tasks of the job's family, up to 100 per call:
    /// use it rarely.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if ECS did not answer or refused the call.
    pub async fn stopped_of(&self, name: &str, job: &Job) -> Result<Vec<Task>, CallFailed> {
        let list = self.client.list_tasks().cluster(&self.cluster).family(job.family());
        let mut pages = list.desired_status(DesiredStatus::Stopped).into_paginator().send();
        let mut stopped = Vec::new();
        while let Some(page) = pages.next().await {
            let arns = page.map_err(|error| CallFailed::new("ecs:ListTasks", error))?.task_arns.unwrap_or_default();
            let seen = if arns.is_empty() { Vec::new() } else { self.describe_as_seen(arns).await? };
            let ours = seen.into_iter().filter(|task| task.started_by.as_deref() == Some(name));
            stopped.extend(ours.map(task).filter(|task| task.stopped));
        }
        Ok(stopped)
    }

    /// Asks ECS to stop a task: `SIGTERM`, then `SIGKILL` after its `stopTimeout`. Idempotent; a task that is over or unknown is not an
    /// error.
    ///
    /// # Errors
    ///
    /// [`CallFailed`] if ECS did not answer or refused the call.
    pub async fn stop(&self, arn: &str, reason: &str) -> Result<(), CallFailed> {
        let sent = self.client.stop_task().cluster(&self.cluster).task(arn).reason(reason).send().await;
        match sent {
            Ok(_) => Ok(()),
            // "The referenced task was not found": stopped more than an hour ago.
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(aws_sdk_ecs::operation::stop_task::StopTaskError::is_invalid_parameter_exception) =>
            {
                let failed = CallFailed::new("ecs:StopTask", error);
                if failed.retryable() { Err(failed) } else { Ok(()) }
            }
            Err(error) => Err(CallFailed::new("ecs:StopTask", error)),
        }
    }

    async fn describe_all(&self, arns: Vec<String>) -> Result<Vec<Task>, CallFailed> {
        Ok(self.describe_as_seen(arns).await?.into_iter().map(task).collect())
    }

    async fn describe_as_seen(&self, arns: Vec<String>) -> Result<Vec<aws_sdk_ecs::types::Task>, CallFailed> {
        let answer = self.client.describe_tasks().cluster(&self.cluster).set_tasks(Some(arns)).send().await;
        let found = answer.map_err(|error| CallFailed::new("ecs:DescribeTasks", error))?.tasks;
        Ok(found.unwrap_or_default())
    }

    fn network_configuration(&self) -> Result<Option<NetworkConfiguration>, CallFailed> {
        if self.network.subnets.is_empty() {
            return Ok(None);
        }
        let public = if self.network.public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
        let vpc = AwsVpcConfiguration::builder()
            .set_subnets(Some(self.network.subnets.clone()))
            .set_security_groups(Some(self.network.security_groups.clone()))
            .assign_public_ip(public)
            .build()
            .map_err(|why| CallFailed::rejected("ecs:RunTask", why))?;
        Ok(Some(NetworkConfiguration::builder().awsvpc_configuration(vpc).build()))
    }
}

/// How to recognize the message of a transient failure.
enum Message {
    /// The whole message.
    Is(&'static str),
    /// Its beginning; details follow.
    Begins(&'static str),
    /// A part of it, because ECS passes on a message of another service.
    Has(&'static str),
}

/// Transient failures of `RunTask`: the cluster or the Availability Zone is full, the account's quota is used up, the agent is
/// disconnected, or EC2, which ECS calls for the network, throttles or fails. All others are permanent, such as a capacity provider
/// that does not exist.
const TRANSIENT: [Message; 9] = [
    // <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html>
    Message::Begins("RESOURCE:"),
    Message::Is("AGENT"),
    // <https://repost.aws/knowledge-center/ecs-fargate-runtask-capacity>
    Message::Begins("Capacity is unavailable at this time"),
    // <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html>
    Message::Begins("You've reached the limit on the number of"),
    Message::Begins("You’ve reached the limit on the number of"),
    // <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>
    Message::Has("Rate exceeded"),
    // <https://github.com/dask/dask-cloudprovider/issues/56>
    Message::Has("Request limit exceeded."),
    Message::Has("(ErrorCode: RequestLimitExceeded)"),
    // <https://github.com/reproio/wrapbox/issues/43>
    Message::Has("An internal error has occurred"),
];

/// The codes whose message decides; all others are unambiguous
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html#API_RunTask_Errors>).
const TELLS_BY_MESSAGE: [&str; 2] = ["ClientException", "InvalidParameterException"];

fn is_transient(message: &str) -> bool {
    TRANSIENT.iter().any(|says| match says {
        Message::Is(all) => message == *all,
        Message::Begins(beginning) => message.starts_with(beginning),
        Message::Has(part) => message.contains(part),
    })
}

/// Why `RunTask` started nothing, from its `failures[]`: a reason, and a detail.
fn not_started(failures: &[aws_sdk_ecs::types::Failure]) -> RunError {
    let told = |failure: &aws_sdk_ecs::types::Failure| {
        [failure.reason(), failure.detail()].into_iter().flatten().collect::<Vec<_>>().join(": ")
    };
    let reasons: Vec<_> = failures.iter().map(told).collect();
    let reason =
        if reasons.is_empty() { "ECS started no task and gave no reason".to_owned() } else { reasons.join("; ") };
    let mut said = failures.iter().flat_map(|failure| [failure.reason(), failure.detail()]).flatten();
    if said.any(is_transient) { RunError::Busy(reason) } else { RunError::Refused(reason) }
}

fn busy_or_failed(failed: CallFailed) -> RunError {
    let message = failed.message.clone().unwrap_or_default();
    let told = format!("{failed}: {message}");
    let by_message = failed.code.as_deref().is_some_and(|code| TELLS_BY_MESSAGE.contains(&code));
    match failed.cause {
        Cause::Throttled => RunError::Busy(told),
        Cause::Rejected if by_message && is_transient(&message) => RunError::Busy(told),
        Cause::Rejected if failed.code.is_some() => RunError::Refused(told),
        Cause::Denied | Cause::Rejected | Cause::Unavailable => RunError::Call(failed),
    }
}

fn task(seen: aws_sdk_ecs::types::Task) -> Task {
    let overrides = seen.overrides.and_then(|all| all.container_overrides).unwrap_or_default();
    let environment = overrides.into_iter().flat_map(|container| container.environment.unwrap_or_default());
    let containers = seen.containers.unwrap_or_default().into_iter().map(|container| Container {
        name: container.name.unwrap_or_default(),
        exit_code: container.exit_code,
        reason: container.reason,
    });
    Task {
        arn: seen.task_arn.unwrap_or_default(),
        stopped: seen.last_status.as_deref() == Some("STOPPED"),
        started_at: seen.started_at.and_then(|at| timestamp(at.secs(), at.subsec_nanos())),
        stop_code: seen.stop_code.map(|code| code.as_str().to_owned()),
        stopped_reason: seen.stopped_reason,
        stopped_at: seen.stopped_at.and_then(|at| timestamp(at.secs(), at.subsec_nanos())),
        containers: containers.collect(),
        environment: environment.filter_map(|pair| Some((pair.name?, pair.value.unwrap_or_default()))).collect(),
    }
}

fn timestamp(seconds: i64, nanos: u32) -> Option<Timestamp> {
    let since_epoch = jiff::SignedDuration::try_from(Duration::new(u64::try_from(seconds).ok()?, nanos)).ok()?;
    Timestamp::from_duration(since_epoch).ok()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::{
        config::http::HttpResponse,
        error::{ErrorMetadata, SdkError},
        types::Failure,
    };

    use super::*;

    const NETWORK: &str = "Error retrieving security group information for [sg-1]: Request limit exceeded. (ErrorCode: \
        RequestLimitExceeded)";

    fn busy(error: &RunError) -> bool {
        matches!(error, RunError::Busy(_))
    }

    #[test]
    fn the_reason_of_a_failure_says_whether_it_is_transient() {
        let failed = |reason: &str, detail: Option<&str>| {
            let failure = Failure::builder().reason(reason).set_detail(detail.map(str::to_owned));
            busy(&not_started(&[failure.build()]))
        };
        for reason in [
            "RESOURCE:CPU",
            "RESOURCE:MEMORY",
            "RESOURCE:ENI",
            "AGENT",
            "Capacity is unavailable at this time. Please try again later or in a different availability zone",
            "You've reached the limit on the number of vCPUs you can run concurrently",
            "You’ve reached the limit on the number of tasks you can run concurrently",
        ] {
            assert!(failed(reason, None), "{reason}");
        }
        assert!(failed("Error", Some("Capacity is unavailable at this time.")), "the detail tells too");
        for reason in [
            "LOCATION",
            "ATTRIBUTE",
            "MISSING",
            "INACTIVE",
            "MemberOf placement constraint unsatisfied.",
            "The specified capacity provider 'blue' was not found.",
            "No Container Instances were found in your capacity provider.",
            "the AGENT of another account",
        ] {
            assert!(!failed(reason, None), "{reason}");
        }
        assert!(!busy(&not_started(&[])));
    }

    #[test]
    fn the_code_of_an_exception_counts_before_its_message() {
        let failed = |code: &str, message: &str| {
            let error = RunTaskError::generic(ErrorMetadata::builder().code(code).message(message).build());
            let response = HttpResponse::new(400.try_into().unwrap(), "".into());
            busy_or_failed(CallFailed::new("ecs:RunTask", SdkError::service_error(error, response)))
        };
        for (code, message) in [
            ("ThrottlingException", ""),
            ("InvalidParameterException", "Rate exceeded"),
            ("InvalidParameterException", NETWORK),
            ("ClientException", "Capacity is unavailable at this time. Please try again later"),
            ("ClientException", "An internal error has occurred"),
        ] {
            assert!(busy(&failed(code, message)), "{code}: {message}");
        }
        for (code, message) in [
            ("InvalidParameterException", "The specified capacity provider was not found."),
            ("InvalidParameterException", "The capacity provider strategy is not valid: no capacity provider."),
            ("ClientException", "TaskDefinition is inactive"),
            ("ClusterNotFoundException", "Cluster not found. Capacity is unavailable at this time"),
            ("PlatformUnknownException", "The platform version is unknown"),
            ("BlockedException", "Your account is blocked"),
        ] {
            assert!(matches!(failed(code, message), RunError::Refused(_)), "{code}: {message}");
        }
        for code in ["AccessDeniedException", "ServerException"] {
            assert!(matches!(failed(code, ""), RunError::Call(_)), "{code}");
        }
    }
}
