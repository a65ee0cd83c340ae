//! The API's randomness: read here, passed on as a value.

/// Ten random bytes from the operating system.
///
/// # Errors
///
/// If the operating system cannot provide any.
pub(crate) fn bytes() -> Result<[u8; 10], getrandom::Error> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
