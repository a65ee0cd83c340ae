//! Errors in the format of the Runtime API. The response to a failed invocation has the same format.

use serde::{Deserialize, Serialize};

use crate::lambda::durable::operation::ErrorObject;

/// An error.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RuntimeError {
    error_message: Option<String>,
    error_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_trace: Option<Vec<String>>,
}

impl RuntimeError {
    /// An error of the Runtime API itself.
    pub(crate) fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_message: Some(message.into()), error_type: Some(error_type.to_owned()), stack_trace: None }
    }
}

impl From<ErrorObject> for RuntimeError {
    fn from(error: ErrorObject) -> Self {
        Self { error_message: error.error_message, error_type: error.error_type, stack_trace: error.stack_trace }
    }
}

impl From<RuntimeError> for ErrorObject {
    fn from(error: RuntimeError) -> Self {
        Self {
            error_message: error.error_message,
            error_type: error.error_type,
            stack_trace: error.stack_trace,
            error_data: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failed_invocation_answers_with_the_functions_error() {
        let bare = serde_json::to_value(RuntimeError::from(ErrorObject::message("m"))).unwrap();
        assert_eq!(bare, json!({ "errorMessage": "m", "errorType": null }));
        let error = ErrorObject {
            stack_trace: Some(vec!["s".into()]),
            error_data: Some("kept by durable executions only".into()),
            ..ErrorObject::new("T", "m")
        };
        let whole = serde_json::to_value(RuntimeError::from(error)).unwrap();
        assert_eq!(whole, json!({ "errorMessage": "m", "errorType": "T", "stackTrace": ["s"] }));
    }
}
