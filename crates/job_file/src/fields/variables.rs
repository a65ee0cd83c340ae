//! `environment` and `secrets`.

use std::collections::BTreeMap;

use domain::variable;
use toml::{Spanned, de::DeValue};

use crate::{
    checker::{Checker, Table, Value},
    job::Secret,
};

/// Variables, by name. No name is both.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, Secret>,
}

impl Variables {
    pub(super) fn read<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Self {
        let environment = environment(table, checker, wrong_variable);
        let mut secrets = BTreeMap::new();
        for (name, value) in entries(table, checker, "secrets") {
            if let Some(why) = wrong_variable(name.get_ref()) {
                checker.mistake(&name.span(), why);
            } else if environment.contains_key(name.get_ref()) {
                let name_text = name.get_ref();
                let why = format!("`{name_text}` is in both `environment` and `secrets`; remove one of them");
                checker.mistake(&name.span(), why);
            }
            let read = match value.get_ref() {
                DeValue::String(text) => secret(text),
                _ => Err(SECRET.to_owned()),
            };
            match read {
                Ok(secret) => {
                    secrets.insert(name.into_inner(), secret);
                }
                Err(why) => checker.mistake(&value.span(), why),
            }
        }
        Self { environment, secrets }
    }

    /// A job's own variable replaces a default with its name, whichever of the two kinds they are.
    pub(super) fn over(mut self, defaults: Self) -> Self {
        for (name, value) in defaults.environment {
            if !self.secrets.contains_key(&name) {
                self.environment.entry(name).or_insert(value);
            }
        }
        for (name, secret) in defaults.secrets {
            if !self.environment.contains_key(&name) {
                self.secrets.entry(name).or_insert(secret);
            }
        }
        self
    }
}

/// The environment of a container. `wrong` says what is wrong with a name.
pub(super) fn environment<'i>(
    table: &mut Table<'i>,
    checker: &mut Checker<'i>,
    wrong: impl Fn(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in entries(table, checker, "environment") {
        if let Some(why) = wrong(name.get_ref()) {
            checker.mistake(&name.span(), why);
        }
        if let Some(value) = checker.text(value, name.get_ref()) {
            all.insert(name.into_inner(), value.into_inner());
        }
    }
    all
}

fn entries<'i>(
    table: &mut Table<'i>,
    checker: &mut Checker<'i>,
    field: &'static str,
) -> Vec<(Spanned<String>, Value<'i>)> {
    let table = table.take(field).and_then(|value| checker.table(value, field));
    table.map(|table| table.rest().collect()).unwrap_or_default()
}

/// What is wrong with the name of a job's variable.
pub(super) fn wrong_variable(name: &str) -> Option<String> {
    if name == "EXECUTION_STOP_TIMEOUT" {
        return Some("use `stopTimeout` instead of the variable EXECUTION_STOP_TIMEOUT".to_owned());
    }
    Some(format!("`{name}` {}", variable::wrong(name)?))
}

/// What is wrong with the name of any variable.
pub(super) fn wrong_name(name: &str) -> Option<String> {
    Some(format!("`{name}` {}", variable::wrong_form(name)?))
}

/// The message about a value that may be the secret itself, and is therefore not repeated.
const SECRET: &str = "a secret says where its value is: \"ssm:/path\", \"secretsmanager:NAME\" or \"secretsmanager:NAME#key\"; the \
                      value itself does not belong in this file";

/// Reads where a secret is.
fn secret(text: &str) -> Result<Secret, String> {
    if let Some(name) = text.strip_prefix("ssm:") {
        return if is_parameter(name) {
            Ok(Secret::Parameter(name.to_owned()))
        } else {
            Err(format!(
                "`{name}` is not the name of a parameter; write \"ssm:/path/to/parameter\" with letters, digits, '.', '-' and '_'"
            ))
        };
    }
    let Some(given) = text.strip_prefix("secretsmanager:") else {
        return Err(SECRET.to_owned());
    };
    let (name, key) = match given.split_once('#') {
        Some((name, key)) => (name, Some(key)),
        None => (given, None),
    };
    if !is_secret_name(name) {
        return Err(format!(
            "`{name}` is not the name of a secret; it has up to 512 letters, digits and characters of '/_+=.@-', and is not an ARN"
        ));
    }
    if key.is_some_and(|key| key.is_empty() || key.contains(|c: char| c == ':' || c == '#' || c.is_control())) {
        return Err("the JSON key after '#' must not be empty and must not contain ':' or '#'".to_owned());
    }
    Ok(Secret::SecretsManager { name: name.to_owned(), key: key.map(str::to_owned) })
}

/// The names that a parameter can have
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html>, `Name`).
fn is_parameter(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let path = name.strip_prefix('/');
    let levels = path.unwrap_or(name).split('/').count();
    let parts = |path: &str| path.split('/').all(|part| !part.is_empty() && part.chars().all(plain));
    name.len() <= 1011 && levels <= 15 && (path.is_some() || levels == 1) && parts(path.unwrap_or(name))
}

/// The names that a secret can have
/// (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>, `Name`).
fn is_secret_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    (1..=512).contains(&name.len()) && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_parameter_or_a_secret_of_the_secrets_manager() {
        for right in
            ["ssm:/app/key", "ssm:key", "ssm:/a.b/c-d_E1", "secretsmanager:prod/db", "secretsmanager:prod/db#password"]
        {
            assert_eq!(secret(right).unwrap().to_string(), right);
        }
        let wrong = ["", "ssm:", "ssm:/", "ssm:a/b", "ssm:/a/", "ssm:/a//b", "ssm:arn:aws:ssm:eu-west-1:1:parameter/x"];
        let secrets = ["secretsmanager:", "secretsmanager:#k", "secretsmanager:x#", "secretsmanager:x#a:b", "vault:x"];
        for wrong in wrong.into_iter().chain(secrets) {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
        assert!(secret(&format!("ssm:{}", "/a".repeat(16))).is_err());
    }

    #[test]
    fn a_message_does_not_repeat_what_may_be_the_secret_itself() {
        assert!(!secret("hunter2").unwrap_err().contains("hunter2"));
    }
}
