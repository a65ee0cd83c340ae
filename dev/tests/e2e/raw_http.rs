//! Raw HTTP, for requests that no client library sends.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::stack::{PATIENCE, Stack};

/// Opens a connection to the API.
pub(crate) async fn connect(stack: &Stack) -> TcpStream {
    TcpStream::connect(stack.api.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Sends these bytes, and reads until the server closes or resets the connection.
pub(crate) async fn exchange(stack: &Stack, bytes: &[u8]) -> Vec<u8> {
    let (mut reads, mut writes) = connect(stack).await.into_split();
    let mut answer = Vec::new();
    let talk = async {
        let send = async {
            // The server may close the connection before everything is sent.
            if writes.write_all(bytes).await.is_ok() {
                let _ = writes.shutdown().await;
            }
        };
        let _ = tokio::join!(send, reads.read_to_end(&mut answer));
    };
    tokio::time::timeout(PATIENCE, talk)
        .await
        .unwrap_or_else(|_| panic!("the server did not close the connection after {}", shown(bytes)));
    answer
}

/// The statuses of the responses in these bytes, in order. No body has a line that begins like a status line.
pub(crate) fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let heads = text.match_indices("HTTP/1.").filter(|(at, _)| *at == 0 || text[..*at].ends_with(['\n', '}']));
    heads.map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

/// The beginning of a request, in a readable form.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(120).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect()
}
