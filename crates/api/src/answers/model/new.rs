//! A request for a new execution.

use std::{collections::BTreeMap, time::Duration};

use contract::catalog::{Catalog, Job, offered};
use domain::{Json, Request, limits};
use serde::Serialize;
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, Type, schema::SchemaType},
};

use crate::{
    answers::problem::FieldError,
    extract::{
        hint,
        object::{self, Members},
    },
};

/// A job to be run.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"input": {"message": "Hello", "processingTime": 3}}))]
pub(crate) struct NewExecution {
    /// The job's input: any JSON, at most 180 KB with the tags, nested at most 64 deep. The environment variable
    /// `EXECUTION_INPUT` contains the input if it has at most 4 KB, or 128 KB if the image has the worker. With the worker, the input
    /// is also on the job's stdin, whatever its size.
    #[schema(value_type = Value)]
    pub(crate) input: Json,
    /// Name of the job; `GET /jobs` lists those that this installation has. If absent, the demonstration job.
    #[schema(example = "demo")]
    job: Option<String>,
    /// How long the job may take, in seconds from now, at most a year. If absent, the default of the job, or else 24 hours.
    #[schema(minimum = 1, maximum = 31_536_000, example = 3600)]
    timeout_seconds: Option<u64>,
    /// How many attempts a failing job has (default: one).
    retry: Option<Retry>,
    /// Your own labels, at most 20; the task gets them too.
    #[serde(default)]
    #[schema(schema_with = tags)]
    tags: BTreeMap<String, String>,
}

/// The schema of tags, with the limits that a derived schema cannot express. The characters that they may have are described in words,
/// because validators that do not know Unicode's categories would misread a pattern with them.
fn tags() -> Object {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let key = text().min_length(Some(1)).max_length(Some(limits::TAG_KEY_CHARS));
    let value = text().max_length(Some(limits::TAG_VALUE_CHARS));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "Your own labels, at most 20; the task gets them too. Keys and values may contain letters, numbers, spaces \
             and `_.:/=+-@`, as ECS allows, and must not begin with `aws:`.",
        ))
        .property_names(Some(key))
        .additional_properties(Some(value))
        .max_properties(Some(limits::TAGS))
        .examples([json!({"team": "blue"})])
        .build()
}

/// How many attempts a failing job has.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Retry {
    /// Attempts in total. The wait before the next attempt is 5 s, 10 s, 20 s and so on, at most 5 minutes.
    #[schema(minimum = 1, maximum = 10, example = 3)]
    pub(crate) max_attempts: u32,
}

impl NewExecution {
    /// Reads a body. What is wrong is left out and added to `errors`, so that the rest can still be checked.
    pub(crate) fn read(body: &mut Members, errors: &mut Vec<FieldError>) -> Self {
        let mut body = std::mem::take(body);
        let no_object = !errors.is_empty() && body.is_empty();
        let input = body.take("input");
        if input.is_none() && !no_object {
            errors.push(body.lacks("`input`; it is required, and may be null"));
        }
        let job = body.optional("job").and_then(|name| object::read(&name, body.pointer("job"), "a string", errors));
        let seconds = body.optional("timeoutSeconds");
        let timeout_seconds = seconds.and_then(|value| object::whole(&value, body.pointer("timeoutSeconds"), errors));
        let retry = body.optional("retry").and_then(|value| Retry::read(&value, &body.pointer("retry"), errors));
        let tags = body.optional("tags").map(|value| labels(&value, &body.pointer("tags"), errors)).unwrap_or_default();
        body.finish(errors);
        Self { input: input.unwrap_or_else(Json::null), job, timeout_seconds, retry, tags }
    }

    /// Whether it has a timeout.
    pub(crate) fn says_timeout(&self) -> bool {
        self.timeout_seconds.is_some()
    }

    /// The request, with every default filled in. [`wrong`] checks whether it may be started.
    pub(crate) fn into_request(self, catalog: &Catalog) -> Request {
        let unsaid = Request::of(self.input);
        let job = self.job.unwrap_or(unsaid.job);
        let timeout = self.timeout_seconds.map(Duration::from_secs);
        let timeout = timeout.or_else(|| catalog.get(&job).map(Job::timeout)).unwrap_or(unsaid.timeout);
        let max_attempts = self.retry.map_or(unsaid.max_attempts, |retry| retry.max_attempts);
        Request { input: unsaid.input, job, timeout, max_attempts, tags: self.tags }
    }
}

impl Retry {
    fn read(value: &Json, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let mut members = Members::of(value, at, errors)?;
        let most = members.optional("maxAttempts");
        if most.is_none() {
            errors.push(members.lacks("`maxAttempts`; it is required"));
        }
        let most = most.and_then(|most| object::whole(&most, members.pointer("maxAttempts"), errors));
        members.finish(errors);
        Some(Self { max_attempts: u32::try_from(most?).unwrap_or(u32::MAX) })
    }
}

fn labels(value: &Json, at: &str, errors: &mut Vec<FieldError>) -> BTreeMap<String, String> {
    let Some(members) = Members::of(value, at, errors) else { return BTreeMap::new() };
    let text = |(key, value): (String, Json)| {
        let at = format!("{at}{}", domain::pointer_to(&key));
        Some((key, object::read(&value, at, "a string", errors)?))
    };
    members.rest().into_iter().filter_map(text).collect()
}

/// Everything that is wrong with a request; nothing if it may be started.
pub(crate) fn wrong(request: &Request, catalog: &Catalog) -> Vec<FieldError> {
    let field = |violation: domain::Violation| FieldError {
        pointer: violation.pointer,
        detail: violation.detail,
        rule: violation.rule,
    };
    let mut errors: Vec<_> = request.violations().into_iter().map(field).collect();
    let known = offered(catalog);
    if !known.contains(&request.job.as_str()) {
        let meant = hint::suggestion(&request.job, &known)
            .map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
        let detail = format!("is not one of: {}{meant}", known.join(", "));
        errors.push(FieldError { pointer: "/job".into(), detail, rule: "unknown-job" });
    }
    errors
}
