//! The wall clock of the durable functions. It is read inside steps only: what a workflow sees of time is recorded.

use jiff::Timestamp;

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}
