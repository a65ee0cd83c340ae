//! The items that enforce the limits of a caller: leases on places for held requests, and counts of requests. They are in the table of
//! executions.
//!
//! **Invariant**: no key of such an item is a valid execution id, because it contains a `/`.

use domain::Owner;

/// When the lease on a place ends, in milliseconds since 1970.
pub const UNTIL: &str = "until";
/// The request that has the place.
pub const HOLDER: &str = "holder";
/// How many requests were counted.
pub const COUNT: &str = "count";

/// The key of one of an owner's places.
#[must_use]
pub fn place_key(owner: &Owner, number: u32) -> String {
    format!("place/{number}/{owner}")
}

/// The key of the item that counts an owner's requests of the kind `what` in the window that ends at `second`.
#[must_use]
pub fn count_key(owner: &Owner, what: &str, second: i64) -> String {
    format!("count/{what}/{second}/{owner}")
}

#[cfg(test)]
mod tests {
    use domain::ExecutionId;

    use super::*;

    /// Functions of two versions share these items during a deployment.
    #[test]
    fn the_items_of_allowances_never_change_and_are_not_executions() {
        let ada = Owner::new("ada");
        let keys = [place_key(&ada, 3), count_key(&ada, "start", 60)];
        assert_eq!(keys, ["place/3/ada", "count/start/60/ada"]);
        assert!(keys.iter().all(|key| key.parse::<ExecutionId>().is_err()));
        assert_eq!([UNTIL, HOLDER, COUNT], ["until", "holder", "count"]);
    }
}
