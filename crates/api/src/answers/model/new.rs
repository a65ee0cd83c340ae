//! A request for a new execution.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use contract::catalog::{Catalog, offered};
use domain::{Json, OVERRIDE_NOT_ALLOWED, Overrides, Request, Start, TASK_SIZE, limits};
use jiff::Timestamp;
use runtime::clock;
use serde::Serialize;
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{
        Array, Object, ObjectBuilder, Type,
        schema::{ArrayBuilder, SchemaType},
    },
};

use crate::{
    answers::problem::FieldError,
    extract::{
        body::Described,
        hint,
        object::{self, Members},
    },
};

/// A job to be run.
#[derive(Debug, Clone, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"input": {"message": "Hello", "processingTime": 3}}))]
pub(crate) struct NewExecution {
    /// The job's input: any JSON, at most 180 KB with the tags, nested at most 64 deep. The environment variable
    /// `EXECUTION_INPUT` contains the input if it has at most 4 KB, or 128 KB if the image has the worker. With the worker, the input
    /// is also on the job's stdin, whatever its size.
    #[schema(value_type = Value)]
    pub(crate) input: Json,
    /// The `uploadId` of a file that was uploaded with `POST /uploads`. The worker downloads the file before the job starts, and the
    /// environment variable `EXECUTION_INPUT_FILE` names it. `input` may be `null` then.
    #[schema(example = "35-9f86d081884c7d659a2feaa0c55ad015")]
    input_upload: Option<String>,
    /// Name of the job; `GET /jobs` lists those that this installation has. If absent, the demonstration job.
    #[schema(example = "demo")]
    job: Option<String>,
    /// Whether the body probably names a job, but in a way that cannot be read.
    #[schema(ignore)]
    job_unknown: bool,
    /// How long the job may take, in seconds from its start time, at most a year. If absent, the default of the job, or else 24 hours.
    #[schema(minimum = 1, maximum = 31_536_000, example = 3600)]
    timeout_seconds: Option<u64>,
    /// When to start, at most 366 days ahead. Until then, the execution is `SCHEDULED`. If absent or in the past, at once.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-12-24T18:00:00Z")]
    start_at: Option<Timestamp>,
    /// Instead of `startAt`: in how many seconds to start, at most 366 days.
    #[schema(minimum = 0, maximum = 31_622_400, example = 900)]
    delay_seconds: Option<u64>,
    /// If no task was started by then, for example because ECS has no capacity, the execution is `EXPIRED`. It must be later than the
    /// start.
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-12-24T20:00:00Z")]
    start_before: Option<Timestamp>,
    /// How a failing job is retried. If absent, as the job specifies, or else not at all.
    retry: Option<Retry>,
    /// CPU and memory of the task, if the job allows requests to override them. If absent, those of the job.
    resources: Option<Resources>,
    /// Environment variables for the job, which are added to its own or replace them. Only those that the job allows; at most 20, and
    /// 1,536 bytes of JSON. An execution shows only their names.
    #[serde(default)]
    #[schema(schema_with = environment)]
    environment: BTreeMap<String, String>,
    /// Your own labels, at most 20; the task gets them too.
    #[serde(default)]
    #[schema(schema_with = own_tags)]
    tags: BTreeMap<String, String>,
}

/// The schema of tags, with the limits that a derived schema cannot express. The characters that they may have are described in words,
/// because validators that do not know Unicode's categories would misread a pattern with them.
pub(crate) fn tags(description: &str) -> Object {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let key = text().min_length(Some(1)).max_length(Some(limits::TAG_KEY_CHARS));
    let value = text().max_length(Some(limits::TAG_VALUE_CHARS));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(format!(
            "{description} Keys and values may contain letters, numbers, spaces and `_.:/=+-@`, as ECS allows, and must not \
             begin with `aws:`.",
        )))
        .property_names(Some(key))
        .additional_properties(Some(value))
        .max_properties(Some(limits::TAGS))
        .examples([json!({"team": "blue"})])
        .build()
}

fn own_tags() -> Object {
    tags("Your own labels, at most 20; the task gets them too.")
}

/// The schema of environment variables, with the limits that a derived schema cannot express.
fn environment() -> Object {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "Environment variables for the job, which are added to its own or replace them. Only those that the job allows; \
             at most 20, and 1,536 bytes of JSON. An execution shows only their names.",
        ))
        .property_names(Some(text().pattern(Some("^[A-Za-z_][A-Za-z0-9_]*$"))))
        .additional_properties(Some(text()))
        .max_properties(Some(limits::VARIABLES))
        .examples([json!({"DEBUG": "1"})])
        .build()
}

/// The schema of exit codes, with the limits that a derived schema cannot express.
fn exit_codes() -> Array {
    let code =
        ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(limits::HIGHEST_EXIT_CODE));
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(code)
        .description(Some(
            "The exit codes after which the job is retried. If absent, those of the job, or else all. An attempt that ended \
             without an exit code of the job, for example because AWS lost the host, is retried in any case.",
        ))
        .min_items(Some(1))
        .max_items(Some(limits::EXIT_CODES))
        .examples([json!([75])])
        .build()
}

/// How a failing job is retried. At least one member is required.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(min_properties = 1)]
pub(crate) struct Retry {
    /// Attempts in total. If absent, as many as the job specifies, or else one. The wait before the next attempt is 5 s, 10 s, 20 s and
    /// so on, at most 5 minutes, unless the job specifies another.
    #[schema(minimum = 1, maximum = 10, example = 3)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_attempts: Option<u32>,
    /// The exit codes after which the job is retried, from 1 to 255, at most 50. If absent, those of the job, or else all. An attempt
    /// that ended without an exit code of the job, for example because AWS lost the host, is retried in any case.
    #[schema(schema_with = exit_codes)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_exit_codes: Option<BTreeSet<i32>>,
}

/// CPU and memory of a task. At least one member is required. Fargate must offer the combination; the job's own value completes it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(min_properties = 1)]
pub(crate) struct Resources {
    /// CPU units; 1024 is one vCPU.
    #[schema(minimum = 256, maximum = 16_384, example = 1024)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cpu: Option<u32>,
    /// Memory in MiB.
    #[schema(minimum = 512, maximum = 122_880, example = 2048)]
    #[serde(rename = "memoryMiB", skip_serializing_if = "Option::is_none")]
    pub(crate) memory: Option<u32>,
}

/// Which values with a default a request sets itself. If it leaves one out, a repeat is the same request even if the default has changed.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is about one value")]
pub(crate) struct Said {
    timeout: bool,
    max_attempts: bool,
    on_exit_codes: bool,
    backoff: bool,
}

impl Said {
    /// Every value, as in a rerun, which repeats the whole request.
    pub(crate) const ALL: Self = Self { timeout: true, max_attempts: true, on_exit_codes: true, backoff: true };

    /// The request, with the values that it leaves out taken from `seen`.
    pub(crate) fn or(self, request: &Request, seen: &Request) -> Request {
        let mut request = request.clone();
        if !self.timeout {
            request.timeout = seen.timeout;
        }
        if !self.max_attempts {
            request.max_attempts = seen.max_attempts;
        }
        if !self.on_exit_codes {
            request.retry.on_exit_codes.clone_from(&seen.retry.on_exit_codes);
        }
        if !self.backoff {
            (request.retry.first, request.retry.longest) = (seen.retry.first, seen.retry.longest);
        }
        request
    }
}

impl Described for NewExecution {
    const EXAMPLE: &str = r#"{"input": …}"#;

    fn read(body: &mut Members, errors: &mut Vec<FieldError>) -> Self {
        let mut body = std::mem::take(body);
        let no_object = !errors.is_empty() && body.is_empty();
        let input = body.take("input");
        if let Some(input) = &input {
            object::check_names(input, &body.pointer("input"), errors);
        }
        let upload = body.optional("inputUpload");
        let input_upload =
            upload.and_then(|id| object::read(&id, body.pointer("inputUpload"), "the `uploadId` of an upload", errors));
        let job = body.optional("job");
        let job_given = job.is_some();
        let job: Option<String> = job.and_then(|name| object::read(&name, body.pointer("job"), "a string", errors));
        let seconds = body.optional("timeoutSeconds");
        let timeout_seconds = seconds.and_then(|value| object::whole(&value, body.pointer("timeoutSeconds"), errors));
        let mut time = |name| {
            let value = body.optional(name)?;
            object::time(&value, body.pointer(name), errors)
        };
        let (start_at, start_before) = (time("startAt"), time("startBefore"));
        let delay = body.optional("delaySeconds");
        let delay_seconds = delay.and_then(|value| object::not_negative(&value, body.pointer("delaySeconds"), errors));
        if start_at.is_some() && delay_seconds.is_some() {
            errors.push(object::error(
                body.pointer("delaySeconds"),
                "is given with `startAt`; only one of them is allowed",
            ));
        }
        let retry = body.optional("retry").and_then(|value| Retry::read(&value, &body.pointer("retry"), errors));
        let resources = body.optional("resources");
        let resources = resources.and_then(|value| Resources::read(&value, &body.pointer("resources"), errors));
        let mut texts = |name| {
            let texts = body.optional(name).map(|value| texts(&value, &body.pointer(name), errors));
            texts.unwrap_or_default()
        };
        let (environment, tags) = (texts("environment"), texts("tags"));
        if input.is_none() && !no_object && !body.misspells(&["input"]) {
            errors.push(body.lacks("`input`; it is required, and may be null"));
        }
        let job_unknown = (job_given && job.is_none()) || body.misspells(&["job"]);
        body.finish(errors);
        let input = input.unwrap_or_else(Json::null);
        Self {
            input,
            input_upload,
            job,
            job_unknown,
            timeout_seconds,
            start_at,
            delay_seconds,
            start_before,
            retry,
            resources,
            environment,
            tags,
        }
    }

    fn wrong(self, catalog: &Catalog, errors: &[FieldError]) -> Vec<FieldError> {
        let job_unknown = self.job_unknown;
        let size_unknown = errors.iter().any(|error| error.pointer.starts_with("/resources"));
        let mut found = wrong(&self.into_request(catalog), catalog, clock::now());
        found.retain(|found| match found.rule {
            OVERRIDE_NOT_ALLOWED => !job_unknown,
            TASK_SIZE => !job_unknown && !size_unknown,
            _ => true,
        });
        found
    }
}

impl NewExecution {
    /// The upload that it names.
    pub(crate) fn upload(&self) -> Option<&str> {
        self.input_upload.as_deref()
    }

    /// Which values it sets itself.
    pub(crate) fn said(&self) -> Said {
        let retry = self.retry.as_ref();
        Said {
            timeout: self.timeout_seconds.is_some(),
            max_attempts: retry.is_some_and(|retry| retry.max_attempts.is_some()),
            on_exit_codes: retry.is_some_and(|retry| retry.on_exit_codes.is_some()),
            backoff: false,
        }
    }

    /// The request, with every default filled in. [`wrong`] checks whether it may be started.
    pub(crate) fn into_request(self, catalog: &Catalog) -> Request {
        let mut request = Request { tags: self.tags, ..Request::of(self.input) };
        request.job = self.job.unwrap_or(request.job);
        if let Some(job) = catalog.get(&request.job) {
            request.timeout = job.timeout();
            request.max_attempts = job.max_attempts();
            request.retry = job.retry_rule();
        }
        let Retry { max_attempts, on_exit_codes } = self.retry.unwrap_or_default();
        request.timeout = self.timeout_seconds.map_or(request.timeout, Duration::from_secs);
        request.max_attempts = max_attempts.unwrap_or(request.max_attempts);
        request.retry.on_exit_codes = on_exit_codes.or(request.retry.on_exit_codes);
        let (cpu, memory) = self.resources.map_or((None, None), |given| (given.cpu, given.memory));
        request.overrides = Overrides { cpu, memory, environment: self.environment };
        request.start = self.start_at.map(Start::At).or(self.delay_seconds.map(|seconds| Start::In { seconds }));
        request.start_before = self.start_before;
        request
    }
}

impl Retry {
    fn read(value: &Json, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let mut members = Members::of(value, at, errors)?;
        let (most, codes) = (members.optional("maxAttempts"), members.optional("onExitCodes"));
        if most.is_none() && codes.is_none() && !members.misspells(&["maxAttempts", "onExitCodes"]) {
            errors.push(members.lacks("`maxAttempts` and no `onExitCodes`; one of them is required"));
        }
        let most = most.and_then(|most| small(&most, members.pointer("maxAttempts"), errors));
        let codes = codes.and_then(|codes| read_exit_codes(&codes, &members.pointer("onExitCodes"), errors));
        members.finish(errors);
        Some(Self { max_attempts: most, on_exit_codes: codes })
    }
}

impl Resources {
    fn read(value: &Json, at: &str, errors: &mut Vec<FieldError>) -> Option<Self> {
        let mut members = Members::of(value, at, errors)?;
        let (cpu, memory) = (members.optional("cpu"), members.optional("memoryMiB"));
        if cpu.is_none() && memory.is_none() && !members.misspells(&["cpu", "memoryMiB"]) {
            errors.push(members.lacks("`cpu` and no `memoryMiB`; one of them is required"));
        }
        let cpu = cpu.and_then(|units| small(&units, members.pointer("cpu"), errors));
        let memory = memory.and_then(|mebibytes| small(&mebibytes, members.pointer("memoryMiB"), errors));
        members.finish(errors);
        Some(Self { cpu, memory })
    }
}

fn read_exit_codes(value: &Json, at: &str, errors: &mut Vec<FieldError>) -> Option<BTreeSet<i32>> {
    let codes: Vec<Json> = object::read(value, at.to_owned(), "a list of whole numbers, for example [75]", errors)?;
    let code = |(place, code): (usize, &Json)| {
        let code = small(code, format!("{at}/{place}"), errors)?;
        Some(i32::try_from(code).unwrap_or(i32::MAX))
    };
    codes.iter().enumerate().map(code).collect()
}

/// A whole number. One that is too large becomes the largest, which the limits refuse.
fn small(value: &Json, at: String, errors: &mut Vec<FieldError>) -> Option<u32> {
    object::whole(value, at, errors).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

pub(crate) fn texts(value: &Json, at: &str, errors: &mut Vec<FieldError>) -> BTreeMap<String, String> {
    let Some(members) = Members::of(value, at, errors) else { return BTreeMap::new() };
    let text = |(key, value): (String, Json)| {
        let at = format!("{at}{}", domain::pointer_to(&key));
        Some((key, object::read(&value, at, "a string", errors)?))
    };
    members.rest().into_iter().filter_map(text).collect()
}

/// Everything that is wrong with a request that would be accepted at `now`, except for violations of the schema of its job's input.
pub(crate) fn wrong(request: &Request, catalog: &Catalog, now: Timestamp) -> Vec<FieldError> {
    let mut violations = request.violations();
    violations.extend(request.violations_at(now));
    let known = offered(catalog);
    let job = catalog.get(&request.job).filter(|job| !job.disabled);
    if let Some(job) = job {
        violations.extend(request.overrides.violations_of(&job.allowed(), &request.job));
    }
    let mut errors: Vec<_> = violations.into_iter().map(FieldError::from).collect();
    if job.is_none() {
        let meant = hint::suggestion(&request.job, &known)
            .map_or_else(String::new, |meant| format!(" (did you mean {meant}?)"));
        let detail = format!("is not one of: {}{meant}", known.join(", "));
        errors.push(FieldError { pointer: "/job".into(), detail, rule: "unknown-job" });
    }
    errors
}
