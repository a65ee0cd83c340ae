//! What handlers take from a request: extractors, and how a JSON body is read.

pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod hint;
pub(crate) mod idempotency_key;
pub(crate) mod object;
pub(crate) mod owned;
pub(crate) mod parameters;
pub(crate) mod path;
pub(crate) mod prefer;
pub(crate) mod schedule_name;
