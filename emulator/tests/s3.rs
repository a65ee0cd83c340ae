//! S3 over its protocol: the ordinary `aws` client, requests as AWS's SDKs send them, and an emulator that is killed during an upload.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first failure"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use axum::body::Bytes;
use emulator::testing::{TestEmulator, eventually, first_line};
use reqwest::{Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::json;
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    process::{Child, Command},
};

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
    let files = |directory: &str| fs::read_dir(emulator.directory().join("data/s3").join(directory)).unwrap().count();
    assert_eq!((files("uploading"), files("stored")), (0, 0));

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

/// Starts the program, which can be killed, with a directory of the test.
async fn program(directory: &Path) -> (Child, String) {
    let resources = directory.join("resources.json");
    fs::write(&resources, json!({ "buckets": [{ "name": "orders" }] }).to_string()).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_emulator"))
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(directory.join("data"))
        .arg("--resources")
        .arg(resources)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let url = first_line(&mut process).await;
    (process, url)
}

/// Half of an upload.
const HALF: usize = 1024 * 1024;

#[tokio::test]
async fn a_kill_during_an_upload_leaves_the_object_as_it_was_and_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let (mut emulator, url) = program(directory.path()).await;
    put(&url, "/orders/a", "before").await.error_for_status().unwrap();
    let uploading = directory.path().join("data/s3/uploading");
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    let address = url.strip_prefix("http://").unwrap();
    let mut upload = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT /orders/a HTTP/1.1\r\nhost: {address}\r\nauthorization: {SIGNATURE}\r\ncontent-length: {}\r\n\r\n",
        2 * HALF
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(&vec![b'x'; HALF]).await.unwrap();
    eventually("half of the upload to be on disk", async || {
        fs::read_dir(&uploading).unwrap().flatten().any(|file| size(file.path()) >= HALF as u64).then_some(())
    })
    .await;
    emulator.kill().await.unwrap();
    drop(upload);

    let (_emulator, url) = program(directory.path()).await;
    assert_eq!(get(&url, "/orders/a").await.2, "before");
    assert_eq!(fs::read_dir(&uploading).unwrap().count(), 0);
    assert_eq!(fs::read_dir(directory.path().join("data/s3/stored")).unwrap().count(), 1);
}

/// What the parts of a large upload consist of. Each is larger than the minimum.
const PART: usize = 6 * 1024 * 1024;

#[tokio::test]
async fn boto3_uploads_a_large_file_in_parts_and_reads_it_back() {
    let emulator = start();
    let script = "
import boto3, hashlib, io, os
from boto3.s3.transfer import TransferConfig
s3 = boto3.client('s3')
data = os.urandom(20 * 1024 * 1024 + 17)
config = TransferConfig(multipart_threshold=8 * 1024 * 1024, multipart_chunksize=8 * 1024 * 1024)
s3.upload_fileobj(io.BytesIO(data), 'orders', 'large', Config=config, ExtraArgs={'Metadata': {'who': 'me'}})
head = s3.head_object(Bucket='orders', Key='large', ChecksumMode='ENABLED')
assert head['ContentLength'] == len(data) and head['Metadata'] == {'who': 'me'}, head
parts = [hashlib.md5(data[i:i + 8388608]).digest() for i in range(0, len(data), 8388608)]
assert head['ETag'] == '\"%s-3\"' % hashlib.md5(b''.join(parts)).hexdigest(), head
assert head['ChecksumType'] == 'COMPOSITE' and head['ChecksumCRC32'].endswith('-3'), head
got = io.BytesIO()
s3.download_fileobj('orders', 'large', got)
assert got.getvalue() == data
assert 'Uploads' not in s3.list_multipart_uploads(Bucket='orders')
for algorithm in ['CRC32', 'SHA1', 'SHA256']:
    s3.put_object(Bucket='orders', Key=algorithm, Body=b'hello', ChecksumAlgorithm=algorithm)
    assert s3.get_object(Bucket='orders', Key=algorithm, ChecksumMode='ENABLED')['Body'].read() == b'hello'
print('done')
";
    let mut command = with_credentials(Command::new(venv("python")), emulator.url());
    let output = command.args(["-c", script]).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let stored = fs::read_dir(emulator.directory().join("data/s3/stored")).unwrap().count();
    assert_eq!(stored, 4, "the files of the parts are gone");
}

/// Starts an upload, and returns its id.
async fn create(url: &str, path: &str) -> String {
    let started = request(url, Method::POST, &format!("{path}?uploads")).send().await.unwrap().text().await.unwrap();
    started.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned()
}

/// Uploads a part, and returns its entity tag.
async fn upload(url: &str, path: &str, id: &str, number: u32, body: Bytes) -> String {
    let path = format!("{path}?partNumber={number}&uploadId={id}");
    let response = request(url, Method::PUT, &path).body(body).send().await.unwrap().error_for_status().unwrap();
    response.headers()["etag"].to_str().unwrap().to_owned()
}

async fn complete(url: &str, path: &str, id: &str, parts: &[(u32, &str)]) -> Response {
    let part =
        |(number, etag): &(u32, &str)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    let parts: String = parts.iter().map(part).collect();
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    request(url, Method::POST, &format!("{path}?uploadId={id}")).body(body).send().await.unwrap()
}

#[tokio::test]
async fn the_parts_of_an_upload_are_checked_and_become_visible_together() {
    let emulator = start();
    let url = emulator.url();
    let id = create(url, "/orders/a").await;
    let first = upload(url, "/orders/a", &id, 1, Bytes::from(vec![b'1'; PART])).await;
    let small = upload(url, "/orders/a", &id, 2, Bytes::from_static(b"2")).await;
    let third = upload(url, "/orders/a", &id, 3, Bytes::from_static(b"3")).await;
    assert_eq!(get(url, "/orders/a").await.0, 404, "nothing is visible yet");
    let code = async |parts: &[(u32, &str)]| refusal(complete(url, "/orders/a", &id, parts).await).await;
    assert_eq!(code(&[(1, &first), (2, &small), (3, &third)]).await, refused(400, "EntityTooSmall"));
    assert_eq!(code(&[(3, &third), (1, &first)]).await, refused(400, "InvalidPartOrder"));
    assert_eq!(code(&[(1, &first), (4, &third)]).await, refused(400, "InvalidPart"));
    assert_eq!(code(&[(1, &third)]).await, refused(400, "InvalidPart"));
    assert_eq!(code(&[]).await, refused(400, "MalformedXML"));
    let zero =
        request(url, Method::PUT, &format!("/orders/a?partNumber=0&uploadId={id}")).body("x").send().await.unwrap();
    assert_eq!(refusal(zero).await, refused(400, "InvalidArgument"));
    let (_, _, listed) = get(url, &format!("/orders/a?uploadId={id}&max-parts=2")).await;
    assert!(listed.contains("<IsTruncated>true</IsTruncated>") && listed.matches("<Part>").count() == 2, "{listed}");
    assert!(get(url, "/orders?uploads").await.2.contains(&id));
    let done = complete(url, "/orders/a", &id, &[(1, &first), (2, &small)]).await;
    assert_eq!(done.status(), 200, "{}", done.text().await.unwrap());
    let (_, headers, body) = get(url, "/orders/a").await;
    assert!(body.len() == PART + 1 && body.ends_with("12") && headers["etag"].to_str().unwrap().ends_with("-2\""));
    assert_eq!(code(&[(1, &first)]).await, refused(404, "NoSuchUpload"), "it was completed");
    assert_eq!(fs::read_dir(emulator.directory().join("data/s3/stored")).unwrap().count(), 1);
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let emulator = start();
    let url = emulator.url();
    let id = create(url, "/orders/a").await;
    upload(url, "/orders/a", &id, 1, Bytes::from_static(b"1")).await;
    let abort = || request(url, Method::DELETE, &format!("/orders/a?uploadId={id}")).send();
    assert_eq!(abort().await.unwrap().status(), 204);
    assert_eq!(refusal(abort().await.unwrap()).await, refused(404, "NoSuchUpload"));
    assert_eq!(fs::read_dir(emulator.directory().join("data/s3/stored")).unwrap().count(), 0);
}

#[tokio::test]
async fn an_upload_continues_after_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let (mut emulator, url) = program(directory.path()).await;
    let id = create(&url, "/orders/a").await;
    let first = upload(&url, "/orders/a", &id, 1, Bytes::from_static(b"1")).await;
    emulator.kill().await.unwrap();
    let (_emulator, url) = program(directory.path()).await;
    assert_eq!(complete(&url, "/orders/a", &id, &[(1, &first)]).await.status(), 200);
    assert_eq!(get(&url, "/orders/a").await.2, "1");
}

#[tokio::test]
async fn a_presigned_url_needs_no_headers_and_is_verified() {
    let emulator = start();
    let url = emulator.url();
    put(url, "/orders/a b+c", "hello").await.error_for_status().unwrap();
    let script = "
import boto3, sys
from botocore.config import Config
s3 = boto3.client('s3', config=Config(signature_version='s3v4'))
print(s3.generate_presigned_url('get_object', Params={'Bucket': 'orders', 'Key': 'a b+c', 'ResponseContentType': 'text/x'}))
print(s3.generate_presigned_url('put_object', Params={'Bucket': 'orders', 'Key': 'new', 'ContentType': 'text/plain'}))
";
    let mut command = with_credentials(Command::new(venv("python")), url);
    let output = command.args(["-c", script]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let urls = String::from_utf8(output.stdout).unwrap();
    let (to_get, to_put) = urls.trim().split_once('\n').unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let got = client.get(to_get).send().await.unwrap();
    assert_eq!((got.status().as_u16(), &got.headers()["content-type"]), (200, &"text/x".parse().unwrap()));
    assert_eq!(got.text().await.unwrap(), "hello");
    let stored = client.put(to_put).header("content-type", "text/plain").body("new").send().await.unwrap();
    assert_eq!((stored.status().as_u16(), get(url, "/orders/new").await.2), (200, "new".to_owned()));

    let mismatch = || refused(403, "SignatureDoesNotMatch");
    assert_eq!(refusal(client.put(to_get).body("x").send().await.unwrap()).await, mismatch());
    assert_eq!(refusal(client.get(to_get.replace("/orders/", "/other/")).send().await.unwrap()).await, mismatch());
    assert_eq!(
        refusal(client.put(to_put).header("content-type", "x/y").body("x").send().await.unwrap()).await,
        mismatch()
    );
    let page = client.get(to_get).header("sec-fetch-site", "cross-site").send().await.unwrap();
    assert_eq!(page.status(), 403, "a web page can compute a signature too");

    // Version 1 of the client writes a signature of version 2 otherwise.
    let config = emulator.directory().join("config");
    fs::write(&config, "[default]\ns3 =\n  signature_version = s3v4\n").unwrap();
    let mut command = with_credentials(Command::new(venv("aws")), url);
    command.env("AWS_CONFIG_FILE", config).args(["s3", "presign", "s3://orders/new", "--expires-in", "60"]);
    let presigned = String::from_utf8(command.output().await.unwrap().stdout).unwrap();
    let curl = Command::new("curl").args(["-sS", "--noproxy", "*", presigned.trim()]).output().await.unwrap();
    assert_eq!(String::from_utf8(curl.stdout).unwrap(), "new");
}
