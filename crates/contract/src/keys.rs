//! Keys of the indexes. Existing items keep their keys, so none of this may change.

use domain::{BatchId, ExecutionId, Owner, listing::Place};
use jiff::Timestamp;

/// Number of parts of the index of executions that are not over: one part of an index takes 1,000 writes a second
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>).
pub const ACTIVE_SHARDS: u8 = 8;

/// Number of parts of an owner's list.
pub const OWNER_SHARDS: u8 = 4;

/// The part of an index that an execution is in.
#[must_use]
pub fn shard(id: &ExecutionId, shards: u8) -> u8 {
    shard_of(id.as_str(), shards)
}

/// The part of an index that the item with this key is in.
#[must_use]
pub fn shard_of(key: &str, shards: u8) -> u8 {
    key.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte)) % shards
}

/// Hash key of a part of an owner's list.
#[must_use]
pub fn owner_shard(owner: &Owner, shard: u8) -> String {
    format!("{shard}:{owner}")
}

/// Hash key of the executions of a batch. It names the owner, so that no other caller's list can contain them.
#[must_use]
pub fn batch(id: &BatchId, owner: &Owner) -> String {
    format!("{id}:{owner}")
}

/// The batch that a hash key identifies.
#[must_use]
pub fn read_batch(text: &str) -> Option<BatchId> {
    text.split_once(':')?.0.parse().ok()
}

/// Sort key of an execution: unique, and sorted by time.
#[must_use]
pub fn place(at: Timestamp, id: &ExecutionId) -> String {
    format!("{}#{id}", moment(at))
}

/// A time to the millisecond, of fixed length. Keys before `moment(t)` belong to executions that were accepted before `t`.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let at = Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at);
    format!("{at:.3}")
}

/// The place that a sort key identifies.
#[must_use]
pub fn read_place(text: &str) -> Option<Place> {
    let (at, id) = text.split_once('#')?;
    Some(Place { at: at.parse().ok()?, id: id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Existing items were written in this way.
    #[test]
    fn index_keys_never_change() {
        let id: ExecutionId = "e1".parse().unwrap();
        assert_eq!(owner_shard(&Owner::new("jwt:ada"), 3), "3:jwt:ada");
        assert_eq!(place(at("2026-01-02T03:04:05Z"), &id), "2026-01-02T03:04:05.000Z#e1");
        assert_eq!(place(at("2026-01-02T03:04:05.1239Z"), &id), "2026-01-02T03:04:05.123Z#e1");
        let of_ada: BatchId = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c".parse().unwrap();
        let key = batch(&of_ada, &Owner::new("jwt:ada"));
        assert_eq!(key, "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c:jwt:ada");
        assert_eq!(read_batch(&key), Some(of_ada));
        let place = Place { at: at("2026-01-02T03:04:05.12Z"), id };
        assert_eq!(read_place("2026-01-02T03:04:05.120Z#e1"), Some(place));
    }
}
