//! A function with its versions and aliases.
//!
//! **Invariant**: pure. A version that is published never changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{DurableConfig, Function, LATEST};

/// The program and settings of one version. It is kept on disk, so members that were added later have defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Program {
    pub(super) command: Vec<String>,
    /// The code as the API names it; `None` for a declared function.
    #[serde(default)]
    pub(super) image_uri: Option<String>,
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) handler: Option<String>,
    #[serde(default)]
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) description: String,
    pub(super) timeout_seconds: u64,
    pub(super) memory: u32,
    #[serde(default)]
    pub(super) durable: Option<DurableConfig>,
    pub(super) modified_at: Timestamp,
    pub(super) revision: Uuid,
}

/// A name for a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alias {
    pub(super) version: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) revision: Uuid,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registered {
    pub(super) name: String,
    /// Whether it is declared: it is then replaced by its declaration at every start.
    #[serde(default)]
    pub(super) declared: bool,
    pub(super) latest: Program,
    #[serde(default)]
    pub(super) versions: BTreeMap<u64, Program>,
    #[serde(default)]
    pub(super) aliases: BTreeMap<String, Alias>,
    /// The number of the last version. Numbers are not used again.
    #[serde(default)]
    pub(super) last_version: u64,
}

impl Registered {
    pub(super) fn new(name: String, latest: Program) -> Self {
        Self { name, declared: false, latest, versions: BTreeMap::new(), aliases: BTreeMap::new(), last_version: 0 }
    }

    /// A declared function has one version, the same program as `$LATEST`.
    pub(super) fn declared(function: Function, now: Timestamp) -> Self {
        let program = Program {
            command: function.command,
            image_uri: None,
            environment: function.environment,
            handler: None,
            role: None,
            description: String::new(),
            timeout_seconds: function.timeout.as_secs(),
            memory: function.memory,
            durable: function.durable,
            modified_at: now,
            revision: Uuid::new_v4(),
        };
        let alias = |name| {
            let alias = Alias { version: "1".to_owned(), description: String::new(), revision: Uuid::new_v4() };
            (name, alias)
        };
        let mut registered = Self::new(function.name, program);
        registered.publish(None);
        Self { declared: true, aliases: function.alias.into_iter().map(alias).collect(), ..registered }
    }

    /// Keeps the aliases that it was given through the API before the emulator was started again.
    pub(super) fn keep_aliases_of(&mut self, earlier: Self) {
        for (name, alias) in earlier.aliases {
            if self.program(&alias.version).is_some() {
                self.aliases.entry(name).or_insert(alias);
            }
        }
    }

    /// The version that a qualifier names. Without a qualifier, it is `$LATEST`.
    pub(super) fn version(&self, qualifier: Option<&str>) -> Option<String> {
        let qualifier = qualifier.unwrap_or(LATEST);
        if qualifier == LATEST || self.published(qualifier).is_some() {
            return Some(qualifier.to_owned());
        }
        self.aliases.get(qualifier).map(|alias| alias.version.clone())
    }

    /// The program of a version.
    pub(super) fn program(&self, version: &str) -> Option<&Program> {
        if version == LATEST { Some(&self.latest) } else { self.published(version) }
    }

    fn published(&self, version: &str) -> Option<&Program> {
        // Neither `007` nor `+7` is a version.
        let number: u64 = version.parse().ok()?;
        self.versions.get(&number).filter(|_| number.to_string() == version)
    }

    /// Publishes `$LATEST` as a new version, unless it has not changed since the last version.
    pub(super) fn publish(&mut self, description: Option<String>) -> String {
        let same = self.versions.get(&self.last_version).is_some_and(|last| last.revision == self.latest.revision);
        if !same {
            self.last_version += 1;
            let mut program = self.latest.clone();
            program.description = description.unwrap_or(program.description);
            self.versions.insert(self.last_version, program);
        }
        self.last_version.to_string()
    }

    /// Aliases that point to a version.
    pub(super) fn aliases_of(&self, version: &str) -> impl Iterator<Item = &String> {
        self.aliases.iter().filter(move |(_, alias)| alias.version == version).map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn function() -> Registered {
        let function = Function {
            name: "job".into(),
            command: vec!["true".into()],
            environment: BTreeMap::new(),
            timeout: Duration::from_secs(3),
            memory: 128,
            alias: Some("live".into()),
            durable: None,
        };
        Registered::declared(function, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_qualifier_is_latest_a_version_or_an_alias() {
        let function = function();
        assert_eq!(function.version(None).as_deref(), Some("$LATEST"));
        assert_eq!(function.version(Some("1")).as_deref(), Some("1"));
        assert_eq!(function.version(Some("live")).as_deref(), Some("1"));
        for missing in ["2", "01", "+1", "dead"] {
            assert_eq!(function.version(Some(missing)), None, "{missing}");
        }
    }

    #[test]
    fn an_unchanged_function_is_not_published_again() {
        let mut function = function();
        assert_eq!(function.publish(None), "1");
        function.latest.revision = Uuid::new_v4();
        assert_eq!(function.publish(Some("two".into())), "2");
        function.versions.remove(&2);
        assert_eq!(function.publish(None), "3", "a number is given once");
    }

    #[test]
    fn functions_stored_by_an_older_stack_can_be_read() {
        let row = r#"{"name":"job","latest":{"command":["true"],"timeoutSeconds":3,"memory":128,
            "modifiedAt":"2026-11-23T00:00:00Z","revision":"00000000-0000-4000-8000-000000000000"}}"#;
        let function: Registered = serde_json::from_str(row).unwrap();
        assert_eq!((function.declared, function.last_version), (false, 0));
    }
}
