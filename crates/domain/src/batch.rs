//! Batches: many executions that one request starts.
//!
//! A batch only remembers what was requested. Its executions are ordinary ones, and everything else about it is counted from them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{ExecutionId, InvalidId, Json, Owner, Status, Unknown, limits};

/// Namespace of the ids of batches that are derived from an idempotency key. Never change it: a repeated POST would start everything a second
/// time.
const KEYED: Uuid = Uuid::from_u128(0x6c6f_6e67_6861_756c_8001_6964_656d_706f);

/// Namespace of the ids of a batch's executions. Never change it, for the same reason.
const MEMBERS: Uuid = Uuid::from_u128(0x6c6f_6e67_6861_756c_8002_6d65_6d62_6572);

/// How long a request that starts a batch can take at most, including what AWS still carries out after the response. What is missing after
/// that stays missing until the request is repeated.
const REQUEST: SignedDuration = SignedDuration::from_mins(5);

/// Name of a batch: a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId(String);

impl BatchId {
    /// A new id for a batch without an idempotency key: a `UUIDv7`, from a time and 80 bits of randomness.
    #[must_use]
    pub fn fresh(now: Timestamp, random: [u8; 10]) -> Self {
        Self(ExecutionId::fresh(now, random).into())
    }

    /// The id that is derived from `owner`'s idempotency key, always the same one. It differs from the id of the execution that the same
    /// key would start.
    #[must_use]
    pub fn for_key(owner: &Owner, key: &str) -> Self {
        let owner = owner.to_string();
        // The length in front makes the pair unambiguous, so no owner can construct another owner's ids.
        let name = format!("{}:{owner}{key}", owner.len());
        Self(Uuid::new_v5(&KEYED, name.as_bytes()).to_string())
    }

    /// The id of the execution that the batch's request has at this index, always the same one.
    #[must_use]
    pub fn execution_id(&self, index: u32) -> ExecutionId {
        ExecutionId::of_uuid(Uuid::new_v5(&MEMBERS, format!("{self}/{index}").as_bytes()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BatchId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let id = Uuid::parse_str(text).map_err(|_| InvalidId)?.to_string();
        if id == text { Ok(Self(id)) } else { Err(InvalidId) }
    }
}

/// What is remembered of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Its id.
    pub id: BatchId,
    /// The caller that it belongs to.
    pub owner: Owner,
    /// When its request was first accepted.
    pub created_at: Timestamp,
    /// How many executions the request has, including those that were refused.
    pub total: u32,
    /// The indexes of those that were refused, in ascending order.
    pub refused: Vec<u32>,
    /// What [`fingerprint`] returned for the request: a repeat has the same.
    pub fingerprint: String,
    /// Whether all executions that were not refused have been stored. From then on, a repeat of the request starts nothing.
    pub stored: bool,
    /// When it may be deleted; reads treat it as gone from then on.
    pub expires_at: Timestamp,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// A hash of a batch's executions, in hex, that does not depend on how the JSON is formatted. It decides whether two requests with the same
/// key are the same, so never change what goes into it.
#[must_use]
pub fn fingerprint<'a>(executions: impl Iterator<Item = &'a Json>) -> String {
    let mut hash = Sha256::new();
    for execution in executions {
        execution.hash_value(&mut hash);
    }
    format!("{:x}", hash.finalize())
}

/// The executions of a batch that were found, counted by the name of their status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many are in each state. A newer version may know other states.
    pub by_status: BTreeMap<String, u32>,
    /// How many have expired and are about to be deleted.
    pub deleted: u32,
}

/// How far a batch has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// How many executions are in each state, by its name. A state that none is in is left out.
    pub counts: BTreeMap<String, u32>,
    /// How many of those that were not refused have not been stored.
    pub missing: u32,
    /// How many have expired, so that they are deleted or about to be.
    pub deleted: u32,
    /// How many are over, including those that are deleted.
    pub finished: u32,
    /// Whether nothing more will happen unless the request is repeated.
    pub done: bool,
}

impl Batch {
    /// How many of its executions were not refused.
    #[must_use]
    pub fn accepted(&self) -> u32 {
        self.total.saturating_sub(u32::try_from(self.refused.len()).unwrap_or(u32::MAX))
    }

    /// How far it has come by `now`. `found` may be a moment behind: an execution that is stored and was not found is either so new that it is
    /// still pending, or it has expired.
    #[must_use]
    pub fn progress(&self, found: Found, now: Timestamp) -> Progress {
        let Found { by_status: mut counts, mut deleted } = found;
        let all = counts.values().sum::<u32>() + deleted;
        let unseen = self.accepted().saturating_sub(all);
        let age = now.duration_since(self.created_at);
        let mut missing = 0;
        if !self.stored {
            missing = unseen;
        } else if age >= SignedDuration::try_from(limits::RETENTION).unwrap_or(SignedDuration::MAX) {
            deleted += unseen;
        } else if unseen > 0 {
            *counts.entry(Status::Pending.to_string()).or_default() += unseen;
        }
        let is_final = |name: &str| name.parse::<Status>().is_ok_and(Status::is_final);
        let over: u32 = counts.iter().filter(|(name, _)| is_final(name)).map(|(_, count)| count).sum();
        let finished = over + deleted;
        let given_up = if age > REQUEST { missing } else { 0 };
        Progress { counts, missing, deleted, finished, done: finished + given_up >= self.accepted() }
    }
}

#[cfg(test)]
mod tests;
