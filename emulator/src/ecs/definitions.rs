//! Task definitions: registered, described, listed.

use serde_json::{Map, Value, json};

use super::{
    Ecs, arn,
    request::{self, ContainerDefinition, DescribeTaskDefinition, ListTaskDefinitions, invalid},
    store, view,
};
use crate::{db::Db, wire::AwsError};

/// Longest name of a family or a container.
const MAX_NAME_CHARS: usize = 255;

/// The status of a revision until it is deregistered, and the one after that
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeregisterTaskDefinition.html>).
const ACTIVE: &str = "ACTIVE";
const INACTIVE: &str = "INACTIVE";

/// The maximum number of ARNs in a response.
const MAX_LISTED: usize = 100;

impl Ecs {
    /// Every registration creates a revision, even if the content is the same.
    pub(super) fn register_task_definition(&self, request: &Value) -> Result<Value, AwsError> {
        let mut document = request.as_object().cloned().unwrap_or_default();
        let family = document.get("family").and_then(Value::as_str).unwrap_or_default().to_owned();
        if !is_name(&family) {
            return Err(client("Family should contain up to 255 letters, digits, hyphens and underscores."));
        }
        check(&containers(&Value::Object(document.clone()))?)?;
        fill_in(&mut document);
        let tags = document.remove("tags").unwrap_or_else(|| json!([]));
        let registered_at = view::seconds(self.0.clock.now());
        let document = self.0.db.transact(|tx| {
            store::add_definition(tx, &family, |revision| {
                document.insert("taskDefinitionArn".into(), arn::definition(&family, revision).into());
                document.insert("revision".into(), revision.into());
                document.insert("registeredAt".into(), registered_at);
                json!({ "taskDefinition": document, "tags": tags })
            })
        })?;
        Ok(document)
    }

    /// Registers a definition, unless the newest revision of its family is the same: otherwise, every start would add a revision.
    pub(crate) fn ensure_definition(&self, definition: &Value) -> Result<(), AwsError> {
        if !self.is_registered(definition)? {
            self.dispatch("RegisterTaskDefinition", definition.to_string().as_bytes())?;
        }
        Ok(())
    }

    fn is_registered(&self, definition: &Value) -> Result<bool, AwsError> {
        let mut wanted = definition.as_object().cloned().unwrap_or_default();
        fill_in(&mut wanted);
        let family = definition.get("family").and_then(Value::as_str).unwrap_or_default();
        let newest = self.0.db.transact(|tx| store::definition(tx, family, None))?;
        let newest = newest.and_then(|(_, mut document)| match document.get_mut("taskDefinition").map(Value::take) {
            Some(Value::Object(mut newest)) => {
                for given in ["taskDefinitionArn", "revision", "registeredAt"] {
                    newest.remove(given);
                }
                Some(newest)
            }
            _ => None,
        });
        Ok(newest == Some(wanted))
    }

    pub(super) fn describe_task_definition(&self, request: &DescribeTaskDefinition) -> Result<Value, AwsError> {
        let found = match arn::family_and_revision(&request.task_definition) {
            Some((family, revision)) => self.0.db.transact(|tx| store::definition(tx, family, revision))?,
            None => None,
        };
        let (_, mut document) = found.ok_or_else(|| client("Unable to describe task definition."))?;
        let with_tags = request.include.iter().any(|what| what == "TAGS");
        if let (false, Some(document)) = (with_tags, document.as_object_mut()) {
            document.insert("tags".into(), json!([]));
        }
        Ok(document)
    }

    /// Makes a revision inactive: it runs no new tasks, but its running tasks continue. This takes effect at once; ECS may take ten
    /// minutes. An inactive revision is not changed. The errors are those of
    /// <https://github.com/getmoto/moto/blob/master/moto/ecs/exceptions.py>.
    pub(super) fn deregister_task_definition(&self, request: &DescribeTaskDefinition) -> Result<Value, AwsError> {
        let (family, revision) = arn::family_and_revision(&request.task_definition)
            .ok_or_else(|| client(format!("Invalid revision number. Number: {}", request.task_definition)))?;
        let revision = revision.ok_or_else(|| client("Revision is missing."))?;
        let now = view::seconds(self.0.clock.now());
        let definition = self.0.db.transact(|tx| {
            let found = store::definition(tx, family, Some(revision))?;
            let (_, mut document) = found.ok_or_else(|| client("The specified task definition does not exist."))?;
            if let Some(definition) = document.get_mut("taskDefinition").and_then(Value::as_object_mut) {
                definition.insert("status".into(), INACTIVE.into());
                definition.entry("deregisteredAt").or_insert(now);
            }
            store::replace_definition(tx, family, revision, &document)?;
            Ok::<_, AwsError>(document.get_mut("taskDefinition").map(Value::take))
        })?;
        Ok(json!({ "taskDefinition": definition }))
    }

    pub(super) fn list_task_definitions(&self, request: &ListTaskDefinitions) -> Result<Value, AwsError> {
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
        let next = left.next().and_then(|_| listed.last().cloned());
        Ok(view::page("taskDefinitionArns", &listed, next))
    }
}

/// The families of active definitions whose newest revision has a container of this image.
pub(crate) fn families_of_image(db: &Db, image: &str) -> Result<Vec<String>, AwsError> {
    let has_image = |document: &Value| {
        let definition = document.get("taskDefinition").cloned().unwrap_or_default();
        containers(&definition).is_ok_and(|all| all.iter().any(|container| container.image == image))
    };
    db.transact(|tx| {
        let mut families: Vec<_> = store::definitions(tx, ACTIVE)?.into_iter().map(|(family, _)| family).collect();
        families.dedup();
        let newest = families.into_iter().map(|family| Ok((store::definition(tx, &family, None)?, family)));
        let newest = newest.collect::<Result<Vec<_>, AwsError>>()?;
        let of_image = newest.into_iter().filter(|(newest, _)| newest.as_ref().is_some_and(|(_, all)| has_image(all)));
        Ok(of_image.map(|(_, family)| family).collect())
    })
}

/// Refuses an inactive revision, with ECS's message (<https://github.com/DefangLabs/defang/pull/775>).
pub(super) fn check_active(definition: &Value) -> Result<(), AwsError> {
    match definition.get("status").and_then(Value::as_str) {
        Some(INACTIVE) => Err(invalid("TaskDefinition is inactive")),
        _ => Ok(()),
    }
}

/// The containers of a task definition.
pub(super) fn containers(definition: &Value) -> Result<Vec<ContainerDefinition>, AwsError> {
    definition.get("containerDefinitions").map_or_else(|| Ok(Vec::new()), request::read)
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
    Ok(())
}

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=MAX_NAME_CHARS).contains(&name.len()) && name.chars().all(known)
}

/// What ECS adds to what was registered.
fn fill_in(document: &mut Map<String, Value>) {
    let add = |to: &mut Map<String, Value>, members: Value| {
        for (name, value) in members.as_object().cloned().unwrap_or_default() {
            to.entry(name).or_insert(value);
        }
    };
    document.insert("status".into(), ACTIVE.into());
    document.insert("compatibilities".into(), json!(["EC2", "FARGATE"]));
    add(document, json!({ "volumes": [], "placementConstraints": [] }));
    let containers = document.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
        let empty = json!({
            "cpu": 0, "essential": true, "environment": [], "mountPoints": [], "portMappings": [], "volumesFrom": [],
        });
        add(container, empty);
    }
}

fn client(why: impl Into<String>) -> AwsError {
    AwsError::bad_request("ClientException", why)
}
