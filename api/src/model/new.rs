//! A request for a new execution.

use std::{collections::BTreeMap, fmt};

use aws::Catalog;
use domain::{Json, Request, limits};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{Object, ObjectBuilder, Type},
};

use crate::{object::JsonObject, problem::FieldError};

/// A job to be run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"input": {"message": "Hello", "processingTime": 3}}))]
pub(crate) struct NewExecution {
    /// What the job gets to work on: any JSON, at most 180 KB with the tags, nested 64 deep. Up to 4 KB stand in
    /// `EXECUTION_INPUT`; under the worker up to 128 KB do, and all of it is on the job's stdin.
    #[schema(value_type = Value)]
    pub(crate) input: Json,
    /// Name of the job, one of those that this installation knows; the demonstration job if absent.
    #[schema(example = "demo")]
    task: Option<String>,
    /// How long it may take, from now. A year if absent.
    #[serde(default, deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 31_536_000, example = 3600)]
    timeout_seconds: Option<u64>,
    /// How often a job that fails is tried. Once if absent.
    #[schema(value_type = Option<Retry>)]
    retry: Option<JsonObject<Retry>>,
    /// Your own labels, at most 20; the task gets them too.
    #[serde(default, deserialize_with = "each_once")]
    #[schema(schema_with = tags)]
    tags: BTreeMap<String, String>,
}

/// Labels, each of them given once: of two with one key, one would be lost without a word.
fn each_once<'de, D: Deserializer<'de>>(tags: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct EachOnce;
    impl<'de> Visitor<'de> for EachOnce {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut tags = BTreeMap::new();
            while let Some((key, value)) = map.next_entry::<String, String>()? {
                if tags.contains_key(&key) {
                    return Err(A::Error::custom(format!("{key:?} is given more than once")));
                }
                tags.insert(key, value);
            }
            Ok(tags)
        }
    }
    tags.deserialize_map(EachOnce)
}

/// A whole number, also as `3.0`: JSON and its schemas know no difference. One that is negative or too large is the nearest
/// there is: out of range all the same, which is for the limits to say.
fn whole<'de, D: Deserializer<'de>>(number: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(number)? else { return Ok(None) };
    if let Some(number) = number.as_u64() {
        return Ok(Some(number));
    }
    let number = number.as_f64().filter(|number| number.fract() == 0.0);
    let number = number.ok_or_else(|| D::Error::custom("must be a whole number"))?;
    Ok(Some(if number > 0.0 { format!("{number:.0}").parse().unwrap_or(u64::MAX) } else { 0 }))
}

fn some_whole<'de, D: Deserializer<'de>>(number: D) -> Result<u32, D::Error> {
    let number = whole(number)?.ok_or_else(|| D::Error::custom("must be a whole number"))?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

/// Labels, within their limits: what the derived schema cannot say. Which characters they may have is said in words: a
/// pattern of Unicode's categories is another one to a validator that does not know them.
fn tags() -> Object {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let key = text().min_length(Some(1)).max_length(Some(limits::TAG_KEY_CHARS));
    let value = text().max_length(Some(limits::TAG_VALUE_CHARS));
    ObjectBuilder::new()
        .description(Some(
            "Your own labels, at most 20; the task gets them too. Keys and values have letters, numbers, spaces and \
             `_.:/=+-@`, as ECS takes them, and do not begin with `aws:`.",
        ))
        .property_names(Some(key))
        .additional_properties(Some(value))
        .max_properties(Some(limits::TAGS))
        .examples([json!({"team": "blue"})])
        .build()
}

/// How often a job that fails is tried.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Retry {
    /// Tries in all.
    #[serde(deserialize_with = "some_whole")]
    #[schema(minimum = 1, maximum = 10, example = 3)]
    pub(crate) max_attempts: u32,
}

impl NewExecution {
    /// The request that it is, with everything said that it leaves out. Whether it may be started as it is, [`wrong`] tells.
    pub(crate) fn into_request(self) -> Request {
        let unsaid = Request::of(self.input);
        Request {
            task: self.task.unwrap_or(unsaid.task),
            timeout: self.timeout_seconds.map_or(unsaid.timeout, std::time::Duration::from_secs),
            max_attempts: self.retry.map_or(unsaid.max_attempts, |retry| retry.0.max_attempts),
            tags: self.tags,
            input: unsaid.input,
        }
    }
}

/// Everything that is wrong with a request; nothing if it may be started.
pub(crate) fn wrong(request: &Request, catalog: &Catalog) -> Vec<FieldError> {
    let field = |violation: domain::Violation| FieldError {
        pointer: violation.pointer,
        detail: violation.detail,
        rule: violation.rule,
    };
    let mut errors: Vec<_> = request.violations().into_iter().map(field).collect();
    if !catalog.contains_key(&request.task) {
        let known = catalog.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let detail = format!("is not one of: {known}");
        errors.push(FieldError { pointer: "/task".into(), detail, rule: "unknown-task" });
    }
    errors
}
