//! Copies from one key to another.

use super::*;

#[tokio::test]
async fn the_aws_client_copies_a_large_object_in_parts() {
    let emulator = start();
    let url = emulator.url();
    // The client copies in parts from 8 MB on.
    let large: Vec<u8> = (0..9 * 1024 * 1024_u32).map(|place| place.to_le_bytes()[(place % 4) as usize]).collect();
    let stored = request(url, Method::PUT, "/orders/a b").body(large.clone());
    stored.send().await.unwrap().error_for_status().unwrap();
    aws(url, &["s3", "mv", "s3://orders/a b", "s3://other/c"]).await;
    let copied = request(url, Method::GET, "/other/c").send().await.unwrap();
    assert!(copied.headers()["etag"].to_str().unwrap().ends_with("-2\""), "{:?}", copied.headers());
    assert!(copied.bytes().await.unwrap() == large, "the bytes of the source");
    assert_eq!(get(url, "/orders/a%20b").await.0, 404);
    assert_eq!(files(&emulator.directory().join("data"), "stored"), 1, "the files of the parts are gone");
}

#[tokio::test]
async fn a_part_is_copied_from_a_range_and_on_conditions() {
    let emulator = start();
    let url = emulator.url();
    let source = put(url, "/orders/source", "0123456789").await;
    let etag = source.headers()["etag"].to_str().unwrap().to_owned();
    let id = multipart::create(url, "/other/a").await;
    let path = format!("/other/a?partNumber=1&uploadId={id}");
    let copy = async |headers: &[(&str, &str)]| {
        let request = request(url, Method::PUT, &path).header("x-amz-copy-source", "/orders/source");
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
    };
    let range = "x-amz-copy-source-range";
    let invalid = || refused(400, "InvalidArgument");
    assert_eq!(refusal(copy(&[(range, "bytes=5-10")]).await).await, invalid());
    assert_eq!(refusal(copy(&[(range, "bytes=5-")]).await).await, invalid());
    let failed = || refused(412, "PreconditionFailed");
    assert_eq!(refusal(copy(&[("x-amz-copy-source-if-match", "\"0\"")]).await).await, failed());
    assert_eq!(refusal(copy(&[("x-amz-copy-source-if-none-match", &etag)]).await).await, failed());
    let missing = request(url, Method::PUT, &path).header("x-amz-copy-source", "orders/none").send().await.unwrap();
    assert_eq!(refusal(missing).await, refused(404, "NoSuchKey"));
    let copied = copy(&[(range, "bytes=2-4"), ("x-amz-copy-source-if-match", &etag)]).await.text().await.unwrap();
    let (_, part) = copied.split_once("<ETag>").unwrap();
    let (part, _) = part.split_once('<').unwrap();
    assert_eq!(multipart::complete(url, "/other/a", &id, &[(1, part)]).await.status(), 200);
    assert_eq!(get(url, "/other/a").await.2, "234");
}
