//! Rules and their targets: the emulator's own, and those that the API created, which are kept on disk.

use std::{collections::BTreeMap, time::Duration};

use rusqlite::{Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::pattern::Matcher;
use crate::{
    identity::{ACCOUNT, REGION},
    wire::AwsError,
};

/// Whether a rule is active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RuleState {
    /// It is active.
    #[default]
    Enabled,
    /// It is not active.
    Disabled,
}

/// A rule, as the API shows it and as it is stored. The first members are those of `PutRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Which events it matches, if it matches events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_pattern: Option<String>,
    /// When it sends an event of its own, if it is a schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_expression: Option<String>,
    /// Whether it is active.
    pub state: RuleState,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Kept and shown, without effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// What created it, if not the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// Where its events go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<Target>,
}

/// A target of a rule's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Target {
    /// Its name within the rule.
    pub id: String,
    /// The ARN of a function or of a queue.
    pub arn: String,
    /// What is sent instead of the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Which part of the event is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_path: Option<String>,
    /// Members that are kept and shown, but have no effect.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Rule {
    pub(crate) fn arn(&self) -> String {
        format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{}", self.name)
    }

    /// How often it sends its event, if it is a schedule: `rate(5 minutes)`
    /// (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html>).
    pub(crate) fn every(&self) -> Option<Duration> {
        let rate = self.schedule_expression.as_deref()?.strip_prefix("rate(")?.strip_suffix(')')?;
        let (number, unit) = rate.split_once(' ')?;
        let number: u64 = number.parse().ok().filter(|number| *number > 0)?;
        let minutes = match unit.strip_suffix('s').unwrap_or(unit) {
            "minute" => 1,
            "hour" => 60,
            "day" => 24 * 60,
            _ => return None,
        };
        let fits = (number == 1) != unit.ends_with('s');
        fits.then_some(Duration::from_secs(number.checked_mul(minutes * 60)?))
    }
}

impl Target {
    /// What the target receives for an event.
    pub(crate) fn input(&self, event: &Value) -> String {
        if let Some(input) = &self.input {
            return input.clone();
        }
        // `$.detail.status` is the JSON Pointer `/detail/status`.
        let path = self.input_path.as_deref().map(|path| path.trim_start_matches('$').replace('.', "/"));
        path.map_or(Some(event), |path| event.pointer(&path)).unwrap_or(&Value::Null).to_string()
    }
}

/// All rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    all: BTreeMap<String, Rule>,
    matcher: Matcher,
}

impl Rules {
    /// Loads the rules on disk, and the emulator's own. The emulator's own rules are always as declared, except that a rule that was
    /// disabled stays disabled.
    pub(crate) fn load(tx: &Transaction<'_>, declared: Vec<Rule>) -> Result<Self, AwsError> {
        let mut read = tx.prepare_cached("SELECT body FROM event_rules")?;
        let kept = read.query_map([], |row| row.get::<_, String>(0))?;
        let mut rules = Self::default();
        for body in kept {
            let rule: Rule = serde_json::from_str(&body?).map_err(|why| AwsError::internal(why.to_string()))?;
            rules.insert(rule)?;
        }
        let state = |name: &str, rules: &Self| rules.get(name).map(|earlier| earlier.state).unwrap_or_default();
        for rule in declared {
            rules.insert(Rule { state: state(&rule.name, &rules), ..rule })?;
        }
        Ok(rules)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Rule> {
        self.all.get(name)
    }

    /// Sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.all.values()
    }

    /// The rules that are schedules, and how often they send their events.
    pub(crate) fn scheduled(&self) -> Vec<(String, Duration)> {
        let enabled = self.all.values().filter(|rule| rule.state == RuleState::Enabled);
        enabled.filter_map(|rule| Some((rule.name.clone(), rule.every()?))).collect()
    }

    /// Adds a rule, or replaces the one with its name.
    pub(crate) fn insert(&mut self, rule: Rule) -> Result<(), AwsError> {
        // Checked even if it is disabled, because it may be enabled later.
        if let Some(pattern) = &rule.event_pattern {
            Matcher::default().add(&rule.name, pattern)?;
        }
        self.all.insert(rule.name.clone(), rule);
        self.rebuild()
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), AwsError> {
        self.all.remove(name);
        self.rebuild()
    }

    fn rebuild(&mut self) -> Result<(), AwsError> {
        self.matcher = Matcher::default();
        for rule in self.all.values().filter(|rule| rule.state == RuleState::Enabled) {
            if let Some(pattern) = &rule.event_pattern {
                self.matcher.add(&rule.name, pattern)?;
            }
        }
        Ok(())
    }

    /// The targets of an event, and what each of them receives.
    pub(crate) fn deliveries(&self, event: &Value) -> Vec<(String, String)> {
        let rules = self.matcher.rules_for(&event.to_string());
        let targets = rules.iter().filter_map(|name| self.all.get(name)).flat_map(|rule| &rule.targets);
        targets.map(|target| (target.arn.clone(), target.input(event))).collect()
    }
}

/// Writes a rule.
pub(crate) fn save(tx: &Transaction<'_>, rule: &Rule) -> Result<(), AwsError> {
    let body = serde_json::to_string(rule).map_err(|why| AwsError::internal(why.to_string()))?;
    tx.prepare_cached("INSERT OR REPLACE INTO event_rules (name, body) VALUES (?1, ?2)")?
        .execute(params![rule.name, body])?;
    Ok(())
}

/// Deletes a rule.
pub(crate) fn delete(tx: &Transaction<'_>, name: &str) -> Result<(), AwsError> {
    tx.prepare_cached("DELETE FROM event_rules WHERE name = ?1")?.execute([name])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rate_must_have_the_format_of_eventbridge() {
        for (expression, minutes) in [
            ("rate(1 minute)", Some(1)),
            ("rate(5 minutes)", Some(5)),
            ("rate(2 hours)", Some(120)),
            ("rate(1 day)", Some(1_440)),
            ("rate(1 minutes)", None),
            ("rate(5 minute)", None),
            ("rate(0 minutes)", None),
            ("rate(1 second)", None),
            ("cron(0 12 * * ? *)", None),
        ] {
            let rule = Rule { schedule_expression: Some(expression.into()), ..Rule::default() };
            assert_eq!(rule.every(), minutes.map(Duration::from_mins), "{expression}");
        }
    }

    #[test]
    fn a_target_gets_the_event_a_part_of_it_or_a_constant() {
        let event = json!({ "detail": { "status": "FAILED" } });
        let target = |more: Value| {
            let mut target = json!({ "Id": "1", "Arn": "arn" });
            target.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<Target>(target).unwrap().input(&event)
        };
        assert_eq!(target(json!({})), event.to_string());
        assert_eq!(target(json!({ "InputPath": "$" })), event.to_string());
        assert_eq!(target(json!({ "InputPath": "$.detail.status" })), "\"FAILED\"");
        assert_eq!(target(json!({ "Input": "{\"a\":1}" })), "{\"a\":1}");
    }
}
