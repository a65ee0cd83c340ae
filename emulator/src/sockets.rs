//! Listening sockets, and how many files may be open for their connections.

use std::{io, net::SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

/// The maximum number of files that this process and each process that it starts may have open, if the machine allows it. With a higher
/// limit, programs that close every possible file descriptor when they start would become slow.
const FILES: u64 = 65_536;

/// The maximum number of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Raises the limit of open files as far as the machine allows: connections soon use up the usual default of 1,024.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = limit.maximum.unwrap_or(FILES).min(FILES);
    if limit.current.is_some_and(|current| current < raised) {
        let raised = Rlimit { current: Some(raised), maximum: limit.maximum };
        if let Err(why) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%why, "cannot raise the limit of open files");
        }
    }
}

/// How many files this process may have open.
#[must_use]
pub fn open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(FILES).min(FILES)
}

/// Listens, with `TCP_NODELAY`: clients wait for responses, which are small, and without this option a part of a response can arrive 40 ms
/// late, because it is held back until the previous part is acknowledged. Connections inherit the option from the listener.
///
/// # Errors
///
/// If the address is in use, or does not belong to this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
