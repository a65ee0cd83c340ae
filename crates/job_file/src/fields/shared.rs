//! The fields that both a job and `[defaults]` may have.

use std::time::Duration;

use super::{choices, image, retry, size::Size, time, variables::Variables};
use crate::{
    checker::{Checker, Table},
    job::{Architecture, Capacity, Image, Retry},
};

/// What a job or `[defaults]` says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared {
    pub(super) image: Option<Image>,
    pub(super) size: Size,
    pub(super) ephemeral_storage: Option<u32>,
    pub(super) capacity: Option<Capacity>,
    pub(super) architecture: Option<Architecture>,
    pub(super) user: Option<String>,
    pub(super) readonly_root_filesystem: Option<bool>,
    pub(super) variables: Variables,
    pub(super) log_retention_days: Option<u32>,
    pub(super) timeout: Option<Duration>,
    pub(super) stop_timeout: Option<Duration>,
    pub(super) retry: Option<Retry>,
}

impl Shared {
    pub(crate) fn read<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Self {
        Self {
            image: image::image(table, checker),
            size: Size::read(table, checker),
            ephemeral_storage: choices::ephemeral_storage(table, checker),
            capacity: choices::capacity(table, checker),
            architecture: choices::architecture(table, checker),
            user: choices::user(table, checker),
            readonly_root_filesystem: choices::readonly_root_filesystem(table, checker),
            variables: Variables::read(table, checker),
            log_retention_days: choices::log_retention_days(table, checker),
            timeout: time::timeout(table, checker),
            stop_timeout: time::stop_timeout(table, checker),
            retry: retry::retry(table, checker),
        }
    }

    /// What a job has: what it says itself, or else what the defaults say. Variables and secrets are merged by name.
    pub(super) fn over(self, defaults: &Self) -> Self {
        let defaults = defaults.clone();
        Self {
            image: self.image.or(defaults.image),
            size: self.size.over(defaults.size),
            ephemeral_storage: self.ephemeral_storage.or(defaults.ephemeral_storage),
            capacity: self.capacity.or(defaults.capacity),
            architecture: self.architecture.or(defaults.architecture),
            user: self.user.or(defaults.user),
            readonly_root_filesystem: self.readonly_root_filesystem.or(defaults.readonly_root_filesystem),
            variables: self.variables.over(defaults.variables),
            log_retention_days: self.log_retention_days.or(defaults.log_retention_days),
            timeout: self.timeout.or(defaults.timeout),
            stop_timeout: self.stop_timeout.or(defaults.stop_timeout),
            retry: self.retry.or(defaults.retry),
        }
    }

    /// Checks defaults, which no job may use.
    pub(crate) fn check(&self, checker: &mut Checker<'_>) {
        self.size.check_default(checker);
    }
}
