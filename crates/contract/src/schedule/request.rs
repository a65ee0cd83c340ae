//! The request that a schedule starts.
//!
//! The API checked it when the schedule was defined, and stores it as it was written. So a default of its job is the job's when the request
//! is started, as for any other start.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use domain::{DEFAULT_JOB, Json, Overrides, Request, Violation};
use serde::Deserialize;

use crate::catalog::{Catalog, offered};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start {
    input: Json,
    job: Option<String>,
    timeout_seconds: Option<Whole>,
    retry: Option<Retry>,
    resources: Option<Resources>,
    environment: Option<BTreeMap<String, String>>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retry {
    max_attempts: Option<Whole>,
    on_exit_codes: Option<BTreeSet<Whole>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resources {
    cpu: Option<Whole>,
    #[serde(rename = "memoryMiB")]
    memory: Option<Whole>,
}

/// A whole number, which may be written as `3.0`. The API has checked that it is whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "serde_json::Number")]
struct Whole(u64);

impl From<serde_json::Number> for Whole {
    fn from(number: serde_json::Number) -> Self {
        let fraction = || format!("{:.0}", number.as_f64().unwrap_or_default()).parse().unwrap_or_default();
        Self(number.as_u64().unwrap_or_else(fraction))
    }
}

impl Whole {
    fn small(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

/// The name of the job that a schedule's request names.
#[must_use]
pub fn job_of(start: &Json) -> String {
    #[derive(Deserialize)]
    struct Named {
        job: Option<String>,
    }
    let named: Option<Named> = serde_json::from_str(start.text()).ok();
    named.and_then(|named| named.job).unwrap_or_else(|| DEFAULT_JOB.to_owned())
}

/// A schedule's request, with every default of its job filled in.
///
/// # Errors
///
/// Everything that is wrong with it now, and did not have to be when it was defined.
pub fn request(start: &Json, catalog: &Catalog) -> Result<Request, Vec<Violation>> {
    let wrong = |pointer: &str, detail: String, rule| Violation { pointer: pointer.to_owned(), detail, rule };
    let Start { input, job, timeout_seconds, retry, resources, environment, tags } =
        serde_json::from_str(start.text()).map_err(|why| vec![wrong("", why.to_string(), "invalid-value")])?;
    let mut request = Request { tags: tags.unwrap_or_default(), ..Request::of(input) };
    request.job = job.unwrap_or(request.job);
    let job = catalog.get(&request.job).filter(|job| !job.disabled);
    let Some(job) = job else {
        let detail = format!("is not one of: {}", offered(catalog).join(", "));
        return Err(vec![wrong("/job", detail, "unknown-job")]);
    };
    let Retry { max_attempts, on_exit_codes } = retry.unwrap_or_default();
    let codes =
        |codes: BTreeSet<Whole>| codes.into_iter().map(|code| i32::try_from(code.0).unwrap_or(i32::MAX)).collect();
    request.timeout = timeout_seconds.map_or(job.timeout(), |seconds| Duration::from_secs(seconds.0));
    request.max_attempts = max_attempts.map_or(job.max_attempts(), Whole::small);
    request.retry = job.retry_rule();
    request.retry.on_exit_codes = on_exit_codes.map(codes).or(request.retry.on_exit_codes);
    let Resources { cpu, memory } = resources.unwrap_or_default();
    let environment = environment.unwrap_or_default();
    request.overrides = Overrides { cpu: cpu.map(Whole::small), memory: memory.map(Whole::small), environment };
    let mut violations = request.violations();
    violations.extend(request.overrides.violations_of(&job.allowed(), &request.job));
    if violations.is_empty() { Ok(request) } else { Err(violations) }
}
