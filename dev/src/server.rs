//! Serves the API, with limits so that slow, silent or numerous clients cannot exhaust what the others need.
//!
//! On AWS, API Gateway does this. The AWS endpoints are for SDKs on this machine, which keep connections open for a long time, and are
//! served without limits.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
};

/// How long a client may take to send a request's head, or to begin the next request: as long as API Gateway may take to answer one.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// Most bytes of a request's head; API Gateway takes 10,240
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
const HEAD_BYTES: usize = 16 * 1024;

/// Most files that the stack and each of its processes may have open, if the machine lets them. Programs that go through all
/// possible ones when they start become slow with more.
const FILES: u64 = 65_536;

/// How long to wait when there are no files left for a new connection.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Raises the limit of open files as far as the machine allows: connections soon use up the usual default of 1,024.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = limit.maximum.unwrap_or(FILES).min(FILES);
    if limit.current.is_some_and(|current| current < raised) {
        let raised = Rlimit { current: Some(raised), maximum: limit.maximum };
        if let Err(why) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%why, "the limit of open files stays as it is");
        }
    }
}

/// Half of the files that may be open: the other half is for the stack itself. More connections wait until others end.
fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(FILES).min(FILES);
    usize::try_from(files / 2).unwrap_or(1)
}

/// Most connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens, with `TCP_NODELAY`: responses are small and awaited, and a part that is held back until the previous part is acknowledged
/// comes 40 ms late. Connections inherit this option from the listener.
///
/// # Errors
///
/// If the address is in use, or does not belong to this machine.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

pub(crate) async fn serve(listener: TcpListener, router: Router) {
    let slots = Arc::new(Semaphore::new(most_connections()));
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        let stream = accept(&listener).await;
        let router = router.clone();
        tokio::spawn(async move {
            if let Err(why) = converse(stream, router).await {
                tracing::debug!(%why, "a connection ended in the middle");
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
                tracing::error!(%why, "connections cannot be accepted");
                tokio::time::sleep(OUT_OF_FILES).await;
            }
        }
    }
}

/// The client, before it was accepted.
fn gone(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

async fn converse(stream: TcpStream, router: Router) -> Result<(), hyper::Error> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        // A client that has closed its sending side still wants its response, for example `nc -N`.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}
