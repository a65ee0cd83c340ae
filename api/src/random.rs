//! The API's randomness: read here, passed on as a value.

/// Ten random bytes of the operating system's.
///
/// # Errors
///
/// When the operating system has none to give.
pub(crate) fn bytes() -> Result<[u8; 10], getrandom::Error> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
