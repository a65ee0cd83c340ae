//! The wall clock, which is read only here. Code that makes decisions gets the time as a parameter.

use jiff::{Timestamp, Unit};

/// The current time, to the millisecond: recorded and displayed times need no more precision.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}
