//! Serves the API to whoever connects: no client can take what the others need, however slow, silent or many they are.
//!
//! On AWS this is API Gateway's work. The AWS endpoints beside it are for this machine's own SDKs, which keep connections for
//! long, and are served without limits.

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

/// How long a client may take to send a request's head, or to think of the next request: as long as API Gateway takes to
/// answer one.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// Most bytes of a request's head; API Gateway takes 10,240
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
const HEAD_BYTES: usize = 16 * 1024;

/// Most files that the stack and each of its processes may have open, if the machine lets them. Programs that go through all
/// possible ones when they start become slow with more.
const FILES: u64 = 65_536;

/// How long to wait when there are no files left for a new connection.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Takes as many open files as the machine gives: what is usual at first, 1,024, is soon used up by connections.
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

/// Listens. Each connection sends what it has at once: answers are small and awaited, and a part of one that is held back until
/// the part before it is acknowledged comes 40 ms late. The kernel hands this on from a listener to its connections.
///
/// # Errors
///
/// The address is taken, or is none of this machine's.
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
                tracing::error!(%why, "no connection can be taken");
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
        // Who says that nothing more will come still wants its answer, as `nc -N` does.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}
