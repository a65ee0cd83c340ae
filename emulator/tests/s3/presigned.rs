//! Presigned URLs.

use std::time::Duration;

use emulator::testing::Client;

use super::*;

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
    let urls = python(url, script).await;
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

/// What is signed: the headers that the uploader has to send.
const BODY: &str = "hello";
const DIGEST: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
const OTHER_DIGEST: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

#[tokio::test]
async fn a_presigned_upload_must_have_the_length_the_digest_and_the_type_that_were_signed() {
    let directory = tempfile::tempdir().unwrap();
    let (_emulator, url) = program_with(directory.path(), json!([{ "name": "orders" }]), &["--movable-clock"]).await;
    let script = format!(
        "
import boto3
from botocore.config import Config
s3 = boto3.client('s3', config=Config(signature_version='s3v4'))
params = {{'Bucket': 'orders', 'Key': 'a', 'ContentType': 'text/x', 'ContentLength': {}, 'ChecksumSHA256': '{DIGEST}'}}
print(s3.generate_presigned_url('put_object', Params=params, ExpiresIn=600))
",
        BODY.len()
    );
    let presigned = python(&url, &script).await;
    let presigned = presigned.trim();
    assert!(
        presigned.contains("SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bx-amz-checksum-sha256"),
        "{presigned}"
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |content_type: &str, digest: Option<&str>, body: &'static str| {
        let request = client.put(presigned).header("content-type", content_type).body(body);
        let request =
            digest.into_iter().fold(request, |request, digest| request.header("x-amz-checksum-sha256", digest));
        request.send().await.unwrap()
    };
    let mismatch = || refused(403, "SignatureDoesNotMatch");
    assert_eq!(refusal(send("text/x", Some(DIGEST), "hello!").await).await, mismatch(), "another length");
    assert_eq!(refusal(send("text/x", Some(OTHER_DIGEST), BODY).await).await, mismatch(), "another digest");
    assert_eq!(refusal(send("text/x", None, BODY).await).await, mismatch(), "no digest");
    assert_eq!(refusal(send("text/y", Some(DIGEST), BODY).await).await, mismatch(), "another type");
    assert_eq!(refusal(send("text/x", Some(DIGEST), "olleh").await).await, refused(400, "BadDigest"), "another body");
    assert_eq!(get(&url, "/orders/a").await.0, 404);
    let data = directory.path().join("data");
    assert_eq!((files(&data, "uploading"), files(&data, "stored")), (0, 0));

    assert_eq!(send("text/x", Some(DIGEST), BODY).await.status(), 200);
    for method in [Method::HEAD, Method::GET] {
        let stored = request(&url, method, "/orders/a").header("x-amz-checksum-mode", "ENABLED").send().await.unwrap();
        let header = |name: &str| stored.headers()[name].to_str().unwrap();
        let seen = (header("x-amz-checksum-sha256"), header("x-amz-checksum-type"), header("content-type"));
        assert_eq!(seen, (DIGEST, "FULL_OBJECT", "text/x"));
    }
    let plain = request(&url, Method::HEAD, "/orders/a").send().await.unwrap();
    assert!(!plain.headers().contains_key("x-amz-checksum-sha256"));

    Client::new(&*url).forward(Duration::from_secs(601)).await;
    let late = send("text/x", Some(DIGEST), BODY).await;
    let status = late.status();
    let said = late.text().await.unwrap();
    let wanted = "<Code>AccessDenied</Code><Message>Request has expired</Message><X-Amz-Expires>600</X-Amz-Expires>";
    assert!(status == 403 && said.contains(wanted), "{said}");
}
