//! Opaque tokens that say where a response continues.
//!
//! A token contains a place, and a hash of that place and everything that it belongs to: its owner, list and filters. Used for
//! anything else, it is refused. The hash has no secret. A forged token can only choose a place among the caller's own executions,
//! because the owner always comes from the authorizer and never from the token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::answers::problem::{Code, Problem};

/// Bytes of the hash in a token: enough that none is right by accident.
const CHECK: usize = 12;

/// A token for a place in the list that these texts identify.
pub(crate) fn seal(of: &[&str], place: &str) -> String {
    let mut bytes = check(of, place);
    bytes.extend(place.bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place in a token, if the token was made for what these texts identify.
pub(crate) fn open(of: &[&str], token: &str) -> Result<String, Problem> {
    let place = || {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (hash, place) = bytes.split_at_checked(CHECK)?;
        let place = std::str::from_utf8(place).ok()?;
        (hash == check(of, place)).then(|| place.to_owned())
    };
    place().ok_or_else(invalid)
}

/// The error for a token that does not belong to this request.
pub(crate) fn invalid() -> Problem {
    Problem::new(Code::InvalidPageToken, "use this token only with the same path and query parameters")
}

fn check(of: &[&str], place: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    for text in of.iter().chain(&[place]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(CHECK).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A caller who reads a list during a deployment sends a token of the previous version.
    #[test]
    fn a_token_never_changes() {
        assert_eq!(seal(&["ada", "FAILED"], "1772442000000#e1"), "GJcEAp0fiFOo3C0eMTc3MjQ0MjAwMDAwMCNlMQ");
    }

    #[test]
    fn a_page_token_is_valid_only_for_the_list_it_was_made_for() {
        let token = seal(&["ada", "FAILED"], "place");
        assert_eq!(open(&["ada", "FAILED"], &token).unwrap(), "place");
        for other in [&["eve", "FAILED"][..], &["ada", ""], &["adaF", "AILED"], &["ada"], &[]] {
            assert!(open(other, &token).is_err(), "{other:?}");
        }
        for (at, _) in token.char_indices() {
            let mut forged = token.clone();
            let other = if token[at..].starts_with('A') { "B" } else { "A" };
            forged.replace_range(at..=at, other);
            assert!(open(&["ada", "FAILED"], &forged).is_err(), "{forged}");
        }
        for forged in ["", "A", "AAAA", "=", "ä", &token[1..], &format!("{token}AAAA"), &seal(&[], "place")] {
            assert!(open(&["ada", "FAILED"], forged).is_err(), "{forged}");
        }
    }
}
