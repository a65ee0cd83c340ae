//! The operations that read functions, publish versions and manage aliases.

use serde::Deserialize;
use uuid::Uuid;

use super::{
    Functions, conflict, make, not_found,
    registered::{Alias, Registered},
    view::{
        self, AliasConfiguration, FunctionConfiguration, GetFunctionResponse, ListAliasesResponse,
        ListFunctionsResponse, ListVersionsByFunctionResponse,
    },
};
use crate::{
    lambda::{
        arn::{self, Target},
        limits::{self, invalid, marker},
    },
    wire::AwsError,
};

/// Default number of items in a page.
const PAGE: usize = 50;

/// The body of `PublishVersion`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PublishVersion {
    description: Option<String>,
    revision_id: Option<Uuid>,
}

/// The body of `CreateAlias` and of `UpdateAlias`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NewAlias {
    name: Option<String>,
    function_version: Option<String>,
    description: Option<String>,
    revision_id: Option<Uuid>,
}

/// The page of a list that a request selects.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Paging {
    marker: Option<String>,
    max_items: Option<usize>,
    function_version: Option<String>,
}

impl Paging {
    /// One page of a list, and the marker of the next page.
    fn page<T>(&self, all: Vec<T>) -> Result<(Vec<T>, Option<String>), AwsError> {
        let from = marker(self.marker.as_deref())?.unwrap_or(0);
        let most = self.max_items.unwrap_or(PAGE).clamp(1, PAGE);
        let more = all.len() > from + most;
        let page = all.into_iter().skip(from).take(most).collect();
        Ok((page, more.then(|| (from + most).to_string())))
    }
}

impl Functions {
    /// `GetFunction`.
    pub(crate) fn get(&self, text: &str, qualifier: Option<&str>) -> Result<GetFunctionResponse, AwsError> {
        let of = self.qualified(text, qualifier)?;
        self.read(&of.name, |function| {
            let program = function.program(&of.version)?;
            Some(view::function(function, &of.version, program, of.explicit))
        })
    }

    /// `GetFunctionConfiguration`.
    pub(crate) fn configuration(&self, text: &str, qualifier: Option<&str>) -> Result<FunctionConfiguration, AwsError> {
        self.get(text, qualifier).map(|shown| shown.configuration)
    }

    /// `ListFunctions`.
    pub(crate) fn list(&self, paging: &Paging) -> Result<ListFunctionsResponse, AwsError> {
        let all_versions = paging.function_version.as_deref() == Some("ALL");
        let registered = self.registered();
        let shown = registered.values().flat_map(|function| {
            let most = if all_versions { usize::MAX } else { 1 };
            let one = |mut shown: FunctionConfiguration| {
                if !all_versions {
                    shown.function_arn = arn::function(&function.name);
                }
                shown
            };
            view::versions(function).take(most).map(one).collect::<Vec<_>>()
        });
        let (functions, next_marker) = paging.page(shown.collect())?;
        Ok(ListFunctionsResponse { functions, next_marker })
    }

    /// `ListVersionsByFunction`.
    pub(crate) fn versions(&self, text: &str, paging: &Paging) -> Result<ListVersionsByFunctionResponse, AwsError> {
        let all = self.read(name_of(text), |function| Some(view::versions(function).collect()))?;
        let (versions, next_marker) = paging.page(all)?;
        Ok(ListVersionsByFunctionResponse { versions, next_marker })
    }

    /// `PublishVersion`.
    pub(crate) fn publish(&self, text: &str, with: PublishVersion) -> Result<FunctionConfiguration, AwsError> {
        self.change(text, |function| {
            if with.revision_id.is_some_and(|revision| revision != function.latest.revision) {
                return Err(make::stale());
            }
            let version = function.publish(with.description);
            let program = function.program(&version).ok_or_else(|| AwsError::internal("no version"))?;
            Ok(view::configuration(function, &version, program, true))
        })
    }

    /// `CreateAlias`.
    pub(crate) fn create_alias(&self, text: &str, new: NewAlias) -> Result<AliasConfiguration, AwsError> {
        let name = new.name.unwrap_or_default();
        limits::ALIAS_NAME.check("name", &name)?;
        if name.bytes().all(|c| c.is_ascii_digit()) {
            return Err(invalid("An alias must not be a number, because numbers name versions."));
        }
        self.change(text, |function| {
            if function.aliases.contains_key(&name) {
                let arn = arn::function(&function.name);
                return Err(conflict(format!("Alias already exists: {arn}:{name}")));
            }
            let version = new.function_version.unwrap_or_default();
            function.program(&version).ok_or_else(|| not_found(&function.name, Some(&version)))?;
            let description = new.description.unwrap_or_default();
            let alias = Alias { version, description, revision: Uuid::new_v4() };
            let shown = view::alias(function, &name, &alias);
            function.aliases.insert(name, alias);
            Ok(shown)
        })
    }

    /// `UpdateAlias`.
    pub(crate) fn update_alias(&self, text: &str, name: &str, new: NewAlias) -> Result<AliasConfiguration, AwsError> {
        self.change(text, |function| {
            let before = function.aliases.get(name).cloned().ok_or_else(|| no_alias(function, name))?;
            if new.revision_id.is_some_and(|revision| revision != before.revision) {
                return Err(make::stale());
            }
            let version = new.function_version.unwrap_or(before.version);
            function.program(&version).ok_or_else(|| not_found(&function.name, Some(&version)))?;
            let description = new.description.unwrap_or(before.description);
            let alias = Alias { version, description, revision: Uuid::new_v4() };
            let shown = view::alias(function, name, &alias);
            function.aliases.insert(name.to_owned(), alias);
            Ok(shown)
        })
    }

    /// `GetAlias`.
    pub(crate) fn alias(&self, text: &str, name: &str) -> Result<AliasConfiguration, AwsError> {
        self.read(name_of(text), |function| {
            let alias = function.aliases.get(name).ok_or_else(|| no_alias(function, name));
            Some(alias.map(|alias| view::alias(function, name, alias)))
        })?
    }

    /// `ListAliases`, of all versions or of one version.
    pub(crate) fn aliases(&self, text: &str, paging: &Paging) -> Result<ListAliasesResponse, AwsError> {
        let of = paging.function_version.as_deref();
        let all = self.read(name_of(text), |function| {
            let fits = |alias: &Alias| of.is_none_or(|version| version == alias.version);
            let shown = function.aliases.iter().filter(|(_, alias)| fits(alias));
            Some(shown.map(|(name, alias)| view::alias(function, name, alias)).collect())
        })?;
        let (aliases, next_marker) = paging.page(all)?;
        Ok(ListAliasesResponse { aliases, next_marker })
    }

    /// `DeleteAlias`. Deleting an alias that does not exist succeeds.
    pub(crate) fn delete_alias(&self, text: &str, name: &str) -> Result<(), AwsError> {
        self.change(text, |function| {
            function.aliases.remove(name);
            Ok(())
        })
    }

    fn read<T>(&self, name: &str, with: impl FnOnce(&Registered) -> Option<T>) -> Result<T, AwsError> {
        self.registered().get(name).and_then(with).ok_or_else(|| not_found(name, None))
    }
}

fn name_of(text: &str) -> &str {
    Target::read(text).map_or(text, |target| target.name)
}

fn no_alias(function: &Registered, name: &str) -> AwsError {
    let error = not_found(&function.name, Some(name));
    AwsError { message: format!("Cannot find alias arn: {}:{name}", arn::function(&function.name)), ..error }
}
