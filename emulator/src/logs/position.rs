//! The position of an event among the others: the tokens and event ids of the API.

use crate::wire::AwsError;

/// A place in the order of events: by time, and by arrival within a millisecond.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// Time of the event, in milliseconds since the epoch.
    pub(super) at_ms: i64,
    /// Its number.
    pub(super) id: i64,
}

/// The number of digits of the time in an event id, and of the event's number: 56 in all, as many as AWS's ids have.
const TIME_DIGITS: usize = 20;
const ID_DIGITS: usize = 36;

impl Position {
    /// The last possible place.
    pub(super) const END: Self = Self { at_ms: i64::MAX, id: i64::MAX };

    /// The place right before this one.
    pub(super) fn before(self) -> Self {
        Self { id: self.id.saturating_sub(1), ..self }
    }

    /// The place right after this one.
    pub(super) fn after(self) -> Self {
        Self { id: self.id.saturating_add(1), ..self }
    }

    /// As an event id.
    pub(super) fn event_id(self) -> String {
        format!("{:0TIME_DIGITS$}{:0ID_DIGITS$}", self.at_ms, self.id)
    }

    /// From an event id.
    pub(super) fn of_event_id(text: &str) -> Option<Self> {
        let (at_ms, id) = text.split_at_checked(TIME_DIGITS)?;
        Some(Self { at_ms: at_ms.parse().ok()?, id: id.parse().ok()? })
    }
}

/// A token of `GetLogEvents`: in which direction to continue, and after which event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// `f/…`: to newer events.
    Forward(Position),
    /// `b/…`: to older ones.
    Backward(Position),
}

impl Token {
    /// As the API writes it.
    pub(super) fn text(self) -> String {
        match self {
            Self::Forward(from) => format!("f/{}", from.event_id()),
            Self::Backward(from) => format!("b/{}", from.event_id()),
        }
    }

    /// Reads what [`Token::text`] wrote.
    ///
    /// # Errors
    ///
    /// `InvalidParameterException` for anything else.
    pub(super) fn parse(text: &str) -> Result<Self, AwsError> {
        let token = match text.split_once('/') {
            Some(("f", id)) => Position::of_event_id(id).map(Self::Forward),
            Some(("b", id)) => Position::of_event_id(id).map(Self::Backward),
            _ => None,
        };
        token.ok_or_else(invalid_token)
    }
}

/// The error for a token that this service did not create.
pub(super) fn invalid_token() -> AwsError {
    AwsError::bad_request("InvalidParameterException", "The specified nextToken is invalid.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let place = Position { at_ms: 1_700_000_000_123, id: 42 };
        for token in [Token::Forward(place), Token::Backward(place.before()), Token::Backward(Position::END)] {
            assert_eq!(Token::parse(&token.text()), Ok(token));
        }
        assert_eq!(place.event_id().len(), 56);
        for wrong in ["", "f/", "f/12", "x/1", "f/é"] {
            assert!(Token::parse(wrong).is_err(), "{wrong}");
        }
    }
}
