//! Why a call is refused, with the additional members of ECS's exceptions.

use axum::response::{IntoResponse, Response};

use crate::wire::{self, AwsError, ErrorBody};

/// A call that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The client token was used with other parameters, and started these tasks: `ConflictException` with `resourceIds`
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html#API_RunTask_Errors>).
    Conflict(Vec<String>),
    /// For any other reason.
    Error(AwsError),
}

impl From<AwsError> for Refused {
    fn from(error: AwsError) -> Self {
        Self::Error(error)
    }
}

impl From<rusqlite::Error> for Refused {
    fn from(why: rusqlite::Error) -> Self {
        Self::Error(why.into())
    }
}

impl From<Refused> for AwsError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Conflict(_) => {
                let why = "The client token was used before, with other parameters.";
                Self::bad_request("ConflictException", why)
            }
            Refused::Error(error) => error,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let arns = if let Self::Conflict(arns) = &self { Some(arns.clone()) } else { None };
        let error = AwsError::from(self);
        let Some(arns) = arns else { return error.into_response() };
        wire::refusal(error.status, &ErrorBody::new(error.code, &error.message).about(&arns))
    }
}
