//! Sends one request to a server repeatedly, on several connections, and prints the latencies as JSON.
//!
//! `load URL CONNECTIONS SECONDS METHOD [BODY] [HEADER…]`. It uses one thread, to leave the rest of a small machine to the
//! server. Each connection sends the next request when it has received a response. Requests sent during the warm-up are not
//! counted.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
};

type Failed = Box<dyn std::error::Error>;

const WARM_UP: Duration = Duration::from_millis(300);
/// How long after the end a connection may wait for its last response.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Tally {
    microseconds: Vec<u128>,
    /// All requests, including those of the warm-up: the processor time is measured for all of them.
    asked: u64,
    statuses: BTreeMap<u16, u64>,
    failed: u64,
    why: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, connections, seconds, method, rest @ ..] = arguments.as_slice() else {
        return Err("load URL CONNECTIONS SECONDS METHOD [BODY] [HEADER…]".into());
    };
    let url = url.strip_prefix("http://").ok_or("the URL must start with http://")?;
    let (address, path) = url.split_once('/').unwrap_or((url, ""));
    let (body, headers) = rest.split_first().map_or(("", &[][..]), |(body, headers)| (body.as_str(), headers));
    let mut request = format!("{method} /{path} HTTP/1.1\r\nhost: {address}\r\n");
    for header in headers {
        request.extend([header, "\r\n"]);
    }
    if method == "POST" {
        request.extend(["content-length: ", &body.len().to_string(), "\r\n"]);
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("content-type:")) {
            request += "content-type: application/json\r\n";
        }
    }
    let request = Rc::new(format!("{request}\r\n{body}").into_bytes());
    let (connections, seconds): (usize, f64) = (connections.parse()?, seconds.parse()?);
    let began = Instant::now() + WARM_UP;
    let until = began + Duration::from_secs_f64(seconds);
    let tally = Rc::new(RefCell::new(Tally::default()));
    let all = LocalSet::new();
    for _ in 0..connections {
        let (tally, request, address) = (tally.clone(), request.clone(), address.to_owned());
        all.spawn_local(async move {
            let asked =
                tokio::time::timeout_at((until + PATIENCE).into(), ask(&address, &request, began, until, &tally));
            if let Err(why) = asked.await.map_err(Failed::from).flatten() {
                let mut tally = tally.borrow_mut();
                tally.failed += 1;
                tally.why = Some(why.to_string());
            }
        });
    }
    all.await;
    let took = began.elapsed().as_secs_f64();
    let mut tally = tally.borrow_mut();
    tally.microseconds.sort_unstable();
    let count = tally.microseconds.len();
    let at = |per_cent: usize| tally.microseconds.get((count * per_cent / 100).min(count.saturating_sub(1))).copied();
    let milliseconds = |per_cent| at(per_cent).map(|it| f64::from(u32::try_from(it).unwrap_or(u32::MAX)) / 1_000.0);
    let statuses: BTreeMap<_, _> = tally.statuses.iter().map(|(status, count)| (status.to_string(), count)).collect();
    let rate = f64::from(u32::try_from(count)?) / took;
    println!(
        "{}",
        json!({ "rate": rate, "count": count, "p50": milliseconds(50), "p99": milliseconds(99), "seconds": took, "asked": tally.asked,
            "statuses": statuses, "failed": tally.failed, "why": tally.why })
    );
    Ok(())
}

async fn ask(
    address: &str,
    request: &[u8],
    began: Instant,
    until: Instant,
    tally: &RefCell<Tally>,
) -> Result<(), Failed> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        let asked = Instant::now();
        if asked >= until {
            return Ok(());
        }
        stream.write_all(request).await?;
        let status = answer(&mut stream, &mut buffer).await?;
        let mut tally = tally.borrow_mut();
        tally.asked += 1;
        if asked >= began {
            tally.microseconds.push(asked.elapsed().as_micros());
            *tally.statuses.entry(status).or_default() += 1;
        }
    }
}

/// Reads one complete response and returns its status. The buffer then contains nothing of the next response, because its
/// request has not been sent yet.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16, Failed> {
    buffer.clear();
    let head = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, buffer).await?;
    };
    let text = std::str::from_utf8(buffer.get(..head).unwrap_or_default())?.to_ascii_lowercase();
    let status = text.split(' ').nth(1).ok_or("no status")?.parse()?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    if let Some(length) = length {
        let whole = head + length.trim().parse::<usize>()?;
        while buffer.len() < whole {
            more(stream, buffer).await?;
        }
    } else if text.contains("transfer-encoding: chunked") {
        while !buffer.ends_with(b"0\r\n\r\n") {
            more(stream, buffer).await?;
        }
    }
    Ok(status)
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<(), Failed> {
    // Some servers, such as uvicorn's workers, wait for an acknowledgement before they send the rest of a response. This makes
    // the kernel acknowledge at once. It applies only once, so it is set for each read.
    stream.set_quickack(true)?;
    if stream.read_buf(buffer).await? == 0 {
        return Err("the server closed the connection".into());
    }
    Ok(())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
