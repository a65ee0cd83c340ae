//! Files that are too large for a request or an item: uploads, and what jobs leave behind.

use std::{collections::BTreeMap, path::Path, time::Duration};

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::stack::{Stack, eventually, header};

const PATTERNS: [&str; 2] = ["sync", "callback"];

/// A job that copies its upload, and leaves two files and a large result behind.
const COPIES: &str = "copies=mkdir $EXECUTION_OUTPUT_DIR/sub; cp $EXECUTION_INPUT_FILE $EXECUTION_OUTPUT_DIR/copy; \
    printf '<b>' > $EXECUTION_OUTPUT_DIR/sub/'ü b.html'; python3 -c 'print([\"x\"*200000])' | tr \\' '\"' > $EXECUTION_RESULT_FILE";

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Asks for an upload of these bytes.
async fn target(stack: &Stack, bytes: &[u8]) -> Value {
    let body = json!({ "bytes": bytes.len(), "sha256": hex(bytes) });
    let response = stack.post("/uploads").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

/// Sends a file, as a caller does who has only the target.
async fn send(target: &Value, bytes: &[u8]) -> Response {
    let headers: BTreeMap<String, String> = serde_json::from_value(target["headers"].clone()).unwrap();
    let mut request = reqwest::Client::new().put(target["url"].as_str().unwrap()).body(bytes.to_vec());
    for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
        request = request.header(name, value);
    }
    request.send().await.unwrap()
}

async fn uploaded(stack: &Stack, bytes: &[u8]) -> Value {
    let target = target(stack, bytes).await;
    assert_eq!(send(&target, bytes).await.status(), StatusCode::OK);
    target["uploadId"].clone()
}

/// Downloads a file without any authentication, and compares it with what the API says about it.
async fn download(file: &Value) -> (String, Vec<u8>) {
    let response = reqwest::get(file["url"].as_str().unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK, "{file:#}");
    let disposition = header(&response, "content-disposition").to_owned();
    let bytes = response.bytes().await.unwrap().to_vec();
    assert_eq!((file["bytes"].as_u64(), &file["sha256"]), (Some(bytes.len() as u64), &json!(hex(&bytes))), "{file:#}");
    (disposition, bytes)
}

async fn refused(stack: &Stack, path: &str, body: &Value) -> Vec<(String, String, String)> {
    let response = stack.post(path).json(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}");
    let problem: Value = response.json().await.unwrap();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap().to_owned();
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|error| (text(error, "pointer"), text(error, "rule"), text(error, "detail"))).collect()
}

/// The files below a directory of the stack's data, by path.
fn files(directory: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let below = entries.flat_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path) } else { vec![path.display().to_string()] }
    });
    below.collect()
}

#[tokio::test]
async fn a_job_gets_an_upload_and_leaves_files_behind() {
    let stack = Stack::start(&["--job", COPIES]).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let upload = uploaded(&stack, &content).await;
    for pattern in PATTERNS {
        let body = json!({ "job": "copies", "input": null, "inputUpload": upload });
        let valid: Value = stack
            .post(&format!("/executions/{pattern}/validate"))
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!((&valid["inputUpload"]["uploadId"], &valid["input"]), (&upload, &Value::Null), "{valid:#}");
        let done = stack.run(pattern, body).await;
        assert_eq!((&done["status"], &done["resultSource"]), (&json!("COMPLETED"), &json!("artifact")), "{done:#}");
        assert_eq!(done["result"], Value::Null);
        assert_eq!(download(&done["inputUpload"]).await.1, content);
        let artifacts = done["artifacts"].as_array().unwrap();
        let names: Vec<_> = artifacts.iter().map(|file| file["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["copy", "result.json", "sub/ü b.html"], "{done:#}");
        assert_eq!(download(&artifacts[0]).await.1, content);
        let result: Value = serde_json::from_slice(&download(&artifacts[1]).await.1).unwrap();
        assert_eq!(result[0].as_str().unwrap().len(), 200_000);
        // A browser must save a page that a job wrote, and not show it.
        let (disposition, page) = download(&artifacts[2]).await;
        assert_eq!((&*disposition, &*page), ("attachment; filename*=UTF-8''%C3%BC%20b.html", &b"<b>"[..]));

        // What is repeated has the same file, and a response that is asked for again is the same.
        let id = done["executionId"].as_str().unwrap();
        let rerun = stack.post(&format!("/executions/{id}/rerun")).send().await.unwrap();
        assert_eq!(rerun.json::<Value>().await.unwrap()["inputUpload"]["uploadId"], upload);
        let again = stack.get(&format!("/executions/{id}")).send().await.unwrap();
        let etag = header(&again, "etag").to_owned();
        let known = stack.get(&format!("/executions/{id}")).header("if-none-match", etag).send().await.unwrap();
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn a_failed_job_keeps_its_files_too() {
    let stack = Stack::start(&["--job", "fails=echo dump > $EXECUTION_OUTPUT_DIR/core; exit 3"]).await;
    for pattern in PATTERNS {
        let done = stack.run(pattern, json!({ "job": "fails", "input": null })).await;
        assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(3)), "{done:#}");
        assert_eq!(download(&done["artifacts"][0]).await.1, b"dump\n");
    }
}

#[tokio::test]
async fn files_that_cannot_be_kept_fail_the_job_and_none_is_shown() {
    let stack = Stack::start(&[
        "--job",
        "link=ln -s /etc/passwd $EXECUTION_OUTPUT_DIR/link; echo a > $EXECUTION_OUTPUT_DIR/a",
        "--job",
        "many=for n in $(seq 101); do echo > $EXECUTION_OUTPUT_DIR/$n; done",
        "--job",
        "twice=head -c 200000 /dev/zero | tr '\\0' 1 > $EXECUTION_RESULT_FILE; echo > $EXECUTION_OUTPUT_DIR/result.json",
        "--job",
        "broken=head -c 200000 /dev/zero | tr '\\0' '[' > $EXECUTION_RESULT_FILE",
        "--job",
        "latin=(printf '[\"'; head -c 200000 /dev/zero | tr '\\0' '\\351'; printf '\"]') > $EXECUTION_RESULT_FILE",
        "--job",
        "deep=for n in $(seq 300); do cd $EXECUTION_OUTPUT_DIR; mkdir -p a; mv a b; mkdir a; mv b a/b; done",
        "--job",
        "line=touch \"$EXECUTION_OUTPUT_DIR/$(printf 'a\\nb')\"",
    ])
    .await;
    for (job, kind, why) in [
        ("link", "artifacts-not-kept", "\"link\" is not a regular file"),
        ("many", "artifacts-not-kept", "there are 101 files, at most 100 are allowed; pack them into an archive"),
        ("twice", "artifacts-not-kept", "becomes the artifact \"result.json\""),
        ("broken", "result-not-json", "not one valid JSON value"),
        ("latin", "result-not-json", "the result file is not UTF-8"),
        ("deep", "artifacts-not-kept", "a name that begins with \"a/b/b/b/"),
        ("line", "artifacts-not-kept", "the name \"a\\nb\" has a control character"),
    ] {
        for pattern in PATTERNS {
            let body = json!({ "job": job, "input": null, "retry": { "maxAttempts": 1 } });
            let done = stack.run(pattern, body).await;
            let error = &done["error"];
            assert_eq!((&done["status"], &error["type"]), (&json!("FAILED"), &json!(kind)), "{done:#}");
            assert!(error["message"].as_str().unwrap().contains(why), "{error:#}");
            assert_eq!(done["artifacts"], Value::Null, "{done:#}");
        }
    }
}

/// What a job may do with its files besides writing them.
#[tokio::test]
async fn a_job_may_treat_its_files_as_it_likes() {
    let large = "head -c 200000 /dev/zero | tr '\\0'";
    let stack = Stack::start(&[
        "--job",
        "deletes=rm -r $EXECUTION_OUTPUT_DIR; echo '{}'",
        "--job",
        &format!("links={large} 1 > $EXECUTION_OUTPUT_DIR/n; ln -s $EXECUTION_OUTPUT_DIR/n $EXECUTION_RESULT_FILE"),
        "--job",
        &format!("fails=echo why > $EXECUTION_OUTPUT_DIR/why; {large} '[' > $EXECUTION_RESULT_FILE; exit 3"),
        "--job",
        "odd=true > $EXECUTION_OUTPUT_DIR/empty; true > $EXECUTION_OUTPUT_DIR/'a b%2F+?#'",
    ])
    .await;
    for pattern in PATTERNS {
        for (job, status, names) in [
            ("deletes", "COMPLETED", &[][..]),
            ("links", "COMPLETED", &["n", "result.json"]),
            ("fails", "FAILED", &["why"]),
            ("odd", "COMPLETED", &["a b%2F+?#", "empty"]),
        ] {
            let done = stack.run(pattern, json!({ "job": job, "input": null })).await;
            assert_eq!(done["status"], status, "{job}: {done:#}");
            let artifacts = done["artifacts"].as_array().cloned().unwrap_or_default();
            assert_eq!(artifacts.iter().map(|file| &file["name"]).collect::<Vec<_>>(), names, "{job}: {done:#}");
            for file in &artifacts {
                download(file).await;
            }
        }
    }
}

#[tokio::test]
async fn a_job_does_not_start_with_another_file_than_its_upload() {
    let stack = Stack::start(&["--job", COPIES]).await;
    let upload = uploaded(&stack, b"content").await;
    for (does, why) in [
        (json!({ "answer": "other" }), "cannot be verified"),
        (json!({ "refuse": "NoSuchKey" }), "the upload no longer exists"),
    ] {
        let fault = stack.arm(&json!({ "on": "s3:GetObject", "by": "task", "does": does, "times": "all" })).await;
        for pattern in PATTERNS {
            let done = stack.run(pattern, json!({ "job": "copies", "input": null, "inputUpload": upload })).await;
            assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(125)), "{done:#}");
            assert!(done["error"]["logTail"].as_str().unwrap().contains(why), "{done:#}");
        }
        stack.disarm(fault).await;
    }
}

#[tokio::test]
async fn a_job_whose_files_cannot_be_reported_has_not_completed() {
    let stack = Stack::start(&[
        "--job",
        "writes=echo a > $EXECUTION_OUTPUT_DIR/a; echo '{}'",
        "--job",
        "link=ln -s /etc/passwd $EXECUTION_OUTPUT_DIR/link",
    ])
    .await;
    for job in ["writes", "link"] {
        let refuse = json!({ "refuse": "ValidationException" });
        let fault = stack.arm(&json!({ "on": "dynamodb:PutItem", "by": "task", "does": refuse })).await;
        let done = stack.run("sync", json!({ "job": job, "input": null })).await;
        assert_eq!((&done["status"], &done["exitCode"]), (&json!("FAILED"), &json!(125)), "{job}: {done:#}");
        assert_eq!(stack.fault(fault).await["hit"], 1, "{job}");
        stack.disarm(fault).await;
    }
}

/// A denial may pass, but an execution must not seem to run for a day because a permission is missing.
#[tokio::test]
async fn a_missing_permission_for_files_fails_the_job_after_an_hour() {
    let stack = Stack::start(&["--movable-clock", "--job", "writes=echo a > $EXECUTION_OUTPUT_DIR/a; echo '{}'"]).await;
    let denied = json!({ "refuse": "AccessDenied" });
    let fault = stack.arm(&json!({ "on": "s3:PutObject", "by": "task", "does": denied, "times": "all" })).await;
    for pattern in PATTERNS {
        let hits = stack.fault(fault).await["hit"].as_u64().unwrap();
        let started = stack.start_execution(pattern, &json!({ "job": "writes", "input": null })).await;
        let denials = async || (stack.fault(fault).await["hit"].as_u64().unwrap() > hits + 1).then_some(());
        eventually("two denials", denials).await;
        stack.forward(Duration::from_secs(3_601)).await;
        let id = started["executionId"].as_str().unwrap();
        let done = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!(done["error"]["type"], "artifacts-not-kept", "{done:#}");
        let message = done["error"]["message"].as_str().unwrap();
        assert!(message.contains("it needs the permission s3:PutObject"), "{message}");
    }
}

#[tokio::test]
async fn a_job_that_is_stopped_while_its_files_are_uploaded_has_not_completed() {
    let stack = Stack::start(&["--job", "writes=echo a > $EXECUTION_OUTPUT_DIR/a; echo '{}'"]).await;
    let fault = stack.arm(&json!({ "on": "s3:PutObject", "by": "task", "does": "hang", "times": "all" })).await;
    for pattern in PATTERNS {
        let late = stack.run(pattern, json!({ "job": "writes", "input": null, "timeoutSeconds": 3 })).await;
        assert_eq!((&late["status"], &late["artifacts"]), (&json!("TIMED_OUT"), &Value::Null), "{late:#}");
        let hits = stack.fault(fault).await["hit"].as_u64().unwrap();
        let started = stack.start_execution(pattern, &json!({ "job": "writes", "input": null })).await;
        let put = async || (stack.fault(fault).await["hit"].as_u64().unwrap() > hits).then_some(());
        eventually("the put", put).await;
        let id = started["executionId"].as_str().unwrap();
        stack.post(&format!("/executions/{id}/cancel")).send().await.unwrap();
        let done = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!((&done["status"], &done["artifacts"]), (&json!("CANCELLED"), &Value::Null), "{done:#}");
    }
}

#[tokio::test]
async fn an_upload_that_is_not_as_announced_leaves_nothing_behind() {
    let stack = Stack::start(&["--job", COPIES]).await;
    let data = stack.data.clone();
    let start = async |id: &Value| {
        let errors =
            refused(&stack, "/executions/sync", &json!({ "job": "copies", "input": null, "inputUpload": id })).await;
        let [(pointer, rule, detail)] = &*errors else { panic!("{errors:?}") };
        assert_eq!((&**pointer, &**rule), ("/inputUpload", "upload-not-found"));
        assert!(detail.contains("has not completely arrived"), "{detail}");
    };
    let content = b"0123456789";
    let announced = target(&stack, content).await;
    start(&announced["uploadId"]).await;
    // Another content of the same length, another length, and another digest in the header.
    let other = send(&announced, b"9876543210").await;
    assert_eq!(other.status(), StatusCode::BAD_REQUEST, "{}", other.text().await.unwrap());
    let longer = send(&announced, b"0123456789 and more").await;
    assert_eq!(longer.status(), StatusCode::FORBIDDEN, "{}", longer.text().await.unwrap());
    let mut changed = announced.clone();
    changed["headers"]["x-amz-checksum-sha256"] =
        target(&stack, b"9876543210").await["headers"]["x-amz-checksum-sha256"].clone();
    assert_eq!(send(&changed, b"9876543210").await.status(), StatusCode::FORBIDDEN);
    start(&announced["uploadId"]).await;

    // A connection that ends in the middle.
    let url: reqwest::Url = announced["url"].as_str().unwrap().parse().unwrap();
    let host = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut connection = TcpStream::connect(&host).await.unwrap();
    let digest = announced["headers"]["x-amz-checksum-sha256"].as_str().unwrap();
    let path = format!("{}?{}", url.path(), url.query().unwrap());
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 10\r\nx-amz-checksum-sha256: {digest}\r\n\r\n01234"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    drop(connection);
    start(&announced["uploadId"]).await;
    eventually("no file of an upload", async || {
        let left: Vec<_> = files(&data).into_iter().filter(|path| path.contains("longhaul-data")).collect();
        left.is_empty().then_some(())
    })
    .await;
    assert_eq!(stack.items().await, 0, "nothing was started");
    // The same URL still takes the right file.
    assert_eq!(send(&announced, content).await.status(), StatusCode::OK);
    let done = stack.run("sync", json!({ "job": "copies", "input": null, "inputUpload": announced["uploadId"] })).await;
    assert_eq!(done["status"], "COMPLETED", "{done:#}");
}

#[tokio::test]
async fn a_wrong_upload_is_told_with_its_pointer() {
    let stack = Stack::start(&["--job", COPIES, "--owner-header", "x-owner"]).await;
    let digest = hex(b"");
    for (body, expected) in [
        (
            json!({}),
            vec![
                ("", "invalid-value", "has no `bytes`; it is required"),
                ("", "invalid-value", "has no `sha256`; it is required"),
            ],
        ),
        (
            json!({ "bytes": 5_368_709_121_u64, "sha256": digest }),
            vec![("/bytes", "upload-size-out-of-range", "must be between 1 and 5368709120")],
        ),
        (
            json!({ "bytes": -1, "sha256": digest }),
            vec![("/bytes", "upload-size-out-of-range", "must be between 1 and 5368709120")],
        ),
        (
            json!({ "bytes": 1.5, "sha256": "abc", "keepDays": 401, "size": 1 }),
            vec![
                ("/bytes", "invalid-value", "must be a whole number"),
                ("/sha256", "invalid-value", "64 hexadecimal digits"),
                ("/keepDays", "keep-days-out-of-range", "must be between 1 and 400"),
                ("/size", "invalid-value", "is not a member of this object"),
            ],
        ),
    ] {
        let errors = refused(&stack, "/uploads", &body).await;
        assert_eq!(errors.len(), expected.len(), "{body}: {errors:?}");
        for ((pointer, rule, detail), (at, of, why)) in errors.iter().zip(expected) {
            assert_eq!((&**pointer, &**rule), (at, of), "{body}: {errors:?}");
            assert!(detail.contains(why), "{body}: {detail}");
        }
    }

    let body = json!({ "bytes": 3, "sha256": hex(b"abc") });
    let target: Value =
        stack.post("/uploads").header("x-owner", "ada").json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(send(&target, b"abc").await.status(), StatusCode::OK);
    let start = async |owner: &str, more: Value| {
        let mut body = json!({ "job": "copies", "input": null, "inputUpload": target["uploadId"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        stack.post("/executions/sync").header("x-owner", owner).json(&body).send().await.unwrap()
    };
    assert_eq!(start("eve", json!({})).await.status(), StatusCode::UNPROCESSABLE_ENTITY, "it is another owner's");
    let long: Value = start("ada", json!({ "timeoutSeconds": 31_536_000 })).await.json().await.unwrap();
    assert_eq!(long["errors"][0]["rule"], "upload-expires", "{long:#}");
    assert!(long["errors"][0]["detail"].as_str().unwrap().contains("\"keepDays\": 400"), "{long:#}");
    let named: Value =
        start("ada", json!({ "inputUpload": "../../x", "timeoutSeconds": 0 })).await.json().await.unwrap();
    let pointers: Vec<_> =
        named["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/timeoutSeconds", "/inputUpload"], "{named:#}");
    assert_eq!(start("ada", json!({})).await.status(), StatusCode::ACCEPTED);
}

/// A repeat with the same key is answered even if S3 is unavailable or the upload expires too early. Another upload is another request.
#[tokio::test]
async fn a_repeat_with_an_upload_is_recognized() {
    let stack = Stack::start(&["--movable-clock", "--job", COPIES]).await;
    let (one, other) = (uploaded(&stack, b"1").await, uploaded(&stack, b"2").await);
    let start = async |upload: &Value| {
        let body = json!({ "job": "copies", "input": null, "inputUpload": upload });
        stack.post("/executions/callback").header("idempotency-key", "k").json(&body).send().await.unwrap()
    };
    let first: Value = start(&one).await.json().await.unwrap();
    let repeat = start(&one).await;
    assert_eq!(header(&repeat, "idempotent-replayed"), "true");
    let problem: Value = start(&other).await.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("differs in: inputUpload"), "{problem:#}");
    stack.wait_for(first["executionId"].as_str().unwrap(), |execution| execution["done"] == true).await;
    let fault = stack.arm(&json!({ "on": "s3:HeadObject", "does": "fail", "times": "all" })).await;
    assert_eq!(header(&start(&one).await, "idempotent-replayed"), "true");
    assert_eq!(start(&other).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    stack.disarm(fault).await;
    stack.forward(Duration::from_hours(5 * 24)).await;
    assert_eq!(header(&start(&one).await, "idempotent-replayed"), "true");
    let body = json!({ "job": "copies", "input": null, "inputUpload": one });
    assert_eq!(refused(&stack, "/executions/callback", &body).await[0].1, "upload-expires");
}

#[tokio::test]
async fn files_survive_calls_that_fail_or_get_lost() {
    let stack = Stack::start(&["--job", COPIES]).await;
    let upload = uploaded(&stack, b"content").await;
    for pattern in PATTERNS {
        for (call, by) in [("s3:GetObject", "task"), ("s3:PutObject", "task"), ("s3:HeadObject", "api")] {
            for does in ["fail", "throttle", "cutBefore", "cutAfter"] {
                let fault = stack.arm(&json!({ "on": call, "by": by, "does": does, "times": 1 })).await;
                let body = json!({ "job": "copies", "input": null, "inputUpload": upload });
                let mut response = stack.post(&format!("/executions/{pattern}")).json(&body).send().await.unwrap();
                if by == "api" {
                    // Nothing was started, and the caller is told to try again.
                    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{call} {does}");
                    response = stack.post(&format!("/executions/{pattern}")).json(&body).send().await.unwrap();
                }
                assert_eq!(response.status(), StatusCode::ACCEPTED, "{call} {does}");
                let started: Value = response.json().await.unwrap();
                let id = started["executionId"].as_str().unwrap();
                let done = stack.wait_for(id, |execution| execution["done"] == true).await;
                assert_eq!(done["status"], "COMPLETED", "{pattern} {call} {does}: {done:#}");
                let artifacts = done["artifacts"].as_array().unwrap();
                assert_eq!(artifacts.len(), 3, "{pattern} {call} {does}: {done:#}");
                assert_eq!(download(&artifacts[0]).await.1, b"content");
                assert!(stack.fault(fault).await["hit"].as_u64().unwrap() >= 1, "{call} {does}");
                stack.disarm(fault).await;
            }
        }
    }
}

/// The worker dies after it put the files and before it tells of them: nothing refers to them, and the next attempt puts its own.
#[tokio::test]
async fn a_worker_that_dies_between_its_files_and_its_report_loses_nothing() {
    let stack = Stack::start(&["--job", COPIES]).await;
    let upload = uploaded(&stack, b"content").await;
    for pattern in PATTERNS {
        // The start of a callback execution is recorded by the worker too, before the job.
        let put = json!({ "on": "s3:PutObject", "by": "task", "does": "killAfter" });
        let fault = stack.arm(&put).await;
        let body = json!({ "job": "copies", "input": null, "inputUpload": upload, "retry": { "maxAttempts": 2 } });
        let started = stack.start_execution(pattern, &body).await;
        let id = started["executionId"].as_str().unwrap();
        eventually("the kill", async || (stack.fault(fault).await["hit"] == 1).then_some(())).await;
        let done = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("COMPLETED"), &json!(2)), "{pattern}: {done:#}");
        assert_eq!(done["artifacts"].as_array().unwrap().len(), 3, "{done:#}");
        assert_eq!(download(&done["artifacts"][0]).await.1, b"content");
        stack.disarm(fault).await;
    }
}
