//! Serves the API, with limits so that slow, silent or numerous clients cannot exhaust what the others need.
//!
//! On AWS, API Gateway does this. The AWS endpoints are for SDKs on this machine, which keep connections open for a long time, and are
//! served without limits.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::Router;
use emulator::sockets;
use hyper::{
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// How long a client may take to send a request's head, or to begin the next request. It is as long as API Gateway's limit for a response.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum size of a request's head in bytes; API Gateway accepts 10,240
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
const HEAD_BYTES: usize = 16 * 1024;

/// How long to wait when too many files are open to accept another connection.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// The maximum number of connections: half of the files that may be open. The other half is for the stack itself. More connections wait
/// until others end.
fn most_connections() -> usize {
    usize::try_from(sockets::open_files() / 2).unwrap_or(1)
}

/// The API that is served. It can be replaced at any time, also between two requests of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Current(Arc<RwLock<Router>>);

impl Current {
    pub(crate) fn new(router: Router) -> Self {
        Self(Arc::new(RwLock::new(router)))
    }

    pub(crate) fn replace(&self, router: Router) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = router;
    }

    fn router(&self) -> Router {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(crate) async fn serve(listener: TcpListener, current: Current) {
    let slots = Arc::new(Semaphore::new(most_connections()));
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = accept(&listener).await;
        let current = current.clone();
        tokio::spawn(async move {
            if let Err(why) = converse(stream, current).await {
                tracing::debug!(%why, "a client's connection failed");
            }
            drop(slot);
        });
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(why) if gone(&why) => {}
            Err(why) => {
                tracing::error!(%why, "cannot accept a connection; retrying");
                tokio::time::sleep(OUT_OF_FILES).await;
            }
        }
    }
}

/// Whether the client closed the connection before it was accepted.
fn gone(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

async fn converse(stream: TcpStream, current: Current) -> Result<(), hyper::Error> {
    let service = service_fn(|request| TowerToHyperService::new(current.router()).call(request));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        // A client that has closed its sending side still wants its response, for example `nc -N`.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
