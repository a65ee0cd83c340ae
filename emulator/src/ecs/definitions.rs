//! Task definitions: registered, described, listed.

use serde_json::Value;

use super::{
    Ecs,
    answers::{DeregisterTaskDefinitionResponse, ListTaskDefinitionsResponse},
    arn, dependencies,
    request::{self, DescribeTaskDefinition, ListTaskDefinitions, RegisterTaskDefinition, invalid},
    shapes::{ContainerDefinition, Definition, DefinitionStatus, Registration, TaskDefinition},
    store,
};
use crate::{db::Db, wire::AwsError};

/// Longest name of a family or a container.
const MAX_NAME_CHARS: usize = 255;

/// The status of a revision that is not deregistered.
const ACTIVE: &str = "ACTIVE";

/// The maximum number of ARNs in a response.
const MAX_LISTED: usize = 100;

impl Ecs {
    /// Every registration creates a revision, even if the content is the same.
    pub(super) fn register_task_definition(&self, request: &RegisterTaskDefinition) -> Result<Definition, AwsError> {
        let family = &request.registration.family;
        if !is_name(family) {
            return Err(client("Family should contain up to 255 letters, digits, hyphens and underscores."));
        }
        check(&request.registration.container_definitions)?;
        let registered_at = self.0.clock.now();
        self.0.db.transact(|tx| {
            store::add_definition(tx, family, |revision| Definition {
                task_definition: TaskDefinition {
                    task_definition_arn: arn::definition(family, revision),
                    revision,
                    status: DefinitionStatus::Active,
                    compatibilities: vec!["EC2".to_owned(), "FARGATE".to_owned()],
                    registered_at: registered_at.into(),
                    deregistered_at: None,
                    registration: request.registration.clone(),
                },
                tags: request.tags.clone().unwrap_or_default(),
            })
        })
    }

    /// Registers a definition, unless the newest revision of its family is the same: otherwise, every start would add a revision.
    pub(crate) fn ensure_definition(&self, definition: &Value) -> Result<(), AwsError> {
        let request: RegisterTaskDefinition = request::read(definition)?;
        if !self.is_registered(&request.registration)? {
            self.register_task_definition(&request)?;
        }
        Ok(())
    }

    fn is_registered(&self, wanted: &Registration) -> Result<bool, AwsError> {
        let newest = self.0.db.transact(|tx| store::definition(tx, &wanted.family, None))?;
        Ok(newest.is_some_and(|newest| newest.task_definition.registration == *wanted))
    }

    pub(super) fn describe_task_definition(&self, request: &DescribeTaskDefinition) -> Result<Definition, AwsError> {
        let found = match arn::family_and_revision(&request.task_definition) {
            Some((family, revision)) => self.0.db.transact(|tx| store::definition(tx, family, revision))?,
            None => None,
        };
        let found = found.ok_or_else(|| client("Unable to describe task definition."))?;
        let with_tags = request.include.iter().any(|what| what == "TAGS");
        Ok(if with_tags { found } else { Definition { tags: Vec::new(), ..found } })
    }

    /// Makes a revision inactive: it runs no new tasks, but its running tasks continue. This takes effect at once; ECS may take ten
    /// minutes. An inactive revision is not changed. The errors are those of
    /// <https://github.com/getmoto/moto/blob/master/moto/ecs/exceptions.py>.
    pub(super) fn deregister_task_definition(
        &self,
        request: &DescribeTaskDefinition,
    ) -> Result<DeregisterTaskDefinitionResponse, AwsError> {
        let (family, revision) = arn::family_and_revision(&request.task_definition)
            .ok_or_else(|| client(format!("Invalid revision number. Number: {}", request.task_definition)))?;
        let revision = revision.ok_or_else(|| client("Revision is missing."))?;
        let now = self.0.clock.now();
        self.0.db.transact(|tx| {
            let found = store::definition(tx, family, Some(revision))?;
            let mut found = found.ok_or_else(|| client("The specified task definition does not exist."))?;
            found.task_definition.status = DefinitionStatus::Inactive;
            found.task_definition.deregistered_at.get_or_insert(now.into());
            store::replace_definition(tx, family, revision, &found)?;
            Ok(DeregisterTaskDefinitionResponse { task_definition: found.task_definition })
        })
    }

    pub(super) fn list_task_definitions(
        &self,
        request: &ListTaskDefinitions,
    ) -> Result<ListTaskDefinitionsResponse, AwsError> {
        let limit = request.max_results.unwrap_or(MAX_LISTED);
        if !(1..=MAX_LISTED).contains(&limit) {
            return Err(invalid(format!("maxResults must be between 1 and {MAX_LISTED}")));
        }
        let status = request.status.as_deref().unwrap_or(ACTIVE);
        let mut all = self.0.db.transact(|tx| store::definitions(tx, status))?;
        all.retain(|(family, _)| request.family_prefix.as_ref().is_none_or(|wanted| wanted == family));
        if request.sort.as_deref() == Some("DESC") {
            all.reverse();
        }
        let arns = all.iter().map(|(family, revision)| arn::definition(family, *revision));
        // The token is the last ARN that was listed.
        let mut left: Box<dyn Iterator<Item = String>> = match &request.next_token {
            None => Box::new(arns),
            Some(last) => Box::new(arns.skip_while(move |arn| arn != last).skip(1)),
        };
        let listed: Vec<_> = left.by_ref().take(limit).collect();
        let next_token = left.next().and_then(|_| listed.last().cloned());
        Ok(ListTaskDefinitionsResponse { task_definition_arns: listed, next_token })
    }
}

/// The families of active definitions whose newest revision has a container of this image.
pub(crate) fn families_of_image(db: &Db, image: &str) -> Result<Vec<String>, AwsError> {
    let has_image = |definition: &Definition| {
        definition.task_definition.registration.container_definitions.iter().any(|container| container.image == image)
    };
    db.transact(|tx| {
        let mut families: Vec<_> = store::definitions(tx, ACTIVE)?.into_iter().map(|(family, _)| family).collect();
        families.dedup();
        let newest = families.into_iter().map(|family| Ok((store::definition(tx, &family, None)?, family)));
        let newest = newest.collect::<Result<Vec<_>, AwsError>>()?;
        let of_image = newest.into_iter().filter(|(newest, _)| newest.as_ref().is_some_and(has_image));
        Ok(of_image.map(|(_, family)| family).collect())
    })
}

/// Refuses an inactive revision, with ECS's message (<https://github.com/DefangLabs/defang/pull/775>).
pub(super) fn check_active(definition: &TaskDefinition) -> Result<(), AwsError> {
    match definition.status {
        DefinitionStatus::Inactive => Err(invalid("TaskDefinition is inactive")),
        DefinitionStatus::Active => Ok(()),
    }
}

fn check(containers: &[ContainerDefinition]) -> Result<(), AwsError> {
    if containers.is_empty() {
        return Err(client("Container list cannot be empty."));
    }
    if !containers.iter().any(|container| container.essential) {
        return Err(client("A task definition must have at least one essential container."));
    }
    for (place, container) in containers.iter().enumerate() {
        if !is_name(&container.name) {
            return Err(client("Container.name should contain up to 255 letters, digits, hyphens and underscores."));
        }
        if container.image.is_empty() {
            return Err(client("Container.image should not be null or empty."));
        }
        if containers.iter().take(place).any(|before| before.name == container.name) {
            return Err(client(format!("Container names must be unique: {}", container.name)));
        }
        if container
            .log_configuration
            .as_ref()
            .is_some_and(|log| log.log_driver == "awslogs" && log.awslogs().is_none())
        {
            let why = "Log driver awslogs requires options: awslogs-group, awslogs-stream-prefix";
            return Err(client(why));
        }
    }
    dependencies::check(containers).map_err(client)
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=MAX_NAME_CHARS).contains(&name.len()) && name.chars().all(known)
}

fn client(why: impl Into<String>) -> AwsError {
    AwsError::bad_request("ClientException", why)
}
