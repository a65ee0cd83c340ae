//! The wall clock: the one place that reads it. Whoever decides gets the time as a value.

use jiff::{Timestamp, Unit};

/// The time now, to the millisecond: what is recorded and shown need not be finer.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}
