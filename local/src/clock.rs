//! The wall clock of the local stack: the one place that reads it.

use jiff::Timestamp;

/// Tells the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// The time now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(self) -> Timestamp {
        Timestamp::now()
    }
}
