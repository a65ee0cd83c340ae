//! Serves the AWS endpoints, and injects faults.
//!
//! To cut a connection, the service that hyper drives returns an error, and hyper closes the connection without a response.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::request::Parts,
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::Service};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

use super::{
    Faults,
    about::{decoded, names},
    call::Call,
    fault::{Does, seconds},
};
use crate::{
    callers::{self, Callers},
    clock::Clock,
    ecs::Ecs,
    guard::{self, Hosts},
    lambda, s3,
    service::Protocol,
    unread,
};

/// The calls that each caller may make: see [`crate::Resources::permissions`].
pub(crate) type Permissions = BTreeMap<String, BTreeSet<String>>;

type Request<B> = axum::http::Request<B>;

/// The AWS endpoints, with faults injected in front of them.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hosts: Hosts,
    endpoints: TowerToHyperService<Router>,
    faults: Faults,
    callers: Callers,
    ecs: Ecs,
    clock: Clock,
    permissions: Permissions,
}

/// The connection has to be closed.
#[derive(Debug, thiserror::Error)]
#[error("a fault cuts this connection")]
struct Cut;

impl Endpoints {
    pub(crate) fn new(
        hosts: Hosts,
        endpoints: Router,
        faults: Faults,
        callers: Callers,
        ecs: Ecs,
        clock: Clock,
        permissions: Permissions,
    ) -> Self {
        Self(Arc::new(Inner {
            hosts,
            endpoints: TowerToHyperService::new(endpoints),
            faults,
            callers,
            ecs,
            clock,
            permissions,
        }))
    }

    /// Serves as long as it is polled.
    pub(crate) async fn serve(self, listener: TcpListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(why) => {
                    // Most likely, too many files are open; some will be closed.
                    tracing::error!(%why, "cannot accept a connection; retrying");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    continue;
                }
            };
            let front = self.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let front = front.clone();
                    async move { front.answer(request).await }
                });
                // A client or a fault closed the connection, which needs no report.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response, Cut> {
        let (parts, body) = request.into_parts();
        let body = unread::body(&parts, body);
        if let Err(refused) = guard::check_aws(&self.0.hosts, &parts) {
            return Ok(refused.at_aws(parts.uri.path()));
        }
        if s3::is_presigned(&parts)
            && let Err(refused) = s3::check_presigned(&parts, self.0.clock.now())
        {
            return Ok(*refused);
        }
        let Some((call, service)) = Call::of(&parts) else {
            return self.pass(Request::from_parts(parts, body)).await;
        };
        if self.is_denied(&call) {
            return Ok(service.denied(&call));
        }
        if self.0.faults.is_empty() {
            return self.pass(Request::from_parts(parts, body)).await;
        }
        // A fault can select a call by what its body says, except where bodies may be larger than the memory.
        let (body, text) = match service.protocol {
            Protocol::Xml => (body, Bytes::new()),
            Protocol::Json => {
                let text = whole(body).await?;
                (Body::from(text.clone()), text)
            }
        };
        let subject = self.subject(&call, &parts, &text);
        let decision = self.0.faults.meet(
            &call,
            |execution| subject.iter().any(|text| names(text, execution)),
            self.0.clock.now(),
        );
        let request = Request::from_parts(parts, body);
        let Some(mut decision) = decision else { return self.pass(request).await };
        match decision.does.clone() {
            Does::Watch => self.pass(request).await,
            Does::Throttle => Ok(service.throttled()),
            Does::Fail => Ok(service.failed()),
            Does::Refuse(code) => Ok(service.refused(&code)),
            Does::Answer(body) => Ok(service.respond(match (service.protocol, body) {
                (Protocol::Xml, Value::String(document)) => document,
                (_, body) => body.to_string(),
            })),
            Does::Delay(after) => {
                tokio::select! {
                    () = tokio::time::sleep(seconds(after)) => {}
                    () = decision.cleared() => {}
                }
                self.pass(request).await
            }
            Does::Hang => {
                decision.cleared().await;
                Err(Cut)
            }
            Does::CutBefore => Err(Cut),
            Does::CutAfter => self.pass(request).await.and(Err(Cut)),
            Does::Repeat => {
                let (parts, body) = request.into_parts();
                let body = whole(body).await?;
                self.pass(Request::from_parts(parts.clone(), Body::from(body.clone()))).await?;
                self.pass(Request::from_parts(parts, Body::from(body))).await
            }
            Does::KillBefore => self.kill(&call),
            Does::KillAfter => {
                self.pass(request).await?;
                self.kill(&call)
            }
        }
    }

    fn is_denied(&self, call: &Call) -> bool {
        let allowed = self.0.permissions.get(callers::name_of(&call.by));
        allowed.is_some_and(|allowed| !allowed.contains(&call.to_string()))
    }

    async fn pass(&self, request: Request<Body>) -> Result<Response, Cut> {
        self.0.endpoints.call(request).await.map_err(|never: Infallible| match never {})
    }

    fn kill(&self, call: &Call) -> Result<Response, Cut> {
        self.0.callers.kill(&call.by);
        Err(Cut)
    }

    /// The texts that show which executions a call is about: what its caller works for, what the call names, and the owners of the tasks
    /// that it names.
    fn subject(&self, call: &Call, parts: &Parts, body: &Bytes) -> Vec<String> {
        let mut subject =
            vec![decoded(&parts.uri.to_string()).into_owned(), String::from_utf8_lossy(body).into_owned()];
        subject.extend(self.0.callers.execution_of(&call.by));
        subject.extend(
            parts.headers.get("x-amz-durable-execution-name").and_then(|name| Some(name.to_str().ok()?.to_owned())),
        );
        subject.extend(lambda::execution_of_callback(parts.uri.path()));
        let named = serde_json::from_slice::<Named>(body).unwrap_or_default();
        subject.extend(named.tasks().filter_map(|task| self.0.ecs.started_by(task)));
        subject
    }
}

/// The whole body of a request.
async fn whole(body: Body) -> Result<Bytes, Cut> {
    axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Cut)
}

/// What a call of ECS or of the logs names.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Named {
    tasks: Option<Vec<String>>,
    task: Option<String>,
    log_stream_name: Option<String>,
}

impl Named {
    /// The ids of the tasks: the last part of an ARN and of a stream's name.
    fn tasks(&self) -> impl Iterator<Item = &str> {
        let many = self.tasks.iter().flatten().chain(&self.task).chain(&self.log_stream_name);
        many.filter_map(|name| name.rsplit('/').next())
    }
}
