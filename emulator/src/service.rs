//! The interface of an emulated service to the gateway, the faults, the request log and the coverage table.

use std::{fmt, pin::Pin};

use axum::{
    body::Bytes,
    extract::{FromRequest as _, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};

use crate::{
    dynamodb, ecs, events, lambda, logs, s3,
    wire::{self, AwsError, ErrorBody},
};

/// Facts about a service that are known without running it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its name in faults and logs.
    pub(crate) name: &'static str,
    /// AWS's name for it.
    pub(crate) title: &'static str,
    /// The services that `x-amz-target` may name, before the dot; none for a service that is called by its paths.
    pub(crate) targets: &'static [&'static str],
    /// The operations that are answered.
    pub(crate) operations: &'static [&'static str],
    /// Its throttling error, according to its model.
    pub(crate) throttling: (StatusCode, &'static str),
    /// Its server error, according to its model.
    pub(crate) failure: &'static str,
    /// The content type of its responses.
    pub(crate) content_type: &'static str,
    /// The protocol of its errors.
    pub(crate) protocol: Protocol,
    /// Where it is known to differ from AWS, as Markdown.
    pub(crate) differences: &'static [&'static str],
}

/// The form of requests and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// One of the JSON protocols. Bodies are small.
    Json,
    /// That of S3: XML, and bodies of any size, which are streamed.
    Xml,
}

/// Where all services are known to differ from AWS, as Markdown.
pub(crate) const DIFFERENCES: [&str; 2] = [
    "Signatures are not verified, except those of presigned URLs: a request must have one, but every key and every secret is accepted. \
     The key names the caller. Presigned URLs must be signed with the secret key `local`, which functions and containers have.",
    "There are no roles and no policies. `permissions` in the resources lists the calls that a caller may make, on any resource: its \
     other calls are refused with `AccessDeniedException` and status 400, by S3 with `AccessDenied` and 403. A caller that is not in the list may make every call.",
];

/// All services, sorted by name.
pub(crate) static ALL: [&Facts; 6] =
    [&dynamodb::FACTS, &ecs::FACTS, &events::FACTS, &lambda::FACTS, &logs::FACTS, &s3::FACTS];

/// A future that completes with the response to a call.
pub(crate) type Answer<'a> = Pin<Box<dyn Future<Output = Response> + Send + 'a>>;

/// A service that is running.
pub(crate) trait Service: fmt::Debug + Send + Sync {
    /// The facts about it.
    fn facts(&self) -> &'static Facts;

    /// Answers a call of an operation, which may be one that the service does not have.
    fn answer<'a>(&'a self, operation: &'a str, request: Request) -> Answer<'a>;
}

/// The service and the operation that a request calls; `None` if no service has it.
pub(crate) fn called(request: &Parts) -> Option<(&'static Facts, String)> {
    let target = request.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    match target.and_then(|target| target.split_once('.')) {
        Some((service, operation)) => {
            let facts = ALL.into_iter().find(|facts| facts.targets.contains(&service))?;
            Some((facts, operation.to_owned()))
        }
        None if s3::is_called(request) => Some((&s3::FACTS, s3::operation(request).to_owned())),
        None => Some((&lambda::FACTS, lambda::operation(&request.method, request.uri.path())?.to_owned())),
    }
}

/// Reads the body of a request, up to the gateway's limit.
pub(crate) async fn body(request: Request) -> Result<Bytes, Response> {
    Bytes::from_request(request, &()).await.map_err(IntoResponse::into_response)
}

/// A response in a service's protocol, if it is one of the JSON protocols.
pub(crate) fn json(facts: &Facts, answer: Result<String, impl IntoResponse>) -> Response {
    match answer {
        Ok(body) => facts.respond(body),
        Err(refused) => refused.into_response(),
    }
}

const ARMED: &str = "A fault that was armed at /_local/faults";

impl Facts {
    /// A response with this body.
    pub(crate) fn respond(&self, body: String) -> Response {
        ([(header::CONTENT_TYPE, self.content_type)], body).into_response()
    }

    /// The throttling error.
    pub(crate) fn throttled(&self) -> Response {
        let (status, code) = self.throttling;
        match self.protocol {
            Protocol::Json => AwsError { status, code, message: "Rate exceeded".to_owned() }.into_response(),
            Protocol::Xml => s3::refusal(code, None),
        }
    }

    /// The server error.
    pub(crate) fn failed(&self) -> Response {
        match self.protocol {
            Protocol::Json => wire::refusal(StatusCode::INTERNAL_SERVER_ERROR, &ErrorBody::new(self.failure, ARMED)),
            Protocol::Xml => s3::refusal(self.failure, None),
        }
    }

    /// The error for a call that its caller is not allowed to make.
    pub(crate) fn denied(&self, call: &impl fmt::Display) -> Response {
        let why = format!("the caller has no permission for {call}");
        match self.protocol {
            Protocol::Json => AwsError::bad_request("AccessDeniedException", why).into_response(),
            Protocol::Xml => s3::refusal("AccessDenied", Some(&why)),
        }
    }

    /// An error with which AWS may refuse a call, although the emulator never does so itself.
    pub(crate) fn refused(&self, code: &str) -> Response {
        match self.protocol {
            Protocol::Json => wire::refusal(StatusCode::BAD_REQUEST, &ErrorBody::new(code, ARMED)),
            Protocol::Xml => s3::refusal(code, None),
        }
    }
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
        called(&parts).map(|(service, operation)| format!("{}:{operation}", service.name))
    }

    #[test]
    fn the_operation_of_a_call_is_read_from_its_protocol() {
        let target = |target| call("POST", "/", Some(target)).unwrap();
        assert_eq!(target("DynamoDB_20120810.PutItem"), "dynamodb:PutItem");
        assert_eq!(target("DynamoDBStreams_20120810.GetRecords"), "dynamodb:GetRecords");
        assert_eq!(target("AmazonEC2ContainerServiceV20141113.RunTask"), "ecs:RunTask");
        assert_eq!(target("AWSEvents.PutEvents"), "eventbridge:PutEvents");
        assert_eq!(target("Logs_20140328.GetLogEvents"), "logs:GetLogEvents");
        let lambda = |method, path| call(method, path, None);
        assert_eq!(lambda("POST", "/2015-03-31/functions/f:live/invocations").unwrap(), "lambda:Invoke");
        assert_eq!(lambda("GET", "/2015-03-31/functions/").unwrap(), "lambda:ListFunctions");
        let checkpoint = "/2025-12-01/durable-executions/arn%3Aaws%2Fdurable-execution%2Fn%2Fi/checkpoint";
        assert_eq!(lambda("POST", checkpoint).unwrap(), "lambda:CheckpointDurableExecution");
        assert_eq!(lambda("GET", "/_local/faults"), None);
        let s3 = |method: &str, uri: &str| {
            let signature = "AWS4-HMAC-SHA256 Credential=a.b/20260101/us-east-1/s3/aws4_request, Signature=0";
            let request = Request::builder().method(method).uri(uri).header("authorization", signature);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            called(&parts).map(|(service, operation)| format!("{}:{operation}", service.name)).unwrap()
        };
        assert_eq!(s3("PUT", "/bucket/a/b"), "s3:PutObject");
        assert_eq!(s3("GET", "/2015-03-31/functions/"), "s3:GetObject", "the signature decides, not the path");
        assert_eq!(s3("GET", "/bucket?list-type=2&prefix="), "s3:ListObjectsV2");
        assert_eq!(s3("GET", "/bucket/key?acl"), "s3:Unsupported");
        assert_eq!(call("POST", "/", Some("SomebodyElse.Thing")), None);
    }

    #[test]
    fn names_are_sorted_and_operations_are_listed_once() {
        assert!(ALL.is_sorted_by_key(|facts| facts.name));
        for facts in ALL {
            let mut names = facts.operations.to_vec();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), facts.operations.len(), "{}", facts.name);
        }
    }
}
