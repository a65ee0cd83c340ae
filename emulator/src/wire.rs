//! What AWS's JSON protocols have in common: the form of requests, responses, times and errors.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};

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

/// Writes the body of a response.
///
/// # Errors
///
/// A 500 if the response cannot be written as JSON.
pub(crate) fn write(response: &impl Serialize) -> Result<String, AwsError> {
    serde_json::to_string(response).map_err(|why| AwsError::internal(why.to_string()))
}

/// A response without members.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Empty {}

/// A time as a number of seconds since 1970, with milliseconds: the format of all responses
/// (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seconds(Timestamp);

impl From<Timestamp> for Seconds {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 fit a double for the next 280,000 years"
        )]
        serializer.serialize_f64(self.0.as_millisecond() as f64 / 1_000.0)
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        #[expect(clippy::cast_possible_truncation, reason = "a float that is too large saturates, and is refused")]
        let at = Timestamp::from_millisecond((seconds * 1_000.0).round() as i64);
        at.map(Self).map_err(serde::de::Error::custom)
    }
}

/// Declares the operations of a service: `OPERATIONS` has their names, and `dispatch` calls the method of an operation.
macro_rules! operations {
    ($service:ident as $named:literal, $error:ty: $($name:literal => $method:ident),+ $(,)?) => {
        /// The operations that are answered here.
        pub(crate) const OPERATIONS: &[&str] = &[$($name),+];

        impl $service {
            fn dispatch(&self, operation: &str, body: &[u8]) -> Result<String, $error> {
                match operation {
                    $($name => Ok($crate::wire::write(&self.$method(&$crate::wire::parse(body)?)?)?),)+
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
        refusal(self.status, &ErrorBody::new(self.code, &self.message))
    }
}

/// The body of an error. It is valid in the protocols of all services: some have `message`, others `Message`.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ErrorBody<'a> {
    #[serde(rename = "__type")]
    code: &'a str,
    message: &'a str,
    #[serde(rename = "Message")]
    capitalized: &'a str,
    #[serde(rename = "resourceIds", skip_serializing_if = "Option::is_none")]
    resource_ids: Option<&'a [String]>,
}

impl<'a> ErrorBody<'a> {
    /// An error with its name and what is wrong.
    pub(crate) fn new(code: &'a str, message: &'a str) -> Self {
        Self { code, message, capitalized: message, resource_ids: None }
    }

    /// The same error about these resources, which only ECS's `ConflictException` names.
    pub(crate) fn about(self, resource_ids: &'a [String]) -> Self {
        Self { resource_ids: Some(resource_ids), ..self }
    }
}

/// An error response.
pub(crate) fn refusal(status: StatusCode, body: &ErrorBody<'_>) -> Response {
    (status, [("x-amzn-errortype", body.code)], Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_a_float_and_read_back() {
        for (millis, written) in
            [(0, "0.0"), (1_764_281_566_000, "1764281566.0"), (1_764_281_566_123, "1764281566.123")]
        {
            let at = Seconds(Timestamp::from_millisecond(millis).unwrap());
            assert_eq!(serde_json::to_string(&at).unwrap(), written);
            assert_eq!(serde_json::from_str::<Seconds>(written).unwrap(), at);
        }
    }
}
