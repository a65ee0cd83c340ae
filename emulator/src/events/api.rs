//! The API of EventBridge, as far as it is needed to subscribe a function: rules, their targets, and custom events
//! (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html>).

use std::sync::RwLockReadGuard;

use axum::extract::Request;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Events, FACTS, envelope,
    pattern::Matcher,
    rules::{self, Rule, RuleState, Rules, Target},
};
use crate::{
    identity::{ACCOUNT, REGION},
    lambda::Lambda,
    service::{self, Answer, Facts, Service},
    wire::{self, AwsError},
};

/// The only bus.
const BUS: &str = "default";

/// The maximum number of rules of a bus, of targets of a rule and of events in one `PutEvents`, and the maximum total size of
/// those events (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>).
const RULES: usize = 300;
const TARGETS: usize = 5;
const ENTRIES: usize = 10;
const ENTRIES_BYTES: usize = 1024 * 1024;

/// The maximum number of rules or targets in one page.
const PAGE: usize = 100;

/// A rule by its name, and the other members of the request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    #[serde(alias = "Rule")]
    name: String,
    event_bus_name: Option<String>,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutRule {
    event_bus_name: Option<String>,
    #[serde(flatten)]
    rule: Rule,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    event_bus_name: Option<String>,
    #[serde(default)]
    name_prefix: String,
    #[serde(default)]
    rule: String,
    limit: Option<usize>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    time: Option<f64>,
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    event_bus_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TestEventPattern {
    event_pattern: String,
    event: String,
}

/// The API of the bus.
#[derive(Debug)]
pub(crate) struct Api {
    events: Events,
    lambda: Lambda,
}

impl Api {
    /// The API for a bus and the functions that may be its targets.
    pub(crate) fn new(events: Events, lambda: Lambda) -> Self {
        Self { events, lambda }
    }
}

impl Service for Api {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn answer<'a>(&'a self, operation: &'a str, request: Request) -> Answer<'a> {
        Box::pin(async move {
            match service::body(request).await {
                Ok(body) => service::json(&FACTS, self.dispatch(operation, &body)),
                Err(refused) => refused,
            }
        })
    }
}

wire::operations! {
    Api as "EventBridge", AwsError:
    "DeleteRule" => delete_rule,
    "DescribeRule" => describe_rule,
    "DisableRule" => disable_rule,
    "EnableRule" => enable_rule,
    "ListRules" => list_rules,
    "ListTargetsByRule" => list_targets,
    "PutEvents" => put_events,
    "PutRule" => put_rule,
    "PutTargets" => put_targets,
    "RemoveTargets" => remove_targets,
    "TestEventPattern" => test_event_pattern,
}

impl Api {
    fn put_rule(&self, request: &PutRule) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let rule = Rule { managed_by: None, targets: Vec::new(), ..request.rule.clone() };
        let plain = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
        if !(1..=64).contains(&rule.name.len()) || !rule.name.bytes().all(plain) {
            return Err(validation(format!(
                "Value '{}' at 'name' is not a valid rule name: 1 to 64 of [.-_A-Za-z0-9]",
                rule.name
            )));
        }
        if rule.event_pattern.is_none() && rule.schedule_expression.is_none() {
            return Err(validation("Parameter(s) EventPattern or ScheduleExpression must be specified."));
        }
        if rule.schedule_expression.is_some() && rule.every().is_none() {
            return Err(validation("Parameter ScheduleExpression is not valid."));
        }
        let arn = rule.arn();
        self.change(&rule.name.clone(), |rules| {
            let before = changeable(rules, &rule.name)?;
            if before.is_none() && rules.iter().count() >= RULES {
                return Err(too_many("rules"));
            }
            let targets = before.map(|before| before.targets.clone()).unwrap_or_default();
            Ok(Some(Rule { targets, ..rule }))
        })?;
        Ok(json!({ "RuleArn": arn }))
    }

    fn describe_rule(&self, request: &Named) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let rules = self.rules();
        let mut shown = shown(found(&rules, &request.name)?);
        shown.insert("CreatedBy".into(), json!(ACCOUNT));
        Ok(Value::Object(shown))
    }

    fn delete_rule(&self, request: &Named) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        self.change(&request.name, |rules| match changeable(rules, &request.name)? {
            Some(rule) if !rule.targets.is_empty() => Err(validation("Rule can't be deleted since it has targets.")),
            // Deleting a rule that does not exist is not an error.
            Some(_) | None => Ok(None),
        })?;
        Ok(json!({}))
    }

    fn enable_rule(&self, request: &Named) -> Result<Value, AwsError> {
        self.switch_rule(request, RuleState::Enabled)
    }

    fn disable_rule(&self, request: &Named) -> Result<Value, AwsError> {
        self.switch_rule(request, RuleState::Disabled)
    }

    fn switch_rule(&self, request: &Named, state: RuleState) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        self.change(&request.name, |rules| Ok(Some(Rule { state, ..found(rules, &request.name)?.clone() })))?;
        Ok(json!({}))
    }

    fn list_rules(&self, request: &List) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let rules = self.rules();
        let all = rules.iter().filter(|rule| rule.name.starts_with(&request.name_prefix));
        page("Rules", all.map(|rule| Value::Object(shown(rule))).collect(), request)
    }

    /// A target that does not exist is refused: its events would be lost without any error.
    fn put_targets(&self, request: &Named) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        request.targets.iter().try_for_each(check_target)?;
        for target in &request.targets {
            self.lambda.require(&target.arn).map_err(|why| not_found(why.message))?;
        }
        self.change(&request.name, |rules| {
            changeable(rules, &request.name)?;
            let mut rule = found(rules, &request.name)?.clone();
            rule.targets.retain(|before| request.targets.iter().all(|target| target.id != before.id));
            rule.targets.extend(request.targets.iter().cloned());
            if rule.targets.len() > TARGETS {
                return Err(too_many("targets"));
            }
            Ok(Some(rule))
        })?;
        Ok(json!({ "FailedEntryCount": 0, "FailedEntries": [] }))
    }

    fn remove_targets(&self, request: &Named) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let mut failed = Vec::new();
        self.change(&request.name, |rules| {
            changeable(rules, &request.name)?;
            let mut rule = found(rules, &request.name)?.clone();
            let unknown = request.ids.iter().filter(|id| rule.targets.iter().all(|target| target.id != **id));
            failed = unknown
                .map(|id| {
                    let why = format!("Rule {} does not have a target with the Id {id}.", request.name);
                    json!({ "TargetId": id, "ErrorCode": "ResourceNotFoundException", "ErrorMessage": why })
                })
                .collect();
            rule.targets.retain(|target| !request.ids.contains(&target.id));
            Ok(Some(rule))
        })?;
        Ok(json!({ "FailedEntryCount": failed.len(), "FailedEntries": failed }))
    }

    fn list_targets(&self, request: &List) -> Result<Value, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let targets = found(&self.rules(), &request.rule)?.targets.clone();
        page("Targets", targets.iter().map(|target| json!(target)).collect(), request)
    }

    fn put_events(&self, request: &PutEvents) -> Result<Value, AwsError> {
        if !(1..=ENTRIES).contains(&request.entries.len()) {
            return Err(validation(format!("Value at 'entries' must have 1 to {ENTRIES} members.")));
        }
        let size = |entry: &Entry| {
            [&entry.source, &entry.detail_type, &entry.detail].into_iter().flatten().map(String::len).sum::<usize>()
        };
        if request.entries.iter().map(size).sum::<usize>() > ENTRIES_BYTES {
            return Err(validation("Total size of the entries in the request is over the limit."));
        }
        let now = self.events.0.clock.now();
        let mut failed = 0;
        let answers = self.events.0.db.transact(|tx| {
            let mut answers = Vec::new();
            for entry in &request.entries {
                answers.push(match entry.event(now) {
                    Ok(event) => {
                        self.events.send(tx, &event, now)?;
                        json!({ "EventId": event.get("id") })
                    }
                    Err((code, why)) => {
                        failed += 1;
                        json!({ "ErrorCode": code, "ErrorMessage": why })
                    }
                });
            }
            Ok::<_, AwsError>(answers)
        })?;
        Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
    }

    #[expect(clippy::unused_self, reason = "an operation like the others")]
    fn test_event_pattern(&self, request: &TestEventPattern) -> Result<Value, AwsError> {
        let mut matcher = Matcher::default();
        matcher.add("rule", &request.event_pattern)?;
        let event: Map<String, Value> =
            serde_json::from_str(&request.event).map_err(|_| validation("Parameter Event is not valid."))?;
        Ok(json!({ "Result": !matcher.rules_for(&Value::Object(event).to_string()).is_empty() }))
    }

    fn change(&self, name: &str, with: impl FnOnce(&Rules) -> Result<Option<Rule>, AwsError>) -> Result<(), AwsError> {
        self.events.change(name, with)
    }

    fn rules(&self) -> RwLockReadGuard<'_, Rules> {
        self.events.rules()
    }
}

impl Events {
    /// Changes a rule, on disk first: `with` returns its next state, or `None` to delete it.
    fn change(&self, name: &str, with: impl FnOnce(&Rules) -> Result<Option<Rule>, AwsError>) -> Result<(), AwsError> {
        self.0.db.transact(|tx| {
            let mut next = self.rules().clone();
            if let Some(rule) = with(&next)? {
                rules::save(tx, &rule)?;
                next.insert(rule)?;
            } else {
                rules::delete(tx, name)?;
                next.remove(name)?;
            }
            self.replace_rules(next);
            Ok(())
        })
    }
}

impl Entry {
    /// The event, or what is wrong with it.
    fn event(&self, now: Timestamp) -> Result<Value, (&'static str, String)> {
        let missing = |what: &str| {
            ("InvalidArgument", format!("Parameter {what} is not valid. Reason: {what} is a required argument."))
        };
        let given = |value: &Option<String>| value.clone().filter(|text| !text.is_empty());
        let source = given(&self.source).ok_or_else(|| missing("Source"))?;
        let detail_type = given(&self.detail_type).ok_or_else(|| missing("DetailType"))?;
        let detail = given(&self.detail).ok_or_else(|| missing("Detail"))?;
        if source.starts_with("aws.") {
            return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()));
        }
        check_bus(self.event_bus_name.as_deref()).map_err(|why| (why.code, why.message))?;
        let detail: Map<String, Value> =
            serde_json::from_str(&detail).map_err(|_| ("MalformedDetail", "Detail is malformed.".to_owned()))?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float that is too large saturates, and is not a valid time"
        )]
        let at = self.time.and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
        let resources: Vec<_> = self.resources.iter().map(String::as_str).collect();
        Ok(envelope(at.unwrap_or(now), &source, &detail_type, &resources, &Value::Object(detail)))
    }
}

/// A rule as the API shows it.
fn shown(rule: &Rule) -> Map<String, Value> {
    let mut shown = match json!(rule) {
        Value::Object(shown) => shown,
        _ => Map::new(),
    };
    shown.remove("Targets");
    shown.insert("Arn".into(), json!(rule.arn()));
    shown.insert("EventBusName".into(), json!(BUS));
    shown
}

/// One page of a list. Its token is the number of items before it.
fn page(name: &str, all: Vec<Value>, request: &List) -> Result<Value, AwsError> {
    let from = request.next_token.as_deref().map_or(Ok(0), str::parse::<usize>);
    let from = from.map_err(|_| validation("Parameter NextToken is not valid."))?;
    let most = request.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let rest = all.len().saturating_sub(from);
    let mut answer = Map::new();
    answer.insert(name.to_owned(), all.into_iter().skip(from).take(most).collect());
    if rest > most {
        answer.insert("NextToken".to_owned(), json!((from + most).to_string()));
    }
    Ok(Value::Object(answer))
}

fn found<'a>(rules: &'a Rules, name: &str) -> Result<&'a Rule, AwsError> {
    rules.get(name).ok_or_else(|| not_found(format!("Rule {name} does not exist on EventBusName {BUS}.")))
}

/// A rule that the API may change, if there is one with this name. The emulator's own rules can only be disabled and enabled.
fn changeable<'a>(rules: &'a Rules, name: &str) -> Result<Option<&'a Rule>, AwsError> {
    let rule = rules.get(name);
    if rule.is_some_and(|rule| rule.managed_by.is_some()) {
        let why = format!("Rule {name} belongs to the emulator itself: it can only be disabled and enabled.");
        return Err(AwsError::bad_request("ManagedRuleException", why));
    }
    Ok(rule)
}

fn check_bus(named: Option<&str>) -> Result<(), AwsError> {
    let arn = format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{BUS}");
    match named {
        Some(other) if other != BUS && other != arn => Err(not_found(format!("Event bus {other} does not exist."))),
        Some(_) | None => Ok(()),
    }
}

fn check_target(target: &Target) -> Result<(), AwsError> {
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

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::bad_request("ValidationException", message)
}

fn not_found(message: String) -> AwsError {
    AwsError::bad_request("ResourceNotFoundException", message)
}

fn too_many(what: &str) -> AwsError {
    AwsError::bad_request(
        "LimitExceededException",
        format!("The requested resource exceeds the maximum number of {what} allowed."),
    )
}
