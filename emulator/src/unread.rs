//! Receives what is left of a request's body after a response that did not need it. Otherwise the connection would be closed while the
//! client is still sending, and most clients would report a broken pipe instead of the response.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::{header, request::Parts},
};
use futures_util::StreamExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// How much is received in vain, in bytes. After that, the connection is closed.
const LIMIT: usize = 1024 * 1024 * 1024;

/// The body of a request, the rest of which is received when it is dropped.
#[derive(Debug)]
struct Received(Option<Incoming>);

/// The body of this request. A client that expects `100 Continue` sends nothing before it, so nothing has to be received.
pub(crate) fn body(request: &Parts, body: Incoming) -> Body {
    if request.headers.contains_key(header::EXPECT) { Body::new(body) } else { Body::new(Received(Some(body))) }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        let left = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (left, Handle::try_current()) {
            runtime.spawn(async move {
                let mut rest = Body::new(body).into_data_stream();
                let mut received = 0;
                while let Some(Ok(piece)) = rest.next().await {
                    received += piece.len();
                    if received > LIMIT {
                        break;
                    }
                }
            });
        }
    }
}
