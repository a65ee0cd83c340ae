//! What AWS's JSON protocols have in common: the form of requests and errors.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::de::DeserializeOwned;
use serde_json::json;

/// An error response of AWS. The REST protocols have the code in a header, the JSON protocols in the body; here it is in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsError {
    /// HTTP status.
    pub status: StatusCode,
    /// Name of the exception.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

impl AwsError {
    /// An error of the caller: 400.
    #[must_use]
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into() }
    }

    /// An error of the emulator: 500.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: "InternalFailure", message: message.into() }
    }
}

/// Parses the body of a request. An empty body is an empty request.
///
/// # Errors
///
/// `SerializationException`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|why| AwsError::bad_request("SerializationException", why.to_string()))
}

/// Declares the operations of a service: `OPERATIONS` has their names, and `dispatch` calls the method of an operation.
macro_rules! operations {
    ($service:ident as $named:literal, $error:ty: $($name:literal => $method:ident),+ $(,)?) => {
        /// The operations that are answered here.
        pub(crate) const OPERATIONS: &[&str] = &[$($name),+];

        impl $service {
            fn dispatch(&self, operation: &str, body: &[u8]) -> Result<serde_json::Value, $error> {
                match operation {
                    $($name => Ok(self.$method(&$crate::wire::parse(body)?)?),)+
                    _ => {
                        let why = format!(concat!($named, " has no {} here"), operation);
                        Err(AwsError::bad_request("UnknownOperationException", why).into())
                    }
                }
            }
        }
    };
}
pub(crate) use operations;

impl From<rusqlite::Error> for AwsError {
    fn from(why: rusqlite::Error) -> Self {
        Self::internal(format!("the emulator's database failed: {why}"))
    }
}

impl IntoResponse for AwsError {
    fn into_response(self) -> Response {
        refusal(self.status, self.code, &self.message)
    }
}

/// An error response that is valid in all protocols of the services.
pub(crate) fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "__type": code, "message": message, "Message": message });
    (status, [("x-amzn-errortype", code)], Json(body)).into_response()
}
