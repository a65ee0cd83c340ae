//! A job: the fields that only a job has, and the file's defaults for the others.

use std::ops::Range;

use domain::limits;

use super::{Owner, Shared, access::access, allow::allow, input::input, sidecars::sidecars, unknown};
use crate::{
    STOP_TIMEOUT,
    checker::{Checker, Table},
    job::Job,
};

/// Reads a job. `place` is the place of its name.
pub(crate) fn job<'i>(mut table: Table<'i>, place: &Range<usize>, defaults: &Shared, checker: &mut Checker<'i>) -> Job {
    let description = description(&mut table, checker);
    let command = command(&mut table, place, checker);
    let shared = Shared::read(&mut table, checker).over(defaults);
    let (permissions, task_role) = access(&mut table, checker);
    let sidecars = sidecars(&mut table, checker);
    let input = input(&mut table, checker);
    let allow = allow(&mut table, &shared.variables, checker);
    unknown(table, Owner::Job, checker);
    Job {
        description,
        command,
        image: shared.image,
        size: shared.size.check(place, checker),
        ephemeral_storage: shared.ephemeral_storage,
        capacity: shared.capacity,
        architecture: shared.architecture,
        user: shared.user,
        readonly_root_filesystem: shared.readonly_root_filesystem.unwrap_or(false),
        environment: shared.variables.environment,
        secrets: shared.variables.secrets,
        permissions,
        task_role,
        sidecars,
        log_retention_days: shared.log_retention_days,
        timeout: shared.timeout.unwrap_or(limits::DEFAULT_TIMEOUT),
        stop_timeout: shared.stop_timeout.unwrap_or(STOP_TIMEOUT),
        retry: shared.retry.unwrap_or_default(),
        input,
        allow,
    }
}

fn description<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<String> {
    let given = checker.text(table.take("description")?, "description")?;
    let chars = given.get_ref().chars().count();
    let most = limits::DESCRIPTION_CHARS;
    if chars > most {
        let what = format!("description has {chars} characters; it must have at most {most}");
        checker.mistake(&given.span(), what);
    }
    Some(given.into_inner())
}

fn command<'i>(table: &mut Table<'i>, place: &Range<usize>, checker: &mut Checker<'i>) -> Vec<String> {
    const EXAMPLE: &str = "for example [\"python3\", \"job.py\"]";
    let Some(value) = table.take("command") else {
        checker.mistake(place, format!("the job needs a `command`, {EXAMPLE}"));
        return Vec::new();
    };
    let place = value.span();
    if let toml::de::DeValue::String(text) = value.get_ref() {
        checker.mistake(
            &place,
            format!(
                "command is a string; it must be a list, {EXAMPLE}. For a shell, write [\"sh\", \"-c\", \"{text}\"]"
            ),
        );
        return Vec::new();
    }
    let empty = value.get_ref().as_array().is_some_and(|command| command.is_empty());
    let Some(command) = checker.texts(value, "command") else { return Vec::new() };
    if empty || command.first().is_some_and(|program| program.get_ref().trim().is_empty()) {
        checker.mistake(&place, format!("the command needs a program, {EXAMPLE}"));
    }
    command.into_iter().map(toml::Spanned::into_inner).collect()
}
