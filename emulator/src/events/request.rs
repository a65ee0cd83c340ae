//! Requests to the API: their members, and the checks that need no state.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    BUS,
    event::Event,
    rules::{Rule, Target},
};
use crate::{
    identity::{ACCOUNT, REGION},
    wire::AwsError,
};

/// The maximum number of rules or targets in one page.
const PAGE: usize = 100;

/// A rule by its name, and the other members of the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Named {
    #[serde(alias = "Rule")]
    pub(super) name: String,
    pub(super) event_bus_name: Option<String>,
    #[serde(default)]
    pub(super) targets: Vec<Target>,
    #[serde(default)]
    pub(super) ids: Vec<String>,
}

/// `PutRule`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRule {
    pub(super) event_bus_name: Option<String>,
    #[serde(flatten)]
    pub(super) rule: Rule,
}

/// `ListRules` and `ListTargetsByRule`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    pub(super) event_bus_name: Option<String>,
    #[serde(default)]
    pub(super) name_prefix: String,
    #[serde(default)]
    pub(super) rule: String,
    limit: Option<usize>,
    next_token: Option<String>,
}

impl List {
    /// One page of a list, and the token of the next page, which is the number of items before it.
    pub(super) fn page<T>(&self, all: Vec<T>) -> Result<(Vec<T>, Option<String>), AwsError> {
        let from = self.next_token.as_deref().map_or(Ok(0), str::parse::<usize>);
        let from = from.map_err(|_| validation("Parameter NextToken is not valid."))?;
        let most = self.limit.unwrap_or(PAGE).clamp(1, PAGE);
        let more = all.len().saturating_sub(from) > most;
        let page = all.into_iter().skip(from).take(most).collect();
        Ok((page, more.then(|| (from + most).to_string())))
    }
}

/// `PutEvents`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutEvents {
    pub(super) entries: Vec<Entry>,
}

/// `PutEventsRequestEntry`: an event to send.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    time: Option<f64>,
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    event_bus_name: Option<String>,
}

impl Entry {
    /// Its size, as it counts for the limit of a request.
    pub(super) fn bytes(&self) -> usize {
        [&self.source, &self.detail_type, &self.detail].into_iter().flatten().map(String::len).sum()
    }

    /// The event, or what is wrong with it.
    pub(super) fn event(&self, now: Timestamp) -> Result<Event<'_, Map<String, Value>>, (&'static str, String)> {
        let missing = |what: &str| {
            ("InvalidArgument", format!("Parameter {what} is not valid. Reason: {what} is a required argument."))
        };
        let source = given(self.source.as_ref()).ok_or_else(|| missing("Source"))?;
        let detail_type = given(self.detail_type.as_ref()).ok_or_else(|| missing("DetailType"))?;
        let detail = given(self.detail.as_ref()).ok_or_else(|| missing("Detail"))?;
        if source.starts_with("aws.") {
            return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()));
        }
        check_bus(self.event_bus_name.as_deref()).map_err(|why| (why.code, why.message))?;
        let detail =
            serde_json::from_str(detail).map_err(|_| ("MalformedDetail", "Detail is malformed.".to_owned()))?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float that is too large saturates, and is not a valid time"
        )]
        let at = self.time.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
        let resources = self.resources.iter().map(String::as_str).collect();
        Ok(Event::new(at.unwrap_or(now), source, detail_type, resources, detail))
    }
}

fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|text| !text.is_empty())
}

/// `TestEventPattern`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TestEventPattern {
    pub(super) event_pattern: String,
    pub(super) event: String,
}

/// Refuses any bus other than the only one.
pub(super) fn check_bus(named: Option<&str>) -> Result<(), AwsError> {
    let arn = format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{BUS}");
    match named {
        Some(other) if other != BUS && other != arn => Err(not_found(format!("Event bus {other} does not exist."))),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a target that is not supported.
pub(super) fn check_target(target: &Target) -> Result<(), AwsError> {
    let function = target.arn.strip_prefix(&format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:"));
    if function.is_none_or(str::is_empty) {
        let arn = &target.arn;
        return Err(validation(format!(
            "Parameter {arn} is not valid. Reason: only Lambda functions can be targets here."
        )));
    }
    if target.more.contains_key("InputTransformer") {
        return Err(validation("InputTransformer is not supported by the emulator: use Input or InputPath."));
    }
    if target.input.is_some() && target.input_path.is_some() {
        return Err(validation("Only one of Input, InputPath, or InputTransformer must be provided."));
    }
    match &target.input {
        Some(input) if serde_json::from_str::<Value>(input).is_err() => {
            Err(validation(format!("JSON syntax error in input for target {}", target.id)))
        }
        Some(_) | None => Ok(()),
    }
}

/// A mistake in a parameter.
pub(super) fn validation(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("ValidationException", message)
}

/// Something that does not exist.
pub(super) fn not_found(message: String) -> AwsError {
    AwsError::bad_request("ResourceNotFoundException", message)
}
