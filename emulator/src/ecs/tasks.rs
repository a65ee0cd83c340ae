//! Tasks: run, described, listed, stopped.

use serde_json::Value;
use uuid::{NoContext, Uuid};

use super::{
    Ecs, Refused,
    answers::{Failure, ListTasksResponse, StopTaskResponse, TasksResponse},
    arn,
    definitions::check_active,
    launch::Launch,
    request::{self, DescribeTasks, DesiredStatus, ListTasks, RunTask, StopTask, fingerprint, invalid},
    shapes::{ContainerDefinition, Tag, TaskDefinition, TaskOverride},
    store::{self, Wanted},
    supervisor::Supervisor,
    task::{Container, ContainerStatus, Event, Status, Task},
    view,
};
use crate::wire::AwsError;

/// The maximum number of tasks in a response.
const MAX_DESCRIBED: usize = 100;

/// What a task is created from.
#[derive(Debug)]
struct NewTask {
    definition: TaskDefinition,
    tags: Vec<Tag>,
    overrides: TaskOverride,
}

/// The result of the transaction of a `RunTask`.
#[derive(Debug)]
enum Ran {
    New(Vec<(Task, Vec<Launch>)>),
    Before(Vec<Task>),
    /// There is no capacity for the task definition.
    Not(Failure),
}

impl Ecs {
    /// The task is on disk before the response is sent and before a process is started. If the emulator dies in between, the next one finds
    /// a task that never ran.
    pub(super) fn run_task(&self, body: &Value) -> Result<TasksResponse, Refused> {
        let request: RunTask = request::read(body)?;
        let count = request.check()?;
        self.require_cluster(request.cluster.as_deref())?;
        let asked = fingerprint(body);
        let now = self.0.clock.now();
        let ran = self.0.db.transact(|tx| {
            store::prune(tx, now)?;
            if let Some(token) = &request.client_token
                && let Some(before) = self.ran_before(tx, token, &asked)?
            {
                return Ok(Ran::Before(before));
            }
            let plan = plan(tx, &request)?;
            if let Some(why) = self.changeable().without_capacity.get(&plan.definition.registration.family) {
                return Ok(Ran::Not(Failure::no_capacity(plan.definition.task_definition_arn, why.clone())));
            }
            let tasks: Vec<_> = (0..count).map(|_| self.new_task(&request, &plan)).collect();
            for (task, _) in &tasks {
                store::add(tx, task)?;
            }
            if let Some(token) = &request.client_token {
                let ids: Vec<_> = tasks.iter().map(|(task, _)| task.id.as_str()).collect();
                store::use_token(tx, token, &asked, &ids, now)?;
            }
            Ok::<_, Refused>(Ran::New(tasks))
        })?;
        let tasks: Vec<_> = match ran {
            Ran::Before(tasks) => tasks.iter().map(|task| view::task(task, self.cluster(), true)).collect(),
            Ran::Not(failure) => return Ok(TasksResponse { tasks: Vec::new(), failures: vec![failure] }),
            Ran::New(tasks) => {
                let begin = |(task, launches): (Task, _)| {
                    self.begin(&task, launches);
                    view::task(&task, self.cluster(), true)
                };
                tasks.into_iter().map(begin).collect()
            }
        };
        Ok(TasksResponse { tasks, failures: Vec::new() })
    }

    pub(super) fn describe_tasks(&self, request: &DescribeTasks) -> Result<TasksResponse, AwsError> {
        self.require_cluster(request.cluster.as_deref())?;
        if !(1..=MAX_DESCRIBED).contains(&request.tasks.len()) {
            return Err(invalid(format!("Tasks must have between 1 and {MAX_DESCRIBED} entries.")));
        }
        let with_tags = request.include.iter().any(|what| what == "TAGS");
        let (mut tasks, mut failures) = (Vec::new(), Vec::new());
        let now = self.0.clock.now();
        self.0.db.transact(|tx| {
            store::prune(tx, now)?;
            for named in &request.tasks {
                let id = arn::task_id(named, self.cluster());
                match id.map(|id| store::task(tx, id)).transpose()?.flatten() {
                    Some(task) => tasks.push(view::task(&task, self.cluster(), with_tags)),
                    None if named.starts_with("arn:") => failures.push(Failure::missing(named.clone())),
                    None => failures.push(Failure::missing(arn::task(self.cluster(), named))),
                }
            }
            Ok::<_, AwsError>(())
        })?;
        Ok(TasksResponse { tasks, failures })
    }

    pub(super) fn list_tasks(&self, request: &ListTasks) -> Result<ListTasksResponse, AwsError> {
        self.require_cluster(request.cluster.as_deref())?;
        let limit = request.max_results.unwrap_or(MAX_DESCRIBED);
        if !(1..=MAX_DESCRIBED).contains(&limit) {
            return Err(invalid(format!("maxResults must be between 1 and {MAX_DESCRIBED}")));
        }
        let desired = request.desired_status.unwrap_or_default();
        let by_place = [&request.container_instance, &request.service_name, &request.launch_type];
        // "When you specify startedBy as the filter, it must be the only filter that you use". The default does not count as a filter.
        let beside = request.family.is_some() || by_place.iter().any(|filter| filter.is_some());
        if request.started_by.is_some() && (beside || desired != DesiredStatus::Running) {
            return Err(invalid("cannot specify startedBy with other arguments"));
        }
        if request.service_name.is_some() {
            return Err(AwsError::bad_request("ServiceNotFoundException", "Service not found."));
        }
        let elsewhere = request.container_instance.is_some()
            || request.launch_type.as_deref().is_some_and(|launch_type| launch_type != "FARGATE");
        if elsewhere || desired == DesiredStatus::Pending {
            return Ok(ListTasksResponse::default());
        }
        let after = request.next_token.as_deref().map_or(Ok(0), str::parse).map_err(|_| invalid("Invalid token."))?;
        let wanted = Wanted {
            to_end: desired == DesiredStatus::Stopped,
            family: request.family.as_deref(),
            started_by: request.started_by.as_deref(),
            after,
            limit: limit + 1,
        };
        let now = self.0.clock.now();
        let mut listed = self.0.db.transact(|tx| {
            store::prune(tx, now)?;
            store::list(tx, &wanted)
        })?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        let next_token = listed.last().filter(|_| more).map(|(number, _)| number.to_string());
        let task_arns = listed.iter().map(|(_, id)| arn::task(self.cluster(), id)).collect();
        Ok(ListTasksResponse { task_arns, next_token })
    }

    /// Returns at once; the task ends when its containers do.
    pub(super) fn stop_task(&self, request: &StopTask) -> Result<StopTaskResponse, AwsError> {
        self.require_cluster(request.cluster.as_deref())?;
        let id = arn::task_id(&request.task, self.cluster());
        let found = id.map(|id| self.0.db.transact(|tx| store::task(tx, id))).transpose()?.flatten();
        let task = found.ok_or_else(|| invalid("The referenced task was not found."))?;
        let reason = request.reason.clone().unwrap_or_else(|| "Task stopped by user".to_owned());
        let task = self.record(&task.id, &Event::StopRequested { reason })?;
        self.0.running.stop(&task.id);
        Ok(StopTaskResponse { task: view::task(&task, self.cluster(), true) })
    }

    /// The tasks that this client token has already started with the same request. A token expires as soon as one of its tasks
    /// has been deleted.
    fn ran_before(
        &self,
        tx: &rusqlite::Transaction<'_>,
        token: &str,
        asked: &Value,
    ) -> Result<Option<Vec<Task>>, Refused> {
        let Some((request, ids)) = store::token(tx, token)? else { return Ok(None) };
        let tasks = ids.iter().map(|id| store::task(tx, id)).collect::<Result<Option<Vec<_>>, _>>()?;
        if tasks.is_some() && request != *asked {
            return Err(Refused::Conflict(ids.iter().map(|id| arn::task(self.cluster(), id)).collect()));
        }
        Ok(tasks)
    }

    fn new_task(&self, request: &RunTask, plan: &NewTask) -> (Task, Vec<Launch>) {
        let now = self.0.clock.now();
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        let nanoseconds = u32::try_from(now.subsec_nanosecond()).unwrap_or_default();
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanoseconds)).simple().to_string();
        let TaskDefinition { revision, registration, .. } = &plan.definition;
        let overridden = |name: &str| plan.overrides.container_overrides.iter().find(|by| by.name == name);
        let changeable = self.changeable();
        let launch = |one: &ContainerDefinition| {
            Launch::new(one, overridden(&one.name), &self.0.settings, &changeable.secrets, &id)
        };
        let launches = registration.container_definitions.iter().map(launch).collect();
        drop(changeable);
        let task = Task {
            family: registration.family.clone(),
            revision: *revision,
            group: request.group.clone().unwrap_or_else(|| format!("family:{}", registration.family)),
            started_by: request.started_by.clone(),
            overrides: plan.overrides.clone(),
            tags: plan.tags.clone(),
            cpu: plan.overrides.cpu.clone().or_else(|| registration.cpu.clone()),
            memory: plan.overrides.memory.clone().or_else(|| registration.memory.clone()),
            containers: registration.container_definitions.iter().map(container).collect(),
            version: 1,
            status: Status::Provisioning,
            created_at: now,
            started_at: None,
            ending: None,
            execution_stopped_at: None,
            stopped_at: None,
            id,
        };
        (task, launches)
    }

    /// Runs a task that is recorded.
    fn begin(&self, task: &Task, launches: Vec<Launch>) {
        tokio::spawn(Supervisor::new(self.clone(), task.id.clone(), launches).run());
    }
}

fn plan(tx: &rusqlite::Transaction<'_>, request: &RunTask) -> Result<NewTask, AwsError> {
    let not_found = || AwsError::bad_request("ClientException", "TaskDefinition not found.");
    let (family, revision) = arn::family_and_revision(&request.task_definition).ok_or_else(not_found)?;
    let found = store::definition(tx, family, revision)?.ok_or_else(not_found)?;
    check_active(&found.task_definition)?;
    let overrides = request.overrides()?;
    for by in &overrides.container_overrides {
        let containers = &found.task_definition.registration.container_definitions;
        if containers.iter().all(|container| container.name != by.name) {
            let why = format!("Override for container named {} is not a container in the TaskDefinition.", by.name);
            return Err(invalid(why));
        }
    }
    let mut tags = request.tags.clone().unwrap_or_default();
    if request.propagate_tags.as_deref() == Some("TASK_DEFINITION") {
        let new = |tag: &Tag| tags.iter().all(|own| own.key != tag.key);
        let inherited: Vec<_> = found.tags.into_iter().filter(new).collect();
        tags.extend(inherited);
    }
    Ok(NewTask { definition: found.task_definition, tags, overrides })
}

fn container(definition: &ContainerDefinition) -> Container {
    Container {
        name: definition.name.clone(),
        image: definition.image.clone(),
        essential: definition.essential,
        status: ContainerStatus::Pending,
        process: None,
        exit_code: None,
        reason: None,
    }
}
