//! Page tokens in responses and requests: see [`contract::page_token`].

use contract::page_token::{self, Paged};

use crate::answers::problem::{Code, Problem};

/// A token for a place in a list.
pub(crate) fn seal<L: Paged>(list: &L, place: &L::Place) -> Result<String, Problem> {
    page_token::seal(list, place).map_err(|why| Problem::inside(&why))
}

/// The place in a token, if the token was made for this list.
pub(crate) fn open<L: Paged>(list: &L, token: &str) -> Result<L::Place, Problem> {
    page_token::open(list, token).ok_or_else(invalid)
}

/// The error for a token that does not belong to this request.
pub(crate) fn invalid() -> Problem {
    Problem::new(Code::InvalidPageToken, "use this token only with the same path and query parameters")
}
