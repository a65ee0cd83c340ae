//! The fields with a single value: how a task runs on Fargate, and how long its log is kept.

use super::or;
use crate::{
    checker::{Checker, Table},
    job::{Architecture, Capacity},
};

/// The least and the most GiB of disk
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EphemeralStorage.html>). Fargate's default is 20.
pub(crate) const EPHEMERAL_STORAGE: (u32, u32) = (21, 200);

/// The days that CloudWatch can keep a log
/// (<https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>).
pub(crate) const LOG_RETENTION_DAYS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

pub(super) fn ephemeral_storage<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<u32> {
    let (least, most) = EPHEMERAL_STORAGE;
    checker.number(&table.take("ephemeralStorage")?, "ephemeralStorage", least, most)
}

pub(super) fn capacity<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<Capacity> {
    checker.one_of(table.take("capacity")?, "capacity", &Capacity::ALL, Capacity::name)
}

pub(super) fn architecture<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<Architecture> {
    checker.one_of(table.take("architecture")?, "architecture", &Architecture::ALL, Architecture::name)
}

pub(super) fn user<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<String> {
    let given = checker.text(table.take("user")?, "user")?;
    if !is_user(given.get_ref()) {
        let text = given.get_ref();
        checker.mistake(
            &given.span(),
            format!(
                "user is \"{text}\"; it must be USER or USER:GROUP, by names or numbers, for example \"65532:65532\""
            ),
        );
    }
    Some(given.into_inner())
}

/// The forms that ECS has
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>, `user`).
fn is_user(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let id = |text: &str| !text.is_empty() && text.chars().all(plain) && !text.starts_with(['-', '.']);
    match text.split_once(':') {
        Some((user, group)) => id(user) && id(group),
        None => id(text),
    }
}

pub(super) fn readonly_root_filesystem<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<bool> {
    checker.flag(&table.take("readonlyRootFilesystem")?, "readonlyRootFilesystem")
}

pub(super) fn log_retention_days<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<u32> {
    let value = table.take("logRetentionDays")?;
    let days = checker.number(&value, "logRetentionDays", 0, u32::MAX)?;
    if !LOG_RETENTION_DAYS.contains(&days) {
        let allowed = or(&LOG_RETENTION_DAYS);
        checker.mistake(&value.span(), format!("logRetentionDays is {days}; CloudWatch keeps logs for {allowed} days"));
    }
    Some(days)
}
