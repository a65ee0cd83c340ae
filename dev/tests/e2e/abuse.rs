//! The API survives arbitrary input over TCP: it does not panic, answer with 5xx, or leak memory.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    raw_http::{connect, exchange, shown, statuses},
    stack::{PATIENCE, Stack, command},
};

/// A complete request with this method and target.
fn request(method: &str, target: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").into_bytes()
}

/// A POST with these header lines and this body, which need not match.
fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /executions/sync HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

/// A POST whose length header matches its body.
fn well_formed(body: &str) -> Vec<u8> {
    post(&format!("connection: close\r\ncontent-length: {}\r\n", body.len()), body.as_bytes())
}

/// A name, what is sent, and the statuses that are allowed. With none, the connection must be closed without a response.
type Case = (&'static str, Vec<u8>, &'static [u16]);

fn bodies() -> Vec<Case> {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let chunked = "connection: close\r\ntransfer-encoding: chunked\r\n";
    let mut too_large = Vec::new();
    for _ in 0..80 {
        too_large.extend_from_slice(b"1000\r\n");
        too_large.extend_from_slice(&[b' '; 0x1000]);
        too_large.extend_from_slice(b"\r\n");
    }
    vec![
        ("a body that breaks off", post("content-length: 1000\r\n", b"{\"input\""), &[400]),
        ("a body that never begins", post("content-length: 1000\r\n", b""), &[400]),
        ("a length that is too short", post("connection: close\r\ncontent-length: 5\r\n", b"{\"input\": 1}"), &[400]),
        ("a length of zero", post("connection: close\r\ncontent-length: 0\r\n", b"{\"input\": 1}"), &[400]),
        ("no length at all", post("connection: close\r\n", b"{\"input\": 1}"), &[400]),
        ("a negative length", post("content-length: -1\r\n", b"{}"), &[400]),
        ("a length that is not a number", post("content-length: many\r\n", b"{}"), &[400]),
        ("a length that overflows", post("content-length: 99999999999999999999\r\n", b"{}"), &[400]),
        ("the longest length there is", post("content-length: 18446744073709551615\r\n", b"{}"), &[400, 413, 431]),
        ("a long length and no body", post("content-length: 9223372036854775807\r\n", b"{}"), &[400, 413]),
        ("two lengths that differ", post("content-length: 2\r\ncontent-length: 3\r\n", b"{}"), &[400]),
        ("a length and chunks", post(&format!("{chunked}content-length: 3\r\n"), b"0\r\n\r\n"), &[400]),
        ("a chunk without a size", post(chunked, b"x\r\n{}\r\n0\r\n\r\n"), &[400]),
        ("a chunk larger than all memory", post(chunked, b"ffffffffffffffff\r\n{}"), &[400, 413]),
        ("a chunk whose size overflows", post(chunked, b"fffffffffffffffff\r\n{}"), &[400]),
        ("a chunk that breaks off", post(chunked, b"10\r\n{\"inp"), &[400]),
        ("chunks of more than a body may have", post(chunked, &too_large), &[413]),
        ("an endless chunk extension", post(chunked, &[b"2;".as_slice(), &[b'x'; 40_000]].concat()), &[400]),
        ("an unknown encoding", post("transfer-encoding: rot13\r\n", b"{}"), &[400]),
        ("arrays 10,000 deep", well_formed(&format!(r#"{{"input": {}}}"#, deep(10_000))), &[400, 422]),
        ("arrays 120,000 deep", well_formed(&format!(r#"{{"input": {}}}"#, deep(120_000))), &[400, 422]),
        ("arrays where tags belong", well_formed(&format!(r#"{{"input": 1, "tags": {}}}"#, deep(50_000))), &[400, 422]),
        ("objects that never end", well_formed(&r#"{"input":"#.repeat(25_000)), &[400, 422]),
        ("a number that overflows", well_formed(r#"{"input": 1, "timeoutSeconds": 1e999}"#), &[400, 422]),
        ("half a surrogate pair", well_formed(r#"{"input": 1, "job": "\ud800"}"#), &[400, 422]),
        (
            "bytes that are not valid UTF-8",
            post("connection: close\r\ncontent-length: 4\r\n", b"\"\xff\xfe\""),
            &[400, 422],
        ),
        ("a body where none belongs", [request("GET", "/healthz").as_slice(), &[b'x'; 100_000]].concat(), &[200]),
    ]
}

fn heads() -> Vec<Case> {
    let with = |header: &[u8]| {
        [b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n", header, b"\r\n\r\n"].concat()
    };
    let many = (0..5_000).fold(String::new(), |all, n| format!("{all}x-{n}: y\r\n"));
    vec![
        ("a header of a megabyte", with(&[b"x: ".as_slice(), &vec![b'y'; 1 << 20]].concat()), &[431]),
        ("5,000 headers", with(many.trim_end().as_bytes()), &[431]),
        ("a header's name of 100 KB", with(&[vec![b'x'; 100_000], b": y".to_vec()].concat()), &[431]),
        ("a header without a colon", with(b"x y"), &[400]),
        ("a header without a name", with(b": y"), &[400]),
        ("a header's name with a space", with(b"x y: z"), &[400]),
        ("a header with NUL", with(b"x: \0"), &[400]),
        ("a header that is not valid UTF-8", with(b"x: \xff\xfe"), &[200]),
        ("a header on two lines", with(b"x: y\r\n z"), &[400]),
        (
            "a key that is not ASCII",
            post("idempotency-key: \u{fc}\r\nconnection: close\r\ncontent-length: 2\r\n", b"{}"),
            &[400, 422],
        ),
        ("no host", b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n".to_vec(), &[200, 400]),
        ("two hosts", with(b"host: y"), &[421]),
        ("lines without CR", b"GET /healthz HTTP/1.1\nhost: localhost\nconnection: close\n\n".to_vec(), &[200, 400]),
        ("HTTP/1.0", b"GET /healthz HTTP/1.0\r\n\r\n".to_vec(), &[200]),
        ("HTTP/0.9", b"GET /healthz\r\n".to_vec(), &[400]),
        ("HTTP/9.9", b"GET /healthz HTTP/9.9\r\n\r\n".to_vec(), &[400]),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), &[]),
        ("TLS", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), &[400]),
        ("nothing", Vec::new(), &[]),
        ("empty lines", b"\r\n\r\n\r\n\r\n".to_vec(), &[]),
        ("half a head", b"GET /healthz HT".to_vec(), &[]),
        ("noise", (0..=255).cycle().take(100_000).collect(), &[400, 431]),
    ]
}

/// None of these targets may lead to the resource of another path.
fn targets() -> Vec<Case> {
    let get = |target: &str| request("GET", target);
    let bytes =
        |target: &[u8]| [b"GET ", target, b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"].concat();
    vec![
        ("encoded slashes", get("/executions/..%2f..%2fhealthz"), &[404]),
        ("encoded dots", get("/executions/%2e%2e/healthz"), &[404]),
        ("dot segments", get("/executions/../healthz"), &[404]),
        ("a dot segment at the end", get("/executions/.."), &[404]),
        ("double slashes", get("//executions//x"), &[404]),
        ("an encoded NUL", get("/executions/%00"), &[404]),
        ("a known path and NUL", get("/healthz%00"), &[404]),
        ("invalid UTF-8, encoded", get("/executions/%ff%fe"), &[400, 404]),
        ("invalid UTF-8, not encoded", bytes(b"/executions/\xff\xfe"), &[400, 404]),
        ("half an encoding", get("/executions/%"), &[400, 404]),
        ("a wrong encoding", get("/executions/%zz"), &[400, 404]),
        ("path parameters", get("/executions/sync;x=1"), &[404]),
        ("out of the page's files", get("/docs/../../../../etc/passwd"), &[404]),
        ("out of the page's files, encoded", get("/docs/..%2f..%2f..%2fetc%2fpasswd"), &[404]),
        ("a path of 100 KB", get(&format!("/executions/{}", "x".repeat(100_000))), &[414, 431]),
        ("a path of 10 KB", get(&format!("/executions/{}", "x".repeat(10_000))), &[404]),
        ("a query of 10 KB", get(&format!("/healthz?{}", "x=y&".repeat(2_500))), &[200]),
        ("a query that is not valid UTF-8", get("/healthz?%ff=%fe"), &[200, 400]),
        ("another host's URL", get("http://elsewhere.example/healthz"), &[421]),
        ("a fragment", get("/healthz#x"), &[200, 400, 404]),
        ("a target without a slash", get("healthz"), &[421]),
        ("no target", bytes(b""), &[400]),
        ("a space in the target", get("/health z"), &[400]),
        ("the server itself", request("OPTIONS", "*"), &[400, 404, 405]),
    ]
}

fn methods() -> Vec<Case> {
    vec![
        ("PUT", request("PUT", "/executions/sync"), &[405]),
        ("PATCH", request("PATCH", "/executions"), &[405]),
        ("a PATCH without a body", request("PATCH", "/executions/an-id"), &[415]),
        ("DELETE", request("DELETE", "/executions/an-id"), &[405]),
        ("TRACE", request("TRACE", "/executions/an-id"), &[405]),
        ("HEAD", request("HEAD", "/healthz"), &[200]),
        ("OPTIONS", request("OPTIONS", "/healthz"), &[405]),
        ("CONNECT", request("CONNECT", "elsewhere.example:443"), &[421]),
        ("an unknown method", request("BREW", "/healthz"), &[405]),
        ("a method in small letters", request("get", "/healthz"), &[405]),
        ("a method of 1,000 letters", request(&"A".repeat(1_000), "/healthz"), &[400, 405]),
        ("an invalid method", request("G@T(", "/healthz"), &[400]),
        ("a POST where a GET belongs", request("POST", "/healthz"), &[405]),
    ]
}

#[tokio::test]
async fn invalid_requests_are_answered_with_4xx() {
    let mut stack = Stack::start(&[]).await;
    for (group, cases) in [("body", bodies()), ("head", heads()), ("target", targets()), ("method", methods())] {
        for (name, bytes, expected) in cases {
            let answer = exchange(&stack, &bytes).await;
            let first = statuses(&answer).first().copied();
            println!("{group:8} {name:40} {}", first.map_or_else(|| "closed".to_owned(), |status| status.to_string()));
            let fits = first.map_or(expected.is_empty(), |status| expected.contains(&status));
            assert!(fits, "{name}: {first:?} for {}: {}", shown(&bytes), shown(&answer));
            assert!(statuses(&answer).iter().all(|status| *status < 500), "{name}: {}", shown(&answer));
        }
    }
    assert_alive(&mut stack).await;
    assert_eq!(stack.items().await, 0, "no execution was created");
}

/// The byte is tried encoded, in several paths, and not encoded.
#[tokio::test]
async fn an_id_with_any_byte_is_answered_with_400_or_404() {
    let mut stack = Stack::start(&[]).await;
    for byte in 0..=255_u8 {
        for (method, behind) in [("GET", ""), ("POST", "/cancel"), ("POST", "/rerun")] {
            let encoded = format!(
                "{method} /executions/a%{byte:02x}b{behind} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
            );
            let answer = exchange(&stack, encoded.as_bytes()).await;
            assert!(matches!(statuses(&answer)[..], [400 | 404]), "%{byte:02x}: {}", shown(&answer));
        }
        let plain =
            [b"GET /executions/a", [byte].as_slice(), b"b HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"]
                .concat();
        let answer = exchange(&stack, &plain).await;
        let statuses = statuses(&answer);
        assert!(
            !statuses.is_empty() && statuses.iter().all(|status| [400, 404].contains(status)),
            "{byte:02x}: {}",
            shown(&answer)
        );
    }
    assert_alive(&mut stack).await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let stack = Stack::start(&[]).await;
    let mut all = Vec::new();
    let mut expected = Vec::new();
    for n in 0..200_u32 {
        let (target, status) = if n % 3 == 0 { ("/nowhere", 404) } else { ("/healthz", 200) };
        all.extend_from_slice(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
        expected.push(status);
    }
    all.extend_from_slice(&request("DELETE", "/healthz"));
    expected.push(405);
    let (mut reads, mut writes) = connect(&stack).await.into_split();
    writes.write_all(&all).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, reads.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(statuses(&answer), expected);
}

/// Clients with slow heads, with slow bodies, and those that do not read.
#[tokio::test]
async fn slow_clients_are_disconnected_and_do_not_delay_others() {
    let mut stack = Stack::start(&[]).await;
    let began = Instant::now();
    let body = post("content-length: 1000\r\n", b"{");
    let mut slow = tokio::task::JoinSet::new();
    for n in 0..100 {
        let mut stream = connect(&stack).await;
        let first = if n % 2 == 0 { b"GET /healthz HTTP/1.1\r\n".to_vec() } else { body.clone() };
        stream.write_all(&first).await.unwrap();
        slow.spawn(async move {
            // One more byte each second, as long as the server accepts it.
            let (mut reads, mut writes) = stream.into_split();
            let drip = async {
                while writes.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            let mut answer = Vec::new();
            tokio::select! {
                () = drip => {}
                _ = reads.read_to_end(&mut answer) => {}
            }
            answer
        });
    }
    if let Some(answer) = slow.try_join_next() {
        panic!("disconnected at once: {}", shown(&answer.unwrap()));
    }
    let quick = Instant::now();
    assert_eq!(stack.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
    assert!(quick.elapsed() < PATIENCE / 3);
    while let Some(answer) =
        tokio::time::timeout(PATIENCE, slow.join_next()).await.expect("a slow client was not disconnected")
    {
        let statuses = statuses(&answer.unwrap());
        assert!(matches!(statuses[..], [] | [400 | 408]), "{statuses:?}");
    }
    assert!(began.elapsed() >= Duration::from_secs(5), "a slow client was disconnected too early");
    assert_alive(&mut stack).await;
}

/// Ten thousand connections at once, if the limit of open files allows it. All stay open until each has its response.
#[tokio::test]
async fn thousands_of_connections_are_answered_without_a_leak() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(directory.path(), &[]);
    // With one arena per thread, the time at which freed memory is returned varies too much.
    command.env("MALLOC_ARENA_MAX", "1");
    let mut stack = Stack::run_as(command, directory.path()).await;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let max = usize::try_from(files / 2 - 100).unwrap().min(10_000);
    let before = resident(&stack);
    let idle = files_of(&stack) + 50;
    let mut after = Vec::new();
    for connections in [max / 5; 20].into_iter().chain([max]) {
        let began = Instant::now();
        let mut open = Vec::new();
        for _ in 0..connections {
            let mut stream = connect(&stack).await;
            // Send at once, because a silent connection is closed after a while.
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            open.push(stream);
        }
        let connected = began.elapsed();
        let peak = answered(&mut open, &stack).await;
        let all = began.elapsed();
        println!(
            "{connections} connections in {connected:?}, all answered after {all:?}; {before} kB before, {peak} kB then"
        );
        drop(open);
        while files_of(&stack) > idle {
            assert!(began.elapsed() < PATIENCE, "connections are still open");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_alive(&mut stack).await;
        after.push(resident(&stack));
    }
    println!("resident afterwards: {after:?} kB");
    // In the first ten rounds the allocator's cache fills. Afterwards it varies by a few megabytes. If each connection leaked one
    // kilobyte, there would be a difference of ten megabytes between these two minima.
    let least = |rounds: Range<usize>| after[rounds].iter().min().unwrap();
    assert!(*least(15..20) < least(10..15) + 5_000, "memory grows with each round: {after:?}");
}

/// Reads a response from each connection. Returns the resident kilobytes at the end.
async fn answered(open: &mut [TcpStream], stack: &Stack) -> u64 {
    for stream in open.iter_mut() {
        let mut answer = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
        assert_eq!(statuses(&answer[..read]), [200]);
    }
    resident(stack)
}

/// The process is still running and answers.
async fn assert_alive(stack: &mut Stack) {
    assert_eq!(stack.get("/healthz").send().await.unwrap().status(), StatusCode::OK);
    assert!(stack.process.try_wait().unwrap().is_none());
}

/// The number of files that the stack's process has open.
fn files_of(stack: &Stack) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", stack.process.id().unwrap())).unwrap().count()
}

/// Memory of the stack's process, in kilobytes.
fn resident(stack: &Stack) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stack.process.id().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
