//! Identifies the caller, from what an authorizer verified, never from a header that the caller can set.

use axum::{
    extract::FromRequestParts,
    http::{Extensions, HeaderMap, HeaderName, request::Parts},
};
use domain::Owner;
use lambda_http::{aws_lambda_events::apigw::ApiGatewayV2httpRequestContext, request::RequestContext};

use crate::{
    answers::problem::{Code, Problem},
    app::App,
};

/// How callers are identified.
#[derive(Debug, Clone)]
pub enum Callers {
    /// By API Gateway's authorizer: the JWT's subject, or the IAM user or role.
    Authorized,
    /// All callers are this one, because only users of this machine can reach a loopback address.
    Only(Owner),
    /// By a header that they set themselves, to try out several callers; without it, they are this owner. This is not a security
    /// measure.
    Named(HeaderName, Owner),
}

impl Callers {
    /// The header with which callers name themselves, if there is one.
    pub(crate) fn header(&self) -> Option<HeaderName> {
        match self {
            Self::Named(header, _) => Some(header.clone()),
            Self::Authorized | Self::Only(_) => None,
        }
    }

    /// The caller of a request, if it is authenticated.
    pub(crate) fn sender(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<Owner> {
        match self {
            Self::Authorized => verified_owner(gateway(extensions)?),
            Self::Only(owner) => Some(owner.clone()),
            Self::Named(header, other) => match headers.get(header) {
                None => Some(other.clone()),
                Some(name) => Some(Owner::new(name.to_str().ok().filter(|name| !name.is_empty())?)),
            },
        }
    }
}

/// What API Gateway says about a request, if it came through one.
pub(crate) fn gateway(extensions: &Extensions) -> Option<&ApiGatewayV2httpRequestContext> {
    match extensions.get::<RequestContext>()? {
        RequestContext::ApiGatewayV2(context) => Some(context),
        _ => None,
    }
}

/// The caller of a request.
pub(crate) struct Caller(pub(crate) Owner);

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let owner = app.callers.sender(&parts.headers, &parts.extensions);
        let nobody = || match app.callers.header() {
            Some(header) => format!("the header {header} names the caller; it must be ASCII and not empty"),
            None => "no authorizer has authenticated this request".to_owned(),
        };
        owner.map(Caller).ok_or_else(|| Problem::new(Code::Unauthenticated, nobody()))
    }
}

/// The verified owner. JWT subjects and IAM principals have separate namespaces, so that no JWT's subject can pass for an ARN.
fn verified_owner(context: &ApiGatewayV2httpRequestContext) -> Option<Owner> {
    let authorizer = context.authorizer.as_ref()?;
    let subject = authorizer.jwt.as_ref().and_then(|jwt| jwt.claims.get("sub"));
    if let Some(subject) = subject.filter(|subject| !subject.is_empty()) {
        return Some(Owner::new(format!("jwt:{subject}")));
    }
    let principal = authorizer.iam.as_ref().and_then(|iam| iam.user_arn.as_ref());
    principal.filter(|arn| !arn.is_empty()).map(|arn| Owner::new(format!("iam:{}", without_session(arn))))
}

/// Removes the session's name from an ARN. A role is one caller, regardless of who has assumed it. Callers choose the session's name
/// themselves when they assume a role, and most tools choose a new one each time. So the name proves nothing, and if it were part of the
/// owner, a caller would not find its own executions in its next session
/// (<https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>). In a role of Identity Center, the session's name is the
/// person's name, which cannot be chosen (<https://docs.aws.amazon.com/singlesignon/latest/userguide/referencingpermissionsets.html>).
fn without_session(user_arn: &str) -> &str {
    match user_arn.rsplit_once('/') {
        Some((role, _)) if role.contains(":assumed-role/") && !role.contains(":assumed-role/AWSReservedSSO_") => role,
        _ => user_arn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_caller_and_a_person_another() {
        for (user_arn, principal) in [
            ("arn:aws:iam::1:user/team/eve", "arn:aws:iam::1:user/team/eve"),
            ("arn:aws:sts::1:assumed-role/jobs/botocore-session-17", "arn:aws:sts::1:assumed-role/jobs"),
            ("arn:aws:sts::1:assumed-role/jobs/eve@example.com", "arn:aws:sts::1:assumed-role/jobs"),
            (
                "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/eve@example.com",
                "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/eve@example.com",
            ),
            ("arn:aws:sts::1:federated-user/eve", "arn:aws:sts::1:federated-user/eve"),
            ("arn:aws:iam::1:root", "arn:aws:iam::1:root"),
        ] {
            assert_eq!(without_session(user_arn), principal);
        }
    }
}
