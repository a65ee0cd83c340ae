//! Files that callers upload, and then name as the input of an execution.

use std::{fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};

use crate::{Digest, Unknown, limits};

/// How long an upload is kept. A lifecycle rule for the prefix of its key expires it, so only these durations are possible.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    /// 35 days: long enough for an execution with the default timeout, which is readable for 30 days after its end.
    #[default]
    Short,
    /// 400 days: long enough for an execution with the longest timeout.
    Long,
}

impl Keep {
    /// All durations.
    pub const ALL: [Self; 2] = [Self::Short, Self::Long];

    /// The number of days.
    #[must_use]
    pub fn days(self) -> u32 {
        match self {
            Self::Short => 35,
            Self::Long => 400,
        }
    }

    /// The shortest that has at least this number of days, from 1; `None` if there is none.
    #[must_use]
    pub fn at_least(days: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|keep| (1..=u64::from(keep.days())).contains(&days))
    }
}

/// The name of an upload: the days that it is kept, and 128 random bits, for example `35-0f8b…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId {
    keep: Keep,
    random: u128,
}

/// The text cannot name an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an `uploadId` from a response to POST /uploads")]
pub struct InvalidUploadId;

impl UploadId {
    /// A new name, from 128 bits of randomness.
    #[must_use]
    pub fn new(keep: Keep, random: [u8; 16]) -> Self {
        Self { keep, random: u128::from_be_bytes(random) }
    }

    /// How long the upload is kept.
    #[must_use]
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// The random part of the name, in hexadecimal digits.
    #[must_use]
    pub fn random(&self) -> String {
        format!("{:032x}", self.random)
    }

    /// When the upload may be deleted, if its file was complete at `at`.
    #[must_use]
    pub fn kept_until(&self, at: Timestamp) -> Timestamp {
        at.checked_add(SignedDuration::from_hours(i64::from(self.keep.days()) * 24)).unwrap_or(Timestamp::MAX)
    }
}

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(text: &str) -> Result<Self, InvalidUploadId> {
        let (days, random) = text.split_once('-').ok_or(InvalidUploadId)?;
        let keep = Keep::ALL.into_iter().find(|keep| keep.days().to_string() == days).ok_or(InvalidUploadId)?;
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if random.len() != 32 || !random.bytes().all(digit) {
            return Err(InvalidUploadId);
        }
        let random = u128::from_str_radix(random, 16).map_err(|_| InvalidUploadId)?;
        Ok(Self { keep, random })
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.keep.days(), self.random())
    }
}

/// An upload that is the input of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its name.
    pub id: UploadId,
    /// The size of its file.
    pub bytes: u64,
    /// The SHA-256 of its file.
    pub sha256: Digest,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// Until when an execution with this deadline may need its data: it is readable for [`limits::RETENTION`] after its end.
#[must_use]
pub fn needed_until(deadline: Timestamp) -> Timestamp {
    deadline.checked_add(limits::RETENTION).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers keep ids, and the names of objects contain them.
    #[test]
    fn an_upload_id_never_changes() {
        let id = UploadId::new(Keep::Long, [0xab; 16]);
        assert_eq!(id.to_string(), format!("400-{}", "ab".repeat(16)));
        for keep in Keep::ALL {
            let id = UploadId::new(keep, [7; 16]);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in ["", "35", "35-", "36-00000000000000000000000000000000", "35-0000000000000000000000000000000G"] {
            assert_eq!(wrong.parse::<UploadId>(), Err(InvalidUploadId), "{wrong}");
        }
        let signed = format!("35-+{}", "0".repeat(31));
        assert_eq!(signed.parse::<UploadId>(), Err(InvalidUploadId));
    }

    #[test]
    fn an_upload_is_kept_for_at_least_the_days_that_are_asked_for() {
        let cases = [(0, None), (1, Some(35)), (35, Some(35)), (36, Some(400)), (400, Some(400)), (401, None)];
        for (asked, kept) in cases {
            assert_eq!(Keep::at_least(asked).map(Keep::days), kept, "{asked}");
        }
    }

    #[test]
    fn every_execution_can_have_an_upload_that_is_kept_for_as_long_as_it_is_needed() {
        let now = Timestamp::UNIX_EPOCH;
        for (keep, timeout) in [(Keep::Short, limits::DEFAULT_TIMEOUT), (Keep::Long, limits::TIMEOUT)] {
            let until = UploadId::new(keep, [0; 16]).kept_until(now);
            let slack = until.duration_since(needed_until(now.checked_add(timeout).unwrap()));
            assert!(slack >= SignedDuration::from_hours(24), "{keep:?}");
        }
    }
}
