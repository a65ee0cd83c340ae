//! S3 over its protocol: the ordinary `aws` client, requests as AWS's SDKs send them, and an emulator that is killed during an upload.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

mod copies;
mod expiry;
mod interrupted;
mod large;
mod multipart;
mod presigned;
mod shapes;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use axum::body::Bytes;
use emulator::testing::{TestEmulator, first_line};
use reqwest::{Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// The scope of a signature for S3. The emulator does not verify the signature itself.
const SIGNATURE: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

fn start() -> TestEmulator {
    TestEmulator::start(json!({
        "buckets": [{ "name": "orders" }, { "name": "other" }],
        "permissions": { "reader": ["s3:GetObject"] },
    }))
}

/// A file of `target/venv`, which `make target/venv/.made` creates.
fn venv(program: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/venv/bin").join(program);
    assert!(path.exists(), "{} is missing: run `make target/venv/.made`", path.display());
    path
}

fn with_credentials(mut command: Command, url: &str) -> Command {
    for (name, value) in [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_PAGER", ""),
    ] {
        command.env(name, value);
    }
    command
}

async fn run(url: &str, arguments: &[&str]) -> Output {
    let mut command = with_credentials(Command::new(venv("aws")), url);
    command.args(arguments).output().await.unwrap()
}

/// What `aws ARGUMENTS` prints. It must succeed.
async fn aws(url: &str, arguments: &[&str]) -> String {
    let output = run(url, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn request(url: &str, method: Method, path: &str) -> RequestBuilder {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.request(method, format!("{url}{path}")).header("authorization", SIGNATURE)
}

async fn put(url: &str, path: &str, body: &'static str) -> Response {
    request(url, Method::PUT, path).body(body).send().await.unwrap()
}

async fn get(url: &str, path: &str) -> (u16, HeaderMap, String) {
    let response = request(url, Method::GET, path).send().await.unwrap();
    (response.status().as_u16(), response.headers().clone(), response.text().await.unwrap())
}

/// The status and the code of a refusal.
async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    let (_, rest) = body.split_once("<Code>").unwrap_or_else(|| panic!("{status}: {body}"));
    (status, rest.split_once('<').unwrap().0.to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// What a script in Python with boto3 prints. It must succeed.
async fn python(url: &str, script: &str) -> String {
    let mut command = with_credentials(Command::new(venv("python")), url);
    let output = command.args(["-c", script]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// How many files a directory of S3 in the data directory has.
fn files(data: &Path, directory: &str) -> usize {
    fs::read_dir(data.join("s3").join(directory)).unwrap().count()
}

/// Starts the program, which can be killed, with a directory of the test.
async fn program(directory: &Path) -> (Child, String) {
    program_with(directory, json!([{ "name": "orders" }]), &[]).await
}

/// Starts the program with these buckets and options.
async fn program_with(directory: &Path, buckets: Value, options: &[&str]) -> (Child, String) {
    let resources = directory.join("resources.json");
    fs::write(&resources, json!({ "buckets": buckets }).to_string()).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(directory.join("data"))
        .arg("--resources")
        .arg(resources)
        .args(options)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let url = first_line(&mut process).await;
    (process, url)
}

#[tokio::test]
async fn the_aws_client_copies_lists_moves_and_removes_objects() {
    let emulator = start();
    let url = emulator.url();
    let file = emulator.directory().join("a.txt");
    fs::write(&file, "hello").unwrap();
    let file = file.to_str().unwrap();
    aws(url, &["s3", "cp", file, "s3://orders/dir/a b+c%.txt"]).await;
    aws(url, &["s3", "cp", file, "s3://orders/top.txt"]).await;
    assert!(aws(url, &["s3", "ls"]).await.contains(" orders\n"));
    let top = aws(url, &["s3", "ls", "s3://orders"]).await;
    assert!(top.contains("PRE dir/") && top.contains(" 5 top.txt") && !top.contains("a b"), "{top}");
    assert!(aws(url, &["s3", "ls", "s3://orders/dir/"]).await.contains(" 5 a b+c%.txt"));
    assert_eq!(aws(url, &["s3", "cp", "s3://orders/dir/a b+c%.txt", "-"]).await, "hello");
    aws(url, &["s3", "mv", "s3://orders/dir/a b+c%.txt", "s3://other/moved.txt"]).await;
    assert_eq!(aws(url, &["s3", "cp", "s3://other/moved.txt", "-"]).await, "hello");
    aws(url, &["s3", "rm", "--recursive", "s3://orders"]).await;
    let empty = run(url, &["s3", "ls", "s3://orders"]).await;
    assert!(empty.stdout.is_empty(), "{empty:?}");
    let missing = run(url, &["s3", "ls", "s3://nowhere"]).await;
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(said.contains("NoSuchBucket") && said.contains("The specified bucket does not exist"), "{said}");
}

#[tokio::test]
async fn an_object_is_returned_with_its_headers_and_by_ranges_and_conditions() {
    let emulator = start();
    let url = emulator.url();
    let stored = request(url, Method::PUT, "/orders/a").body("0123456789").header("content-type", "text/plain");
    let stored = stored.header("x-amz-meta-who", "me").header("x-amz-checksum-crc32", "poTDlA==");
    let stored = stored.send().await.unwrap();
    assert_eq!(refusal(stored).await, refused(400, "BadDigest"), "the checksum is another one's");
    let stored = request(url, Method::PUT, "/orders/a").body("0123456789").header("content-type", "text/plain");
    let stored = stored.header("x-amz-meta-who", "me").send().await.unwrap();
    let etag = stored.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(etag, "\"781e5e245d69b566979b86e28d23f2c7\"");
    assert!(stored.headers().contains_key("x-amz-checksum-crc64nvme"));
    let (status, headers, body) = get(url, "/orders/a?response-content-disposition=attachment%3B%20filename%3Db").await;
    assert_eq!((status, &*body, &headers["content-length"]), (200, "0123456789", &"10".parse().unwrap()));
    assert_eq!(headers["content-type"], "text/plain");
    assert_eq!(headers["x-amz-meta-who"], "me");
    assert_eq!(headers["content-disposition"], "attachment; filename=b");
    assert!(headers.contains_key("last-modified") && headers.contains_key("x-amz-request-id"));
    let with = async |name: &str, value: &str| {
        let response = request(url, Method::GET, "/orders/a").header(name, value).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(with("range", "bytes=2-4").await, (206, "234".to_owned()));
    assert_eq!(with("if-none-match", &etag).await, (304, String::new()));
    assert_eq!(with("if-match", &etag).await.0, 200);
    assert_eq!(with("if-match", "\"0\"").await.0, 412);
    assert_eq!(with("range", "bytes=10-").await.0, 416);
    let again = request(url, Method::PUT, "/orders/a").body("x").header("if-none-match", "*").send().await.unwrap();
    assert_eq!(refusal(again).await, refused(412, "PreconditionFailed"));
}

#[tokio::test]
async fn an_upload_that_is_not_what_its_headers_say_is_refused_and_leaves_nothing() {
    let emulator = start();
    let url = emulator.url();
    let put = |headers: &[(&'static str, &'static str)], body: &'static str| {
        let request = request(url, Method::PUT, "/orders/a").body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        async { refusal(request.send().await.unwrap()).await }
    };
    let chunked = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let five = ("x-amz-decoded-content-length", "5");
    let trailer = ("x-amz-trailer", "x-amz-checksum-crc32");
    let wrong = "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n";
    assert_eq!(put(&[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")], "hello").await, refused(400, "BadDigest"));
    assert_eq!(put(&[("content-md5", "short")], "hello").await, refused(400, "InvalidDigest"));
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let mismatch = refused(400, "XAmzContentSHA256Mismatch");
    assert_eq!(put(&[("x-amz-content-sha256", empty)], "hello").await, mismatch);
    assert_eq!(put(&[chunked, five, trailer], wrong).await, refused(400, "BadDigest"));
    assert_eq!(put(&[chunked, five], "4\r\nhell\r\n0\r\n\r\n").await, refused(400, "IncompleteBody"));
    assert_eq!(put(&[chunked], "5\r\nhello\r\n0\r\n\r\n").await, refused(411, "MissingContentLength"));
    assert_eq!(get(url, "/orders/a").await.0, 404);
    let data = emulator.directory().join("data");
    assert_eq!((files(&data, "uploading"), files(&data, "stored")), (0, 0));

    let right = "5;chunk-signature=0\r\nhello\r\n0;chunk-signature=0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let request = request(url, Method::PUT, "/orders/a").header(chunked.0, chunked.1).header(five.0, five.1);
    let request = request.header(trailer.0, trailer.1).header("content-encoding", "aws-chunked").body(right);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let (_, headers, body) = get(url, "/orders/a").await;
    assert_eq!((&*body, headers.get("content-encoding")), ("hello", None));
}

#[tokio::test]
async fn an_overwritten_object_can_be_read_to_its_end_by_those_that_began() {
    let emulator = start();
    let url = emulator.url();
    let large = Bytes::from(vec![b'a'; 32 * 1024 * 1024]);
    request(url, Method::PUT, "/orders/a").body(large.clone()).send().await.unwrap().error_for_status().unwrap();
    let response = request(url, Method::GET, "/orders/a").send().await.unwrap();
    put(url, "/orders/a", "new").await.error_for_status().unwrap();
    assert!(response.bytes().await.unwrap() == large, "the bytes of the first version");
    assert_eq!(get(url, "/orders/a").await.2, "new");
    let kept = fs::read_dir(emulator.directory().join("data/s3/stored")).unwrap().count();
    assert_eq!(kept, 1, "the first version's file is gone");
}

#[tokio::test]
async fn a_long_list_has_pages_and_common_prefixes() {
    let emulator = start();
    let url = emulator.url();
    for key in ["a", "b/1", "b/2", "c/1", "d"] {
        put(url, &format!("/orders/{key}"), "x").await.error_for_status().unwrap();
    }
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let path = format!("/orders?list-type=2&delimiter=%2F&max-keys=1{token}");
        let (_, _, page) = get(url, &path).await;
        let value = |name: &str| Some(page.split_once(&format!("<{name}>"))?.1.split_once('<')?.0.to_owned());
        seen.push(
            value("Key").or_else(|| Some(page.rsplit_once("<Prefix>")?.1.split_once('<')?.0.to_owned())).unwrap(),
        );
        match value("NextContinuationToken") {
            Some(next) => token = format!("&continuation-token={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b/", "c/", "d"]);
    let (_, _, rest) = get(url, "/orders?list-type=2&prefix=b&start-after=b%2F1").await;
    assert!(rest.contains("<KeyCount>1</KeyCount>") && rest.contains("<Key>b/2</Key>"), "{rest}");
}

#[tokio::test]
async fn faults_and_permissions_apply_to_s3() {
    let emulator = start();
    let url = emulator.url();
    let fault = emulator.arm(&json!({ "on": "s3:PutObject", "by": "test", "does": "throttle" })).await;
    assert_eq!(refusal(put(url, "/orders/a", "1").await).await, refused(503, "SlowDown"));
    assert_eq!(put(url, "/orders/a", "1").await.status(), 200);
    assert_eq!(emulator.fault(fault).await["hit"], 1);
    emulator.arm(&json!({ "on": "s3:PutObject", "does": "cutAfter" })).await;
    let lost = request(url, Method::PUT, "/orders/b").body("2").send().await;
    assert!(lost.is_err() && get(url, "/orders/b").await.2 == "2", "the reply was lost");
    emulator.arm(&json!({ "on": "s3:GetObject", "does": { "refuse": "AccessDenied" } })).await;
    let denied = request(url, Method::GET, "/orders/a").send().await.unwrap();
    assert_eq!(refusal(denied).await, refused(403, "AccessDenied"));

    let by_reader = async |method: Method, path: &str| {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let signature = SIGNATURE.replace("Credential=test", "Credential=reader.1");
        client.request(method, format!("{url}{path}")).header("authorization", signature).send().await.unwrap()
    };
    assert_eq!(by_reader(Method::GET, "/orders/a").await.status(), 200);
    assert_eq!(refusal(by_reader(Method::DELETE, "/orders/a").await).await, refused(403, "AccessDenied"));
}

#[tokio::test]
async fn errors_are_s3s_own() {
    let emulator = start();
    let url = emulator.url();
    let (status, headers, body) = get(url, "/orders/no/such%20key").await;
    let id = headers["x-amz-request-id"].to_str().unwrap();
    assert_eq!((status, &headers["content-type"]), (404, &"application/xml".parse().unwrap()));
    let wanted = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>\
         <Key>no/such key</Key><Resource>/orders/no/such%20key</Resource><RequestId>{id}</RequestId><HostId>{id}</HostId></Error>"
    );
    assert_eq!(body, wanted);
    for (method, path, status, code) in [
        (Method::GET, "/nowhere/a", 404, "NoSuchBucket"),
        (Method::GET, "/orders/a?acl", 501, "NotImplemented"),
        (Method::GET, "/orders?list-type=2&continuation-token=%21", 400, "InvalidArgument"),
        (Method::POST, "/orders?delete", 400, "MalformedXML"),
        (Method::PUT, "/orders/%ff", 400, "InvalidURI"),
    ] {
        let response = request(url, method, path).send().await.unwrap();
        assert_eq!(refusal(response).await, refused(status, code), "{path}");
    }
    let long = request(url, Method::PUT, &format!("/orders/{}", "k".repeat(1_025))).body("").send().await.unwrap();
    assert_eq!(refusal(long).await, refused(400, "KeyTooLongError"));
}
