//! Multipart uploads.

use super::*;

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
    python(emulator.url(), script).await;
    let stored = fs::read_dir(emulator.directory().join("data/s3/stored")).unwrap().count();
    assert_eq!(stored, 4, "the files of the parts are gone");
}

/// Starts an upload, and returns its id.
pub(crate) async fn create(url: &str, path: &str) -> String {
    let started = request(url, Method::POST, &format!("{path}?uploads")).send().await.unwrap().text().await.unwrap();
    started.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0.to_owned()
}

/// Uploads a part, and returns its entity tag.
pub(crate) async fn upload(url: &str, path: &str, id: &str, number: u32, body: Bytes) -> String {
    let path = format!("{path}?partNumber={number}&uploadId={id}");
    let response = request(url, Method::PUT, &path).body(body).send().await.unwrap().error_for_status().unwrap();
    response.headers()["etag"].to_str().unwrap().to_owned()
}

pub(crate) async fn complete(url: &str, path: &str, id: &str, parts: &[(u32, &str)]) -> Response {
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
async fn an_upload_does_not_replace_an_object_that_must_not_exist() {
    let emulator = start();
    let url = emulator.url();
    let id = create(url, "/orders/a").await;
    let part = upload(url, "/orders/a", &id, 1, Bytes::from_static(b"1")).await;
    put(url, "/orders/a", "other").await.error_for_status().unwrap();
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part}</ETag></Part></CompleteMultipartUpload>"
    );
    let path = format!("/orders/a?uploadId={id}");
    let done = request(url, Method::POST, &path).header("if-none-match", "*").body(body).send().await.unwrap();
    assert_eq!(refusal(done).await, refused(412, "PreconditionFailed"));
    assert_eq!(get(url, "/orders/a").await.2, "other");
    let parts = get(url, &path).await;
    assert!(parts.0 == 200 && parts.2.matches("<Part>").count() == 1, "the upload is still there: {}", parts.2);
    assert_eq!(complete(url, "/orders/a", &id, &[(1, &part)]).await.status(), 200);
    assert_eq!(get(url, "/orders/a").await.2, "1");
}
