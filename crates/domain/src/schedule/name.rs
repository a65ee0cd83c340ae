//! The name of a schedule.

use std::{fmt, str::FromStr};

use crate::limits;

/// Name of a schedule: 1 to [`limits::SCHEDULE_NAME_CHARS`] of `A-Z a-z 0-9 - _ .`, beginning with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduleName(String);

impl ScheduleName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ScheduleName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fits = (1..=limits::SCHEDULE_NAME_CHARS).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if fits && plain && begins { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

/// The text cannot name a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a schedule's name has 1 to {max} letters, digits, '-', '_' and '.', and begins with a letter or a digit",
    max = limits::SCHEDULE_NAME_CHARS
)]
pub struct InvalidName;
