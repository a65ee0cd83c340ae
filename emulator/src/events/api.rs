//! The API of EventBridge, as far as it is needed to subscribe a function: rules, their targets, and custom events
//! (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html>).

use std::sync::RwLockReadGuard;

use axum::extract::Request;
use serde_json::{Map, Value};

use super::{
    BUS, Events, FACTS,
    answers::{
        DescribeRuleResponse, FailedTarget, ListRulesResponse, ListTargetsByRuleResponse, PutEventsResponse,
        PutEventsResultEntry, PutRuleResponse, TargetsResponse, TestEventPatternResponse,
    },
    pattern::Matcher,
    request::{
        Entry, List, Named, PutEvents, PutRule, TestEventPattern, check_bus, check_target, not_found, validation,
    },
    rules::{self, Rule, RuleState, Rules},
};
use crate::{
    lambda::Lambda,
    service::{self, Answer, Facts, Service},
    wire::{self, AwsError, Empty},
};

/// The maximum number of rules of a bus, of targets of a rule and of events in one `PutEvents`, and the maximum total size of
/// those events (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html>).
const RULES: usize = 300;
const TARGETS: usize = 5;
const ENTRIES: usize = 10;
const ENTRIES_BYTES: usize = 1024 * 1024;

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

    /// Answers a call within this process.
    #[cfg(test)]
    pub(super) fn call(&self, operation: &str, request: &Value) -> Result<Value, AwsError> {
        let response = self.dispatch(operation, request.to_string().as_bytes())?;
        serde_json::from_str(&response).map_err(|why| AwsError::internal(why.to_string()))
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
    fn put_rule(&self, request: &PutRule) -> Result<PutRuleResponse, AwsError> {
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
        Ok(PutRuleResponse { rule_arn: arn })
    }

    fn describe_rule(&self, request: &Named) -> Result<DescribeRuleResponse, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        Ok(found(&self.rules(), &request.name)?.into())
    }

    fn delete_rule(&self, request: &Named) -> Result<Empty, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        self.change(&request.name, |rules| match changeable(rules, &request.name)? {
            Some(rule) if !rule.targets.is_empty() => Err(validation("Rule can't be deleted since it has targets.")),
            // Deleting a rule that does not exist is not an error.
            Some(_) | None => Ok(None),
        })?;
        Ok(Empty {})
    }

    fn enable_rule(&self, request: &Named) -> Result<Empty, AwsError> {
        self.switch_rule(request, RuleState::Enabled)
    }

    fn disable_rule(&self, request: &Named) -> Result<Empty, AwsError> {
        self.switch_rule(request, RuleState::Disabled)
    }

    fn switch_rule(&self, request: &Named, state: RuleState) -> Result<Empty, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        self.change(&request.name, |rules| Ok(Some(Rule { state, ..found(rules, &request.name)?.clone() })))?;
        Ok(Empty {})
    }

    fn list_rules(&self, request: &List) -> Result<ListRulesResponse, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let rules = self.rules();
        let all = rules.iter().filter(|rule| rule.name.starts_with(&request.name_prefix));
        let (rules, next_token) = request.page(all.map(Into::into).collect())?;
        Ok(ListRulesResponse { rules, next_token })
    }

    /// A target that does not exist is refused: its events would be lost without any error.
    fn put_targets(&self, request: &Named) -> Result<TargetsResponse, AwsError> {
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
        Ok(Vec::new().into())
    }

    fn remove_targets(&self, request: &Named) -> Result<TargetsResponse, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let mut failed = Vec::new();
        self.change(&request.name, |rules| {
            changeable(rules, &request.name)?;
            let mut rule = found(rules, &request.name)?.clone();
            let unknown = request.ids.iter().filter(|id| rule.targets.iter().all(|target| target.id != **id));
            failed = unknown
                .map(|id| FailedTarget {
                    target_id: id.clone(),
                    error_code: "ResourceNotFoundException",
                    error_message: format!("Rule {} does not have a target with the Id {id}.", request.name),
                })
                .collect();
            rule.targets.retain(|target| !request.ids.contains(&target.id));
            Ok(Some(rule))
        })?;
        Ok(failed.into())
    }

    fn list_targets(&self, request: &List) -> Result<ListTargetsByRuleResponse, AwsError> {
        check_bus(request.event_bus_name.as_deref())?;
        let targets = found(&self.rules(), &request.rule)?.targets.clone();
        let (targets, next_token) = request.page(targets)?;
        Ok(ListTargetsByRuleResponse { targets, next_token })
    }

    fn put_events(&self, request: &PutEvents) -> Result<PutEventsResponse, AwsError> {
        if !(1..=ENTRIES).contains(&request.entries.len()) {
            return Err(validation(format!("Value at 'entries' must have 1 to {ENTRIES} members.")));
        }
        if request.entries.iter().map(Entry::bytes).sum::<usize>() > ENTRIES_BYTES {
            return Err(validation("Total size of the entries in the request is over the limit."));
        }
        let now = self.events.0.clock.now();
        self.events.0.db.transact(|tx| {
            let send = |entry: &Entry| match entry.event(now) {
                Ok(event) => {
                    self.events.send(tx, &event, now)?;
                    Ok(PutEventsResultEntry::sent(event.id))
                }
                Err((code, why)) => Ok(PutEventsResultEntry::refused(code, why)),
            };
            let entries: Vec<_> = request.entries.iter().map(send).collect::<Result<_, AwsError>>()?;
            Ok(entries.into())
        })
    }

    #[expect(clippy::unused_self, reason = "an operation like the others")]
    fn test_event_pattern(&self, request: &TestEventPattern) -> Result<TestEventPatternResponse, AwsError> {
        let mut matcher = Matcher::default();
        matcher.add("rule", &request.event_pattern)?;
        let event: Map<String, Value> =
            serde_json::from_str(&request.event).map_err(|_| validation("Parameter Event is not valid."))?;
        let matching = matcher.rules_for(&Value::Object(event).to_string());
        Ok(TestEventPatternResponse { result: !matching.is_empty() })
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

fn too_many(what: &str) -> AwsError {
    AwsError::bad_request(
        "LimitExceededException",
        format!("The requested resource exceeds the maximum number of {what} allowed."),
    )
}
