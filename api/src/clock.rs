//! The API's wall clock and randomness: read here, passed on as values.

use jiff::Timestamp;

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::now()
}

/// Ten random bytes of the operating system's.
///
/// # Errors
///
/// When the operating system has none to give.
pub(crate) fn random() -> Result<[u8; 10], getrandom::Error> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
