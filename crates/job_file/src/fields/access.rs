//! `permissions` and `taskRole`: what a job may do in AWS.
//!
//! **Invariant**: a permission names its actions and its resources. An action is a whole name or begins with the beginning of one
//! (`s3:Get*`, not `s3:*`), and the resource is `*` only if IAM knows no resource for the action. Whoever needs more names a role of
//! their own as `taskRole`, which is then not hidden in this file.

mod without_resources;

use without_resources::has_no_resources;

use crate::{
    checker::{Checker, Table},
    job::Permission,
};

const FORM: &str = "\"ACTION[,ACTION…] ARN [ARN…]\", for example \"s3:GetObject,s3:PutObject arn:aws:s3:::orders/*\"";

/// The permissions, and the role instead of them.
pub(super) fn access<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> (Vec<Permission>, Option<String>) {
    let role = task_role(table, checker);
    let Some(value) = table.take("permissions") else { return (Vec::new(), role) };
    if role.is_some() {
        checker.mistake(
            &value.span(),
            "permissions are for a role that Longhaul creates; with `taskRole`, grant them to that role instead",
        );
        return (Vec::new(), role);
    }
    let mut all = Vec::new();
    for given in checker.texts(value, "permissions").unwrap_or_default() {
        match permission(given.get_ref()) {
            Ok(permission) => all.push(permission),
            Err(why) => checker.mistake(&given.span(), why),
        }
    }
    (all, role)
}

fn task_role<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<String> {
    let given = checker.text(table.take("taskRole")?, "taskRole")?;
    if !is_role(given.get_ref()) {
        let text = given.get_ref();
        let what = format!(
            "taskRole is \"{text}\"; it must be the ARN of a role, for example \"arn:aws:iam::123456789012:role/job\""
        );
        checker.mistake(&given.span(), what);
    }
    Some(given.into_inner())
}

fn is_role(text: &str) -> bool {
    let Some(Arn { service: "iam", account, resource }) = arn(text) else { return false };
    let digits = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    digits && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty() && !name.contains(['*', '?']))
}

fn permission(text: &str) -> Result<Permission, String> {
    let mut words = text.split_whitespace();
    let actions: Vec<_> = words.next().unwrap_or_default().split(',').map(str::to_owned).collect();
    let resources: Vec<_> = words.map(str::to_owned).collect();
    for action in &actions {
        wrong_action(action).map_or(Ok(()), Err)?;
    }
    if resources.is_empty() {
        return Err(format!("the permission names no resource; write {FORM}"));
    }
    for resource in &resources {
        match resource.as_str() {
            "*" if resources.len() == 1 => {
                if let Some(action) = actions.iter().find(|action| !has_no_resources(action)) {
                    return Err(format!(
                        "`{action}` is granted for all resources; name them by their ARNs. `*` alone is only for actions for which IAM \
                         has no resources, such as cloudwatch:PutMetricData; for others, use a role of your own as `taskRole`"
                    ));
                }
            }
            resource if arn(resource).is_none() => {
                return Err(format!(
                    "`{resource}` is not an ARN: arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE, for example arn:aws:s3:::orders/*; \
                     a permission is {FORM}"
                ));
            }
            _ => {}
        }
    }
    Ok(Permission { actions, resources })
}

fn wrong_action(action: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let (service, name) = action.split_once(':').unwrap_or_default();
    let beginning = name.strip_suffix('*').unwrap_or(name);
    if !service.is_empty() && service.chars().all(plain) && name == "*" || action == "*" {
        return Some(format!(
            "`{action}` grants every action; name those that the job needs, or their beginning, as in s3:Get*"
        ));
    }
    let right = !service.is_empty() && service.chars().all(plain) && is_action_name(beginning);
    (!right).then(|| format!("`{action}` is not an action of the form service:Action; write {FORM}"))
}

fn is_action_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

struct Arn<'a> {
    service: &'a str,
    account: &'a str,
    resource: &'a str,
}

/// The parts of an ARN (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
fn arn(text: &str) -> Option<Arn<'_>> {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next();
    let (Some("arn"), Some(partition), Some(service)) = (next(), next(), next()) else { return None };
    let (_region, account, resource) = (next()?, next()?, next()?);
    let plain =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    (plain(partition) && plain(service) && !resource.is_empty()).then_some(Arn { service, account, resource })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_names_actions_and_resources() {
        let read = permission("s3:GetObject,s3:Put*  arn:aws:s3:::orders/* arn:aws-cn:s3:::b").unwrap();
        assert_eq!(read.actions, ["s3:GetObject", "s3:Put*"]);
        assert_eq!(read.resources, ["arn:aws:s3:::orders/*", "arn:aws-cn:s3:::b"]);
        assert!(permission("cloudwatch:PutMetricData,ec2:DescribeInstances *").is_ok());
        assert!(permission("execute-api:Invoke arn:aws:execute-api:eu-west-1:123456789012:abc/*/GET/x").is_ok());
    }

    #[test]
    fn a_permission_that_grants_more_than_it_says_is_refused() {
        for (text, why) in [
            ("", "not an action"),
            ("s3:GetObject", "names no resource"),
            ("GetObject arn:aws:s3:::x", "`GetObject` is not an action"),
            ("S3:GetObject arn:aws:s3:::x", "not an action"),
            ("s3:Get*t arn:aws:s3:::x", "not an action"),
            ("s3:GetObject, s3:PutObject arn:aws:s3:::x", "`` is not an action"),
            ("* arn:aws:s3:::x", "grants every action"),
            ("s3:* arn:aws:s3:::x", "grants every action"),
            ("s3:GetObject *", "for all resources"),
            ("cloudwatch:PutMetricData,s3:GetObject *", "`s3:GetObject` is granted for all resources"),
            ("ec2:Describe* *", "for all resources"),
            ("s3:GetObject * arn:aws:s3:::x", "`*` is not an ARN"),
            ("s3:GetObject s3:PutObject arn:aws:s3:::x", "`s3:PutObject` is not an ARN"),
            ("s3:GetObject arn:aws:s3:::", "is not an ARN"),
            ("s3:GetObject orders/*", "is not an ARN"),
            ("s3:GetObject arn:*:*:*:*:*", "is not an ARN"),
        ] {
            let message = permission(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }

    #[test]
    fn a_role_is_named_by_its_arn() {
        assert!(is_role("arn:aws:iam::123456789012:role/job") && is_role("arn:aws-cn:iam::123456789012:role/path/job"));
        for wrong in
            ["job", "arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x", "arn:aws:iam::123456789012:role/", ""]
        {
            assert!(!is_role(wrong), "{wrong}");
        }
    }
}
