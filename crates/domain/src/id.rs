//! The id of an execution, and its owner. AWS's services know an execution by the same id.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Attempt, limits};

/// Namespace of the ids that are derived from an idempotency key. Never change it: a repeated POST would derive another id and start a
/// second execution.
const KEYED: Uuid = Uuid::from_u128(0x6c6f_6e67_6861_756c_8000_6964_656d_706f);

/// Namespace of the ids of executions that a schedule starts. Never change it: a time that was started before an update would be started
/// again after it.
const SCHEDULED: Uuid = Uuid::from_u128(0x6c6f_6e67_6861_756c_8000_7363_6865_6475);

/// Name of an execution: its item's key, its durable execution's name, its task's `startedBy`.
///
/// Up to [`limits::ID_CHARS`] of `A-Z a-z 0-9 - _`, which each of these services accepts. The API uses UUIDs; a caller that starts a
/// durable function directly may choose another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutionId(String);

impl ExecutionId {
    /// A new id for an execution without an idempotency key: a `UUIDv7`, from a time and 80 bits of randomness.
    #[must_use]
    pub fn fresh(now: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string())
    }

    /// The id that is derived from `owner`'s idempotency key, always the same one. The same key of two owners gives two ids.
    #[must_use]
    pub fn for_key(owner: &Owner, key: &str) -> Self {
        // The length in front makes the pair unambiguous, so no owner can construct another owner's ids.
        let name = format!("{}:{owner}{key}", owner.0.len());
        Self(Uuid::new_v5(&KEYED, name.as_bytes()).to_string())
    }

    /// The id of the execution that a schedule of `owner` starts for a time, always the same one. `generation` tells apart two schedules that
    /// had the same name, one after the other.
    #[must_use]
    pub fn for_schedule(owner: &Owner, generation: &str, time: Timestamp) -> Self {
        let name = format!("{}:{owner}{generation}/{}", owner.0.len(), time.as_second());
        Self(Uuid::new_v5(&SCHEDULED, name.as_bytes()).to_string())
    }

    pub(crate) fn of_uuid(uuid: Uuid) -> Self {
        Self(uuid.to_string())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `RunTask`'s `clientToken` for an attempt: a repeated call with it starts no second task.
    #[must_use]
    pub fn client_token(&self, attempt: Attempt) -> String {
        format!("{self}-{attempt}")
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<ExecutionId> for String {
    fn from(id: ExecutionId) -> Self {
        id.0
    }
}

impl TryFrom<String> for ExecutionId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        let fits = (1..=limits::ID_CHARS).contains(&text.len());
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if fits && plain { Ok(Self(text)) } else { Err(InvalidId) }
    }
}

impl FromStr for ExecutionId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::try_from(text.to_owned())
    }
}

/// The text cannot name an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an execution id is 1 to {max} letters, digits, '-' and '_'", max = limits::ID_CHARS)]
pub struct InvalidId;

/// The caller that an execution belongs to. No other caller can see or change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// An owner with this name: what an authorizer verified, or a configured name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// A pseudonym for places where the owner must not be named, such as logs: always the same 12 hexadecimal digits.
    #[must_use]
    pub fn pseudonym(&self) -> String {
        let mut digits = format!("{:x}", Sha256::digest(&self.0));
        digits.truncate(12);
        digits
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_always_gives_the_same_id() {
        let id = ExecutionId::for_key(&Owner::new("ada"), "order-17");
        assert_eq!(id.as_str(), "62c4fb25-77ca-5a92-b17c-3ee4c569e2fd");
    }

    #[test]
    fn a_time_of_a_schedule_always_gives_the_same_id() {
        let time = Timestamp::from_second(1_772_442_000).unwrap();
        let id = ExecutionId::for_schedule(&Owner::new("ada"), "0b9f8a3e", time);
        assert_eq!(id.as_str(), "1c0f9d12-535a-5667-b17f-ba2f786bd17a");
        for other in [
            ExecutionId::for_schedule(&Owner::new("eve"), "0b9f8a3e", time),
            ExecutionId::for_schedule(&Owner::new("ada"), "0b9f8a3f", time),
            ExecutionId::for_schedule(&Owner::new("ada"), "0b9f8a3e", Timestamp::UNIX_EPOCH),
        ] {
            assert_ne!(other, id);
        }
    }

    #[test]
    fn a_pseudonym_is_unique_per_owner_and_does_not_contain_its_name() {
        assert_eq!(Owner::new("ada").pseudonym(), "fdee430d40bd");
        assert_ne!(Owner::new("ada").pseudonym(), Owner::new("eve").pseudonym());
    }

    #[test]
    fn owners_do_not_share_keys() {
        let (ab, a) = (Owner::new("ab"), Owner::new("a"));
        assert_ne!(ExecutionId::for_key(&ab, "c"), ExecutionId::for_key(&a, "bc"));
    }

    #[test]
    fn new_ids_sort_by_time_and_are_valid() {
        let id = |ms| ExecutionId::fresh(Timestamp::from_millisecond(ms).unwrap(), [7; 10]);
        assert!(id(1_000) < id(2_000));
        assert_eq!(id(1_000).as_str().parse(), Ok(id(1_000)));
    }

    #[test]
    fn an_id_must_be_valid_wherever_it_is_used() {
        for text in ["", "a/b", "a b", "ä", "a.b", &"x".repeat(limits::ID_CHARS + 1)] {
            assert_eq!(text.parse::<ExecutionId>(), Err(InvalidId), "{text:?}");
        }
    }

    /// A new version must repeat a start with the same token as the previous version, or ECS starts a second task.
    #[test]
    fn a_client_token_is_the_id_and_the_attempt() {
        let id: ExecutionId = "order-17".parse().unwrap();
        assert_eq!([1, 2].map(|n| id.client_token(Attempt::new(n).unwrap())), ["order-17-1", "order-17-2"]);
    }

    #[test]
    fn the_longest_client_token_fits_ecs() {
        let id: ExecutionId = "x".repeat(limits::ID_CHARS).parse().unwrap();
        let last = Attempt::new(limits::ATTEMPTS).unwrap();
        assert!(id.client_token(last).len() <= 64);
    }
}
