//! Uploads that are cut off in the middle.

use emulator::testing::eventually;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

/// Half of an upload.
const HALF: usize = 1024 * 1024;

/// Sends half of an upload, and waits until it is on disk.
async fn half(url: &str, data: &Path, path: &str, headers: &str) -> TcpStream {
    let address = url.strip_prefix("http://").unwrap();
    let mut upload = TcpStream::connect(address).await.unwrap();
    let length = 2 * HALF;
    let head = format!("PUT {path} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: {length}\r\n\r\n");
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(&vec![b'x'; HALF]).await.unwrap();
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |file| file.len());
    let uploading = data.join("s3/uploading");
    let is_written =
        async || fs::read_dir(&uploading).unwrap().flatten().any(|file| size(file.path()) >= HALF as u64).then_some(());
    eventually("half of the upload to be on disk", is_written).await;
    upload
}

#[tokio::test]
async fn a_kill_during_an_upload_leaves_the_object_as_it_was_and_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let (mut emulator, url) = program(directory.path()).await;
    put(&url, "/orders/a", "before").await.error_for_status().unwrap();
    let upload =
        half(&url, &directory.path().join("data"), "/orders/a", &format!("authorization: {SIGNATURE}\r\n")).await;
    emulator.kill().await.unwrap();
    drop(upload);

    let (_emulator, url) = program(directory.path()).await;
    assert_eq!(get(&url, "/orders/a").await.2, "before");
    let data = directory.path().join("data");
    assert_eq!((files(&data, "uploading"), files(&data, "stored")), (0, 1));
}

#[tokio::test]
async fn an_upload_that_the_client_cuts_off_leaves_nothing() {
    let emulator = start();
    let url = emulator.url();
    let data = emulator.directory().join("data");
    let presign = "
import boto3
from botocore.config import Config
s3 = boto3.client('s3', config=Config(signature_version='s3v4'))
print(s3.generate_presigned_url('put_object', Params={'Bucket': 'orders', 'Key': 'b', 'ContentLength': 2097152}))
";
    let presigned = python(url, presign).await;
    let id = multipart::create(url, "/orders/c").await;
    let signature = format!("authorization: {SIGNATURE}\r\n");
    for (path, headers) in [
        ("/orders/a", &*signature),
        (presigned.trim().strip_prefix(url).unwrap(), ""),
        (&*format!("/orders/c?partNumber=1&uploadId={id}"), &*signature),
    ] {
        drop(half(url, &data, path, headers).await);
        let is_gone = async || (files(&data, "uploading") == 0).then_some(());
        eventually("the half that was written to be removed", is_gone).await;
    }
    assert_eq!((get(url, "/orders/a").await.0, get(url, "/orders/b").await.0), (404, 404));
    assert!(!get(url, &format!("/orders/c?uploadId={id}")).await.2.contains("<Part>"));
    assert_eq!(files(&data, "stored"), 0);
}

#[tokio::test]
async fn a_client_that_sends_the_whole_of_an_upload_that_is_refused_gets_the_response() {
    let emulator = start();
    let url = emulator.url();
    let address = url.strip_prefix("http://").unwrap();
    let presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=k%2F20260101%2Fus-east-1%2Fs3%2Faws4_request\
        &X-Amz-Date=20260101T000000Z&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0";
    let signature = format!("authorization: {SIGNATURE}\r\n");
    for (path, headers, code) in [
        (&*format!("/orders/a?{presigned}"), "", "AccessDenied"),
        ("/orders/a", &*format!("{signature}content-md5: wrong\r\n"), "InvalidDigest"),
        ("/nowhere/a", &*signature, "NoSuchBucket"),
    ] {
        let mut upload = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: {address}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
            32 * HALF
        );
        upload.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..32 {
            upload.write_all(&vec![b'x'; HALF]).await.unwrap();
        }
        let mut said = String::new();
        upload.read_to_string(&mut said).await.unwrap();
        assert!(said.contains(&format!("<Code>{code}</Code>")), "{said}");
    }
}
