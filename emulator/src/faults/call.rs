//! Determines the service and the operation of a request, from the services' protocols.

use std::fmt;

use axum::{
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};

use crate::{
    callers, dynamodb, ecs, logs,
    wire::{self, AwsError},
};

/// A service in which faults can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Ecs,
    Lambda,
    Logs,
    /// Not called; its events can be lost, duplicated and delayed.
    Events,
}

impl Service {
    pub(crate) const ALL: [Self; 5] = [Self::DynamoDb, Self::Ecs, Self::Lambda, Self::Logs, Self::Events];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Ecs => "ecs",
            Self::Lambda => "lambda",
            Self::Logs => "logs",
            Self::Events => "events",
        }
    }

    /// The operations that this machine has; `None` for events, which may be of any type.
    pub(crate) fn operations(self) -> Option<Vec<&'static str>> {
        match self {
            Self::DynamoDb => Some(dynamodb::OPERATIONS.to_vec()),
            Self::Ecs => Some(ecs::OPERATIONS.to_vec()),
            Self::Lambda => Some(LAMBDA.iter().map(|(_, _, name)| *name).collect()),
            Self::Logs => Some(logs::OPERATIONS.to_vec()),
            Self::Events => None,
        }
    }
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) service: Service,
    pub(crate) operation: String,
    /// The access key that signed it; empty if none did.
    pub(crate) by: String,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service.name(), self.operation)
    }
}

const ARMED: &str = "A fault that was armed at /_local/faults";

impl Call {
    /// The call that a request makes; `None` if it is not an AWS call.
    pub(crate) fn of(request: &Parts) -> Option<Self> {
        let by = callers::key_of_request(&request.headers).unwrap_or_default().to_owned();
        let target = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let (service, operation) = match target.and_then(|target| target.split_once('.')) {
            Some((service, operation)) => (by_target(service)?, operation),
            None => (Service::Lambda, of_lambda(&request.method, request.uri.path())?),
        };
        Some(Self { service, operation: operation.to_owned(), by })
    }

    /// The service's own throttling error, according to its model.
    pub(crate) fn throttled(&self) -> Response {
        let (status, code) = match self.service {
            Service::DynamoDb => (StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"),
            Service::Lambda => (StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException"),
            Service::Ecs | Service::Logs | Service::Events => (StatusCode::BAD_REQUEST, "ThrottlingException"),
        };
        AwsError { status, code, message: "Rate exceeded".to_owned() }.into_response()
    }

    /// The service's own server error, according to its model.
    pub(crate) fn failed(&self) -> Response {
        let code = match self.service {
            Service::DynamoDb => "InternalServerError",
            Service::Ecs => "ServerException",
            Service::Lambda => "ServiceException",
            Service::Logs => "ServiceUnavailableException",
            Service::Events => "InternalException",
        };
        wire::refusal(StatusCode::INTERNAL_SERVER_ERROR, code, ARMED)
    }

    /// An error with which the service may refuse a call, although this machine has no reason for it.
    pub(crate) fn refused(code: &str) -> Response {
        wire::refusal(StatusCode::BAD_REQUEST, code, ARMED)
    }

    /// A response of the service, in its protocol.
    pub(crate) fn answered(&self, body: &serde_json::Value) -> Response {
        let content_type = match self.service {
            Service::DynamoDb => "application/x-amz-json-1.0",
            Service::Lambda => "application/json",
            Service::Ecs | Service::Logs | Service::Events => "application/x-amz-json-1.1",
        };
        ([(header::CONTENT_TYPE, content_type)], body.to_string()).into_response()
    }
}

fn by_target(service: &str) -> Option<Service> {
    match service {
        "AmazonEC2ContainerServiceV20141113" => Some(Service::Ecs),
        "Logs_20140328" => Some(Service::Logs),
        _ if service.starts_with("DynamoDB") => Some(Service::DynamoDb),
        _ => None,
    }
}

/// Lambda's operations: method, path and name. `*` stands for any part of a path
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html>).
const LAMBDA: [(&str, &[&str], &str); 24] = [
    ("POST", &["2015-03-31", "functions", "*", "invocations"], "Invoke"),
    ("GET", &["2015-03-31", "functions"], "ListFunctions"),
    ("POST", &["2015-03-31", "functions"], "CreateFunction"),
    ("GET", &["2015-03-31", "functions", "*"], "GetFunction"),
    ("DELETE", &["2015-03-31", "functions", "*"], "DeleteFunction"),
    ("PUT", &["2015-03-31", "functions", "*", "code"], "UpdateFunctionCode"),
    ("GET", &["2015-03-31", "functions", "*", "configuration"], "GetFunctionConfiguration"),
    ("PUT", &["2015-03-31", "functions", "*", "configuration"], "UpdateFunctionConfiguration"),
    ("GET", &["2015-03-31", "functions", "*", "versions"], "ListVersionsByFunction"),
    ("POST", &["2015-03-31", "functions", "*", "versions"], "PublishVersion"),
    ("GET", &["2015-03-31", "functions", "*", "aliases"], "ListAliases"),
    ("POST", &["2015-03-31", "functions", "*", "aliases"], "CreateAlias"),
    ("GET", &["2015-03-31", "functions", "*", "aliases", "*"], "GetAlias"),
    ("PUT", &["2015-03-31", "functions", "*", "aliases", "*"], "UpdateAlias"),
    ("DELETE", &["2015-03-31", "functions", "*", "aliases", "*"], "DeleteAlias"),
    ("GET", &["2025-12-01", "functions", "*", "durable-executions"], "ListDurableExecutionsByFunction"),
    ("GET", &["2025-12-01", "durable-executions", "*"], "GetDurableExecution"),
    ("POST", &["2025-12-01", "durable-executions", "*", "checkpoint"], "CheckpointDurableExecution"),
    ("GET", &["2025-12-01", "durable-executions", "*", "history"], "GetDurableExecutionHistory"),
    ("GET", &["2025-12-01", "durable-executions", "*", "state"], "GetDurableExecutionState"),
    ("POST", &["2025-12-01", "durable-executions", "*", "stop"], "StopDurableExecution"),
    ("POST", &["2025-12-01", "durable-execution-callbacks", "*", "succeed"], "SendDurableExecutionCallbackSuccess"),
    ("POST", &["2025-12-01", "durable-execution-callbacks", "*", "fail"], "SendDurableExecutionCallbackFailure"),
    ("POST", &["2025-12-01", "durable-execution-callbacks", "*", "heartbeat"], "SendDurableExecutionCallbackHeartbeat"),
];

fn of_lambda(method: &Method, path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_at = |pattern: &[&str]| {
        pattern.len() == parts.len()
            && pattern.iter().zip(&parts).all(|(wanted, part)| *wanted == "*" || wanted == part)
    };
    let operation = LAMBDA.iter().find(|(of, pattern, _)| *of == method.as_str() && is_at(pattern));
    operation.map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn call(method: &str, path: &str, target: Option<&str>) -> Option<String> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(target) = target {
            request = request.header("x-amz-target", target);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Call::of(&parts).map(|call| call.to_string())
    }

    #[test]
    fn a_call_is_told_by_its_protocol() {
        let target = |target| call("POST", "/", Some(target)).unwrap();
        assert_eq!(target("DynamoDB_20120810.PutItem"), "dynamodb:PutItem");
        assert_eq!(target("AmazonEC2ContainerServiceV20141113.RunTask"), "ecs:RunTask");
        assert_eq!(target("Logs_20140328.GetLogEvents"), "logs:GetLogEvents");
        let lambda = |method, path| call(method, path, None);
        assert_eq!(lambda("POST", "/2015-03-31/functions/f:live/invocations").unwrap(), "lambda:Invoke");
        assert_eq!(lambda("GET", "/2015-03-31/functions/").unwrap(), "lambda:ListFunctions");
        let checkpoint = "/2025-12-01/durable-executions/arn%3Aaws%2Fdurable-execution%2Fn%2Fi/checkpoint";
        assert_eq!(lambda("POST", checkpoint).unwrap(), "lambda:CheckpointDurableExecution");
        assert_eq!(lambda("GET", "/_local/faults"), None);
        assert_eq!(call("POST", "/", Some("SomebodyElse.Thing")), None);
    }
}
