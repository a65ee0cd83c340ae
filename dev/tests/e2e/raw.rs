//! HTTP by hand: what no client library would send.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::stack::{PATIENCE, Stack};

/// A connection to the API, and nothing sent yet.
pub(crate) async fn connect(stack: &Stack) -> TcpStream {
    TcpStream::connect(stack.api.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Sends these bytes and no more, and reads until the other side ends the connection. A connection that it breaks is one
/// that it ended.
pub(crate) async fn exchange(stack: &Stack, bytes: &[u8]) -> Vec<u8> {
    let (mut reads, mut writes) = connect(stack).await.into_split();
    let mut answer = Vec::new();
    let talk = async {
        let send = async {
            // It may have seen enough before all was sent.
            if writes.write_all(bytes).await.is_ok() {
                let _ = writes.shutdown().await;
            }
        };
        let _ = tokio::join!(send, reads.read_to_end(&mut answer));
    };
    tokio::time::timeout(PATIENCE, talk).await.unwrap_or_else(|_| panic!("no end to: {}", shown(bytes)));
    answer
}

/// The statuses of the answers in these bytes, one after the other. Bodies of ours have no line that begins like one.
pub(crate) fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let heads = text.match_indices("HTTP/1.").filter(|(at, _)| *at == 0 || text[..*at].ends_with(['\n', '}']));
    heads.map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

/// The beginning of a request, for a person to read.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(120).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect()
}
