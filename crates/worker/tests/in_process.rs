//! A job in a Rust program, with files.

#![expect(clippy::unwrap_used, reason = "also the helpers of tests may stop at the first thing that is wrong")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

/// What S3 says about `content`.
const SHA256: &str = "x-amz-checksum-sha256: 7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=\r\n";

/// Answers one request as S3 does. Returns its first line, and its body.
fn answer(stream: TcpStream) -> (String, String) {
    let mut stream = BufReader::new(stream);
    let mut head: Vec<String> = Vec::new();
    while head.last().is_none_or(|line| line != "\r\n") {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        head.push(line);
    }
    let length = head.iter().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 7\r\n{SHA256}\r\ncontent");
    stream.get_mut().write_all(answer.as_bytes()).unwrap();
    (head.swap_remove(0), String::from_utf8(body).unwrap())
}

#[test]
fn a_rust_job_has_its_upload_and_keeps_files() {
    let s3 = TcpListener::bind("127.0.0.1:0").unwrap();
    let job = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("examples").join("copy");
    let job = Command::new(job)
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", "us-east-1")])
        .env("AWS_ENDPOINT_URL", format!("http://{}", s3.local_addr().unwrap()))
        .envs([("EXECUTION_INPUT", "null"), ("EXECUTION_INPUT_OBJECT", "bucket/uploads/a")])
        .env("EXECUTION_OUTPUT_PREFIX", "bucket/outputs/b/")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let (get, _) = answer(s3.accept().unwrap().0);
    assert!(get.starts_with("GET /bucket/uploads/a "), "{get}");
    let (put, body) = answer(s3.accept().unwrap().0);
    assert!(put.starts_with("PUT /bucket/outputs/b/") && put.contains("/copy "), "{put}");
    assert_eq!(body, "content");
    let done = job.wait_with_output().unwrap();
    // Nothing reports the files, so the job must not look completed.
    assert_eq!(done.status.code(), Some(125));
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "{\"bytes\":7}\n");
}
