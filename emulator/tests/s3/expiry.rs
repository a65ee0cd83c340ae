//! Lifecycle rules, with a clock that the test moves.

use std::time::Duration;

use emulator::testing::{Client, eventually};

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn buckets() -> Value {
    let rules = json!([
        { "ID": "temporary", "Status": "Enabled", "Filter": { "Prefix": "tmp/" }, "Expiration": { "Days": 1 } },
        { "ID": "stale", "Status": "Enabled", "Filter": { "Prefix": "" }, "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 3 } },
    ]);
    json!([{ "name": "orders", "lifecycleConfiguration": { "Rules": rules } }])
}

/// The time until one o'clock of the next day, far from midnight, as the emulator's clock has it.
async fn until_one_o_clock(url: &str) -> Duration {
    let (_, headers, _) = get(url, "/orders?list-type=2").await;
    let date = headers["date"].to_str().unwrap();
    let time = date.split(' ').nth(4).unwrap().split(':').map(|number| number.parse::<u64>().unwrap());
    let seconds = time.fold(0, |seconds, number| 60 * seconds + number);
    Duration::from_secs(25 * 60 * 60 - seconds)
}

#[tokio::test]
async fn what_the_rules_of_a_bucket_apply_to_is_gone_at_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let (mut emulator, url) = program_with(directory.path(), buckets(), &["--movable-clock"]).await;
    let clock = Client::new(&*url);
    clock.forward(until_one_o_clock(&url).await).await;
    let stored = put(&url, "/orders/tmp/a", "1").await;
    let told = stored.headers()["x-amz-expiration"].to_str().unwrap();
    assert!(told.starts_with("expiry-date=\"") && told.ends_with(" 00:00:00 GMT\", rule-id=\"temporary\""), "{told}");
    let headers = get(&url, "/orders/tmp/a").await.1;
    assert_eq!(headers["x-amz-expiration"], told);
    let kept = put(&url, "/orders/kept", "2").await;
    assert!(!kept.headers().contains_key("x-amz-expiration"));
    let id = multipart::create(&url, "/orders/large").await;
    multipart::upload(&url, "/orders/large", &id, 1, Bytes::from_static(b"3")).await;
    let parts = format!("/orders/large?uploadId={id}");
    let headers = get(&url, &parts).await.1;
    assert_eq!(headers["x-amz-abort-rule-id"], "stale");
    assert!(headers["x-amz-abort-date"].to_str().unwrap().ends_with(" 00:00:00 GMT"));

    // The object expires at the midnight that follows a full day.
    clock.forward(DAY).await;
    assert_eq!(get(&url, "/orders/tmp/a").await.2, "1");
    clock.forward(DAY).await;
    assert_eq!(get(&url, "/orders/tmp/a").await.0, 404);
    let (_, _, listed) = get(&url, "/orders?list-type=2").await;
    assert!(listed.contains("<KeyCount>1</KeyCount>") && listed.contains("<Key>kept</Key>"), "{listed}");
    assert_eq!(get(&url, &parts).await.0, 200, "the upload has two more days");
    assert_eq!(files(&data, "stored"), 2);

    clock.forward(2 * DAY).await;
    // Without a request.
    eventually("the part to be removed from the disk", async || (files(&data, "stored") == 1).then_some(())).await;
    assert!(!get(&url, "/orders?uploads").await.2.contains("<Upload>"));
    let part = request(&url, Method::PUT, &format!("{parts}&partNumber=2")).body("4").send().await.unwrap();
    assert_eq!(refusal(part).await, refused(404, "NoSuchUpload"));

    emulator.kill().await.unwrap();
    let (_emulator, url) = program_with(directory.path(), buckets(), &["--movable-clock"]).await;
    assert_eq!((get(&url, "/orders/kept").await.2, get(&url, "/orders/tmp/a").await.0), ("2".to_owned(), 404));
}

#[tokio::test]
async fn clients_set_the_rules_of_a_bucket_and_declared_rules_replace_them() {
    let directory = tempfile::tempdir().unwrap();
    let plain = || json!([{ "name": "orders" }]);
    let (mut emulator, url) = program_with(directory.path(), plain(), &[]).await;
    let none = request(&url, Method::GET, "/orders?lifecycle").send().await.unwrap();
    assert_eq!(refusal(none).await, refused(404, "NoSuchLifecycleConfiguration"));
    let rules = json!({ "Rules": [{
        "ID": "a", "Status": "Disabled", "Filter": { "Prefix": "b/" }, "Expiration": { "Days": 2 },
        "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 1 },
    }] });
    let set = ["s3api", "put-bucket-lifecycle-configuration", "--bucket", "orders", "--lifecycle-configuration"];
    aws(&url, &[&set[..], &[&rules.to_string()]].concat()).await;
    let show = ["s3api", "get-bucket-lifecycle-configuration", "--bucket", "orders"];
    let shown = async |url: &str| serde_json::from_str::<Value>(&aws(url, &show).await).unwrap()["Rules"].clone();
    assert_eq!(shown(&url).await, rules["Rules"]);

    let put_rules = async |rule: &str| {
        let body = format!("<LifecycleConfiguration>{rule}</LifecycleConfiguration>");
        let request = request(&url, Method::PUT, "/orders?lifecycle").body(body);
        refusal(request.send().await.unwrap()).await
    };
    let days = |days: u32| {
        format!("<Rule><Status>Enabled</Status><Filter/><Expiration><Days>{days}</Days></Expiration></Rule>")
    };
    assert_eq!(put_rules(&days(0)).await, refused(400, "InvalidArgument"));
    assert_eq!(put_rules("").await, refused(400, "MalformedXML"));
    let transition = days(1).replace("<Filter/>", "<Filter/><Transition><Days>1</Days></Transition>");
    assert_eq!(put_rules(&transition).await, refused(400, "MalformedXML"));
    assert_eq!(shown(&url).await, rules["Rules"], "what was refused changed nothing");

    emulator.kill().await.unwrap();
    let (mut emulator, url) = program_with(directory.path(), plain(), &[]).await;
    assert_eq!(shown(&url).await, rules["Rules"]);
    emulator.kill().await.unwrap();
    let (_emulator, url) = program_with(directory.path(), buckets(), &[]).await;
    assert_eq!(shown(&url).await, buckets()[0]["lifecycleConfiguration"]["Rules"]);
    aws(&url, &["s3api", "delete-bucket-lifecycle", "--bucket", "orders"]).await;
    assert_eq!(get(&url, "/orders?lifecycle").await.0, 404);
}
