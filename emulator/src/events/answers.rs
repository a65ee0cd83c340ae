//! Responses of the API, named and formed as in its model
//! (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Types.html>).

use serde::Serialize;
use uuid::Uuid;

use super::{
    BUS,
    rules::{self, RuleState, Target},
};
use crate::identity::ACCOUNT;

/// `PutRule`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRuleResponse {
    pub(super) rule_arn: String,
}

/// A rule, without its targets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Rule {
    name: String,
    arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_pattern: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_expression: Option<String>,
    state: RuleState,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    managed_by: Option<String>,
    event_bus_name: &'static str,
}

impl From<&rules::Rule> for Rule {
    fn from(rule: &rules::Rule) -> Self {
        let arn = rule.arn();
        let rules::Rule {
            name,
            event_pattern,
            schedule_expression,
            state,
            description,
            role_arn,
            managed_by,
            targets: _,
        } = rule.clone();
        Self {
            name,
            arn,
            event_pattern,
            schedule_expression,
            state,
            description,
            role_arn,
            managed_by,
            event_bus_name: BUS,
        }
    }
}

/// `DescribeRule`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeRuleResponse {
    #[serde(flatten)]
    rule: Rule,
    created_by: &'static str,
}

impl From<&rules::Rule> for DescribeRuleResponse {
    fn from(rule: &rules::Rule) -> Self {
        Self { rule: rule.into(), created_by: ACCOUNT }
    }
}

/// `ListRules`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListRulesResponse {
    pub(super) rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// `ListTargetsByRule`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTargetsByRuleResponse {
    pub(super) targets: Vec<Target>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_token: Option<String>,
}

/// `PutTargets` and `RemoveTargets`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TargetsResponse {
    failed_entry_count: usize,
    failed_entries: Vec<FailedTarget>,
}

impl From<Vec<FailedTarget>> for TargetsResponse {
    fn from(failed: Vec<FailedTarget>) -> Self {
        Self { failed_entry_count: failed.len(), failed_entries: failed }
    }
}

/// A target that was not changed: `PutTargetsResultEntry` and `RemoveTargetsResultEntry`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct FailedTarget {
    pub(super) target_id: String,
    pub(super) error_code: &'static str,
    pub(super) error_message: String,
}

/// `PutEvents`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutEventsResponse {
    failed_entry_count: usize,
    entries: Vec<PutEventsResultEntry>,
}

impl From<Vec<PutEventsResultEntry>> for PutEventsResponse {
    fn from(entries: Vec<PutEventsResultEntry>) -> Self {
        let failed = entries.iter().filter(|entry| entry.error_code.is_some());
        Self { failed_entry_count: failed.count(), entries }
    }
}

/// What happened to one event of `PutEvents`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutEventsResultEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

impl PutEventsResultEntry {
    /// It was sent.
    pub(super) fn sent(event_id: Uuid) -> Self {
        Self { event_id: Some(event_id), error_code: None, error_message: None }
    }

    /// It was refused.
    pub(super) fn refused(code: &'static str, why: String) -> Self {
        Self { event_id: None, error_code: Some(code), error_message: Some(why) }
    }
}

/// `TestEventPattern`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TestEventPatternResponse {
    pub(super) result: bool,
}
