//! The operations that create, change and delete functions.
//!
//! The code of a function is a command of this machine: `Code.ImageUri` is `local:COMMAND`, with `PackageType` `Image`.
//! A shell runs the command; it has to speak the Runtime API.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    DurableConfig, Functions, LATEST, conflict, not_found,
    registered::{Program, Registered},
    store,
    view::{self, FunctionConfiguration},
};
use crate::{
    lambda::{
        arn::Target,
        limits::{self, invalid},
    },
    wire::AwsError,
};

/// The prefix of a local command in `ImageUri`.
const LOCAL: &str = "local:";

/// Default timeout of an invocation, as in AWS.
const TIMEOUT_SECONDS: i64 = 3;

/// Default number of days for which a closed execution is kept.
pub const RETENTION_DAYS: u16 = 14;

/// The body of `CreateFunction`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateFunction {
    function_name: String,
    code: Code,
    #[serde(default)]
    publish: bool,
    #[serde(flatten)]
    settings: Settings,
}

/// Where the code of a function is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Code {
    image_uri: Option<String>,
    #[serde(default)]
    publish: bool,
    #[serde(default)]
    dry_run: bool,
    revision_id: Option<Uuid>,
}

/// The settings of a function: the body of `UpdateFunctionConfiguration`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Settings {
    role: Option<String>,
    handler: Option<String>,
    description: Option<String>,
    timeout: Option<i64>,
    memory_size: Option<i64>,
    environment: Option<Environment>,
    durable_config: Option<NewDurableConfig>,
    revision_id: Option<Uuid>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewDurableConfig {
    execution_timeout: Option<i64>,
    retention_period_in_days: Option<i64>,
}

impl Code {
    fn command(&self) -> Result<(String, Vec<String>), AwsError> {
        let uri = self.image_uri.as_deref().unwrap_or_default();
        let command = uri.strip_prefix(LOCAL).map(str::trim).filter(|command| !command.is_empty());
        let command = command.ok_or_else(|| {
            invalid("The emulator runs commands of this machine: name one as ImageUri \"local:COMMAND\".")
        })?;
        Ok((uri.to_owned(), vec!["sh".to_owned(), "-c".to_owned(), format!("exec {command}")]))
    }
}

impl NewDurableConfig {
    fn over(&self, before: Option<&DurableConfig>) -> Result<DurableConfig, AwsError> {
        let timeout =
            self.execution_timeout.or_else(|| before.and_then(|b| i64::try_from(b.execution_timeout.as_secs()).ok()));
        let timeout = timeout.ok_or_else(|| invalid("DurableConfig needs an ExecutionTimeout."))?;
        limits::within("durableConfig.executionTimeout", timeout, &limits::DURATION_SECONDS)?;
        let kept = before.map_or(RETENTION_DAYS, |before| before.retention_days);
        let days = self.retention_period_in_days.unwrap_or_else(|| i64::from(kept));
        limits::within("durableConfig.retentionPeriodInDays", days, &limits::RETENTION_DAYS)?;
        Ok(DurableConfig {
            execution_timeout: Duration::from_secs(timeout.unsigned_abs()),
            retention_days: u16::try_from(days).unwrap_or(kept),
        })
    }
}

impl Settings {
    fn check(&self) -> Result<(), AwsError> {
        if let Some(timeout) = self.timeout {
            limits::within("timeout", timeout, &limits::FUNCTION_SECONDS)?;
        }
        self.memory_size.map_or(Ok(()), |memory| limits::within("memorySize", memory, &limits::MEMORY_MB))
    }

    /// Applies the settings to a function. Settings that are absent do not change.
    fn onto(self, program: Program, now: Timestamp) -> Program {
        Program {
            role: self.role.or(program.role),
            handler: self.handler.or(program.handler),
            description: self.description.unwrap_or(program.description),
            timeout_seconds: self.timeout.map_or(program.timeout_seconds, i64::unsigned_abs),
            memory: self.memory_size.and_then(|memory| u32::try_from(memory).ok()).unwrap_or(program.memory),
            environment: self.environment.map_or(program.environment, |environment| environment.variables),
            modified_at: now,
            revision: Uuid::new_v4(),
            ..program
        }
    }
}

impl Functions {
    /// `CreateFunction`.
    pub(crate) fn create(&self, new: CreateFunction) -> Result<FunctionConfiguration, AwsError> {
        let name = Target::read(&new.function_name).map_or(new.function_name.as_str(), |target| target.name).to_owned();
        limits::FUNCTION_NAME.check("functionName", &name)?;
        new.settings.check()?;
        if new.settings.role.as_ref().is_none_or(|role| !role.starts_with("arn:aws:iam::")) {
            return Err(invalid("The role defined for the function cannot be assumed by Lambda."));
        }
        let (uri, command) = new.code.command()?;
        let durable = new.settings.durable_config.as_ref().map(|config| config.over(None)).transpose()?;
        let now = self.0.clock.now();
        let blank = Program {
            command,
            image_uri: Some(uri),
            environment: BTreeMap::new(),
            handler: None,
            role: None,
            description: String::new(),
            timeout_seconds: TIMEOUT_SECONDS.unsigned_abs(),
            memory: 128,
            durable,
            modified_at: now,
            revision: Uuid::new_v4(),
        };
        let mut function = Registered::new(name.clone(), new.settings.onto(blank, now));
        let version = if new.publish { function.publish(None) } else { LATEST.to_owned() };
        self.0.db.transact(|tx| {
            let mut registered = self.registered();
            if registered.contains_key(&name) {
                return Err(conflict(format!("Function already exist: {name}")));
            }
            store::save(tx, &function)?;
            let shown = view::configuration(&function, &version, &function.latest, new.publish);
            registered.insert(name, function);
            Ok(shown)
        })
    }

    /// `UpdateFunctionCode`.
    pub(crate) fn update_code(&self, name: &str, code: &Code) -> Result<FunctionConfiguration, AwsError> {
        let (uri, command) = code.command()?;
        let now = self.0.clock.now();
        let dry_run = code.dry_run;
        let updated = |function: &Registered| Program {
            command,
            image_uri: Some(uri),
            modified_at: now,
            revision: Uuid::new_v4(),
            ..function.latest.clone()
        };
        self.change(name, |function| {
            may_change(function, code.revision_id)?;
            let latest = updated(function);
            if dry_run {
                return Ok(view::configuration(function, LATEST, &latest, false));
            }
            function.latest = latest;
            let version = if code.publish { function.publish(None) } else { LATEST.to_owned() };
            Ok(view::configuration(function, &version, &function.latest, code.publish))
        })
    }

    /// `UpdateFunctionConfiguration`. A function cannot become durable later.
    pub(crate) fn update_configuration(
        &self,
        name: &str,
        settings: Settings,
    ) -> Result<FunctionConfiguration, AwsError> {
        settings.check()?;
        let now = self.0.clock.now();
        self.change(name, |function| {
            may_change(function, settings.revision_id)?;
            let durable = match (&settings.durable_config, &function.latest.durable) {
                (None, before) => before.clone(),
                (Some(_), None) => return Err(invalid("You cannot add DurableConfig to an existing function.")),
                (Some(config), before) => Some(config.over(before.as_ref())?),
            };
            function.latest = Program { durable, ..settings.onto(function.latest.clone(), now) };
            Ok(view::configuration(function, LATEST, &function.latest, false))
        })
    }

    /// `DeleteFunction`: deletes a function, or one version of it.
    pub(crate) fn delete(&self, text: &str, qualifier: Option<&str>) -> Result<(), AwsError> {
        let target = Target::read(text).ok_or_else(|| invalid(format!("Invalid function ARN '{text}'")))?;
        let Some(version) = target.qualifier.or(qualifier) else { return self.delete_all(target.name) };
        if version == LATEST {
            return Err(invalid("$LATEST version cannot be deleted without deleting the function."));
        }
        self.change(target.name, |function| {
            may_change(function, None)?;
            if let Some(alias) = function.aliases_of(version).next() {
                return Err(conflict(format!("Unable to delete version because the alias {alias} points to it")));
            }
            let known = function.program(version).is_some();
            let number = version.parse().ok().filter(|_| known);
            let number: u64 = number.ok_or_else(|| not_found(&function.name, Some(version)))?;
            function.versions.remove(&number);
            Ok(())
        })?;
        self.retire(target.name, Some(version));
        Ok(())
    }

    fn delete_all(&self, name: &str) -> Result<(), AwsError> {
        self.0.db.transact(|tx| {
            let mut registered = self.registered();
            may_change(registered.get(name).ok_or_else(|| not_found(name, None))?, None)?;
            store::delete(tx, name)?;
            registered.remove(name);
            self.retire(name, None);
            Ok(())
        })
    }
}

/// A declared function cannot be changed.
fn may_change(function: &Registered, revision: Option<Uuid>) -> Result<(), AwsError> {
    if function.declared {
        return Err(conflict(format!(
            "{} is declared in the emulator's resources, and cannot be changed.",
            function.name
        )));
    }
    if revision.is_some_and(|revision| revision != function.latest.revision) {
        return Err(stale());
    }
    Ok(())
}

/// The error if another writer was faster.
pub(super) fn stale() -> AwsError {
    AwsError {
        status: StatusCode::PRECONDITION_FAILED,
        code: "PreconditionFailedException",
        message: "The RevisionId provided does not match the latest RevisionId.".to_owned(),
    }
}
