//! The API's randomness: read here, passed on as a value.

/// Random bytes from the operating system.
///
/// # Errors
///
/// If the operating system cannot provide any.
pub(crate) fn bytes<const COUNT: usize>() -> Result<[u8; COUNT], getrandom::Error> {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
