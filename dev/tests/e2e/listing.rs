//! Lists of executions: pages, filters, page tokens and owners.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::stack::Stack;

async fn page(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let link = response.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
    let page: Value = response.json().await.unwrap();
    match page["nextPageToken"].as_str() {
        Some(token) => assert!(link.unwrap().ends_with(&format!("pageToken={token}>; rel=\"next\"")), "{page:#}"),
        None => assert_eq!(link, None),
    }
    page
}

fn ids(page: &Value) -> Vec<String> {
    let id = |execution: &Value| execution["executionId"].as_str().unwrap().to_owned();
    page["executions"].as_array().unwrap().iter().map(id).collect()
}

/// All executions of a list, read page by page.
async fn whole(stack: &Stack, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let page = page(stack.get(&format!("/executions?{query}{token}"))).await;
        found.extend(ids(&page));
        let Some(next) = page["nextPageToken"].as_str() else { return found };
        token = format!("&pageToken={next}");
    }
}

#[tokio::test]
async fn a_list_has_the_newest_execution_first_on_any_page_size() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    assert_eq!(page(stack.get("/executions")).await, json!({ "executions": [] }));
    let mut made = Vec::new();
    for number in 0..7 {
        let pattern = ["sync", "callback"][number % 2];
        let started = stack.start_execution(pattern, &json!({ "job": "quick", "input": number })).await;
        made.insert(0, started["executionId"].as_str().unwrap().to_owned());
        // Executions that are accepted in the same millisecond have no defined order.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for size in [1, 2, 3, 7, 100] {
        assert_eq!(whole(&stack, &format!("pageSize={size}")).await, made, "in pages of {size}");
    }
    let done = stack.wait_for(&made[0], |execution| execution["done"] == true).await;
    let listed = page(stack.get("/executions?pageSize=1")).await["executions"][0].clone();
    for field in listed.as_object().unwrap().keys() {
        assert_eq!(listed[field], done[field], "{field}");
    }
    assert_eq!((&listed["status"], &listed["exitCode"]), (&json!("COMPLETED"), &json!(0)));
    assert!(listed.get("input").is_none() && listed.get("result").is_none());
}

#[tokio::test]
async fn filters_select_executions_and_invalid_filters_are_refused() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'", "--job", "bad=exit 3"]).await;
    let run = async |pattern: &str, job: &str, tags: Value| {
        let done = stack.run(pattern, json!({ "job": job, "input": null, "tags": tags })).await;
        (done["executionId"].as_str().unwrap().to_owned(), done["createdAt"].as_str().unwrap().to_owned())
    };
    let (a, _) = run("sync", "quick", json!({ "team": "blue", "a=b/c": "ä" })).await;
    let (b, b_time) = run("callback", "bad", json!({ "team": "red" })).await;
    let (c, _) = run("sync", "bad", json!({})).await;
    for (query, expected) in [
        ("", vec![&c, &b, &a]),
        ("status=FAILED", vec![&c, &b]),
        ("status=COMPLETED", vec![&a]),
        ("status=RUNNING", vec![]),
        ("pattern=callback", vec![&b]),
        ("job=bad", vec![&c, &b]),
        ("job=none", vec![]),
        ("tag=team", vec![&b, &a]),
        ("tag=team%3Dblue", vec![&a]),
        ("tag=team=red", vec![&b]),
        ("status=FAILED&pattern=sync&job=bad", vec![&c]),
        (&format!("createdAfter={b_time}"), vec![&c]),
        (&format!("createdBefore={b_time}"), vec![&a]),
        ("createdAfter=2100-01-01T00:00:00Z", vec![]),
        ("createdBefore=9999-12-31T23:59:59Z", vec![&c, &b, &a]),
        ("createdBefore=2100-01-01T00:00:00.12345678901234%2B02:00", vec![&c, &b, &a]),
        ("createdBefore=1969-12-31T23:59:59Z", vec![]),
        ("createdBefore=-009999-01-02T01:59:59Z", vec![]),
        ("createdAfter=2100-01-01T00:00:00Z&createdBefore=2000-01-01T00:00:00Z", vec![]),
    ] {
        let found = whole(&stack, &format!("{query}&pageSize=1")).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    for query in [
        "status=failed",
        "status=",
        "pattern=async",
        "createdAfter=yesterday",
        "createdAfter=2026-01-01",
        "createdAfter=2026-01-01T00:00:00+02:00",
        "limit=10",
        "pageSize=0",
        "pageSize=101",
        "pageSize=-1",
        "pageSize=x",
        "stauts=FAILED",
        "status=FAILED&status=FAILED",
    ] {
        let response = stack.get(&format!("/executions?{query}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "invalid-parameter", "{query}");
    }
}

/// For other callers, every request answers as if the execution did not exist.
#[tokio::test]
async fn a_caller_cannot_see_or_change_the_executions_of_others() {
    let stack = Stack::start(&["--owner-header", "x-owner", "--job", "long=sleep 300"]).await;
    let start = |owner: &str| {
        let post = stack.post("/executions/sync").header("x-owner", owner).header("idempotency-key", "same");
        post.json(&json!({ "job": "long", "input": owner }))
    };
    let mut made = Vec::new();
    for owner in ["ada", "eve", "ada"] {
        let started = start(owner).send().await.unwrap();
        assert_eq!(started.status(), StatusCode::ACCEPTED);
        made.push(started.json::<Value>().await.unwrap()["executionId"].as_str().unwrap().to_owned());
    }
    assert_eq!(made[0], made[2], "the same owner and key");
    assert_ne!(made[0], made[1], "the same key of another owner");
    for _ in 0..2 {
        let post = stack.post("/executions/sync").header("x-owner", "ada").json(&json!({ "job": "long", "input": 1 }));
        assert_eq!(post.send().await.unwrap().status(), StatusCode::ACCEPTED);
    }
    let list = |owner: &str, query: &str| stack.get(&format!("/executions?{query}")).header("x-owner", owner);
    let adas = page(list("ada", "pageSize=2")).await;
    assert_eq!(ids(&adas).len(), 2);
    assert_eq!(ids(&page(list("eve", "")).await), [made[1].clone()]);
    assert_eq!(page(list("bob", "")).await, json!({ "executions": [] }));

    let token = adas["nextPageToken"].as_str().unwrap();
    assert_eq!(ids(&page(list("ada", &format!("pageSize=9&pageToken={token}"))).await), [made[0].clone()]);
    let forged = format!("{}{}", if token.starts_with('A') { "B" } else { "A" }, &token[1..]);
    for (owner, query) in [
        ("eve", format!("pageToken={token}")),
        ("ada", format!("pageToken={token}&status=RUNNING")),
        ("ada", format!("pageToken={forged}")),
        ("ada", "pageToken=".to_owned()),
        ("ada", "pageToken=x%00".to_owned()),
    ] {
        let response = list(owner, &query).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{owner} {query}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "invalid-page-token");
    }

    let path = |rest: &str| format!("/executions/{}{rest}", made[0]);
    for request in [
        stack.get(&path("")),
        stack.get(&path("")).header("if-none-match", "*"),
        stack.get(&path("/logs")),
        stack.get(&path("/history")),
        stack.post(&path("/cancel")),
        stack.post(&path("/rerun")),
    ] {
        let response = request.header("x-owner", "eve").send().await.unwrap();
        let url = response.url().clone();
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{url}");
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "execution-not-found", "{url}");
    }
    let untouched = stack.get(&path("")).header("x-owner", "ada").send().await.unwrap();
    assert_ne!(untouched.json::<Value>().await.unwrap()["status"], "CANCELLING");
}

/// The data directory comes from a version without the index.
#[tokio::test]
async fn the_table_of_an_earlier_version_is_given_the_index() {
    let directory = tempfile::tempdir().unwrap();
    let mut stack = Stack::start_over(directory.path(), &["--job", "quick=echo '[1]'"]).await;
    let old = stack.run("callback", json!({ "job": "quick", "input": 1 })).await;
    let without = json!([{ "Delete": { "IndexName": "byOwner" } }]);
    let update = json!({ "TableName": "longhaul-executions", "GlobalSecondaryIndexUpdates": without });
    stack.call("DynamoDB_20120810.UpdateTable", update).await;
    stack.process.kill().await.unwrap();
    let stack = Stack::start_over(directory.path(), &["--job", "quick=echo '[1]'"]).await;
    let new = stack.run("callback", json!({ "job": "quick", "input": 2 })).await;
    let expected = [&new, &old].map(|execution| execution["executionId"].as_str().unwrap().to_owned());
    assert_eq!(whole(&stack, "").await, expected);
}

/// Only finished executions have a result or an error.
#[tokio::test]
async fn a_list_includes_results_and_errors_on_request() {
    let jobs = ["--job", "quick=echo '[1]'", "--job", "bad=echo gone; exit 3", "--job", "long=sleep 300"];
    let stack = Stack::start(&jobs).await;
    let quick = stack.run("sync", json!({ "job": "quick", "input": null })).await;
    let bad = stack.run("callback", json!({ "job": "bad", "input": null })).await;
    stack.start_running("callback", "long").await;
    let of = |page: &Value, name: &str| -> Vec<Value> {
        page["executions"].as_array().unwrap().iter().map(|it| it.get(name).cloned().unwrap_or(json!("-"))).collect()
    };
    let (nothing, error) = (json!("-"), &bad["error"]);
    assert_eq!(error["type"], "exit-code", "{bad:#}");
    for (query, results, errors) in [
        ("", [&nothing; 3], [&nothing; 3]),
        ("include=result", [&nothing, &bad["result"], &quick["result"]], [&nothing; 3]),
        ("include=error", [&nothing; 3], [&nothing, error, &nothing]),
        ("include=error,result", [&nothing, &bad["result"], &quick["result"]], [&nothing, error, &nothing]),
    ] {
        let page = page(stack.get(&format!("/executions?{query}"))).await;
        // A field that is not included is absent, not `null`. Only a result can be `null`.
        let error_alone = query == "include=error";
        let shown = of(&page, "result");
        let results = if error_alone { [&nothing, &shown[1], &nothing] } else { results };
        assert_eq!(shown.iter().collect::<Vec<_>>(), results, "{query}");
        assert_eq!(of(&page, "error").iter().collect::<Vec<_>>(), errors, "{query}");
    }
    // `include` is not a filter: a page token is valid with and without it.
    let first = page(stack.get("/executions?pageSize=2")).await;
    let token = first["nextPageToken"].as_str().unwrap();
    let second = page(stack.get(&format!("/executions?include=result&pageToken={token}"))).await;
    assert_eq!(of(&second, "result"), [quick["result"].clone()]);
    for (query, detail) in [
        ("include=result,eror", "`include` has \"eror\", which is not one of result, error; did you mean error?"),
        ("include=", "`include` has \"\", which is not one of result, error"),
    ] {
        let response = stack.get(&format!("/executions?{query}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{query}");
        let problem: Value = response.json().await.unwrap();
        assert_eq!((&problem["code"], &problem["detail"]), (&json!("invalid-parameter"), &json!(detail)));
    }
}

/// An execution that has been deleted in the meantime is listed without an outcome.
#[tokio::test]
async fn results_that_dynamodb_leaves_unprocessed_are_read_again() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let done = stack.run("callback", json!({ "job": "quick", "input": null })).await;
    let list = || stack.get("/executions?include=result");
    let answer = |answer: Value, times: Value| json!({ "on": "dynamodb:BatchGetItem", "does": { "answer": answer }, "times": times });
    let keys = json!({ "Keys": [{ "executionId": { "S": done["executionId"] } }] });
    let left =
        json!({ "Responses": { "longhaul-executions": [] }, "UnprocessedKeys": { "longhaul-executions": keys } });
    let twice = stack.arm(&answer(left.clone(), json!(2))).await;
    assert_eq!(page(list()).await["executions"][0]["result"], json!([1]));
    assert_eq!(stack.fault(twice).await["hit"], 2);
    stack.disarm(twice).await;

    let always = stack.arm(&answer(left, json!("all"))).await;
    let response = list().send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.json::<Value>().await.unwrap()["code"], "aws-unavailable");
    stack.disarm(always).await;

    stack.arm(&answer(json!({ "Responses": { "longhaul-executions": [] } }), json!(1))).await;
    let listed = page(list()).await["executions"][0].clone();
    assert_eq!((&listed["executionId"], listed.get("result")), (&done["executionId"], None));
}

/// Lambda allows responses of 6 MB, which contain the body as a JSON string.
#[tokio::test]
async fn a_page_of_large_results_ends_early_and_the_next_one_continues() {
    const MADE: usize = 22;
    // Each quotation mark takes two bytes in a JSON string.
    let prints = r#"python3 -c 'print("[" + "\"\"," * 59000 + "1]")' > $EXECUTION_RESULT_FILE"#;
    let stack = Stack::start(&["--job", &format!("large={prints}")]).await;
    let mut made = Vec::new();
    for number in 0..MADE {
        let started = stack.start_execution("callback", &json!({ "job": "large", "input": number })).await;
        made.insert(0, started["executionId"].as_str().unwrap().to_owned());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for id in &made {
        let done = stack.wait_for(id, |execution| execution["done"] == true).await;
        assert_eq!(done["status"], "COMPLETED", "{:#}", done["error"]);
    }
    let (mut found, mut sizes, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let path = format!("/executions?pageSize=100&include=result,error{token}");
        let text = stack.get(&path).send().await.unwrap().text().await.unwrap();
        let in_lambda = serde_json::to_string(&text).unwrap().len();
        assert!(in_lambda < 6_000_000, "{in_lambda}");
        let page: Value = serde_json::from_str(&text).unwrap();
        assert!(
            page["executions"].as_array().unwrap().iter().all(|it| it["result"].as_array().unwrap().len() == 59_001)
        );
        found.extend(ids(&page));
        sizes.push(ids(&page).len());
        let Some(next) = page["nextPageToken"].as_str() else { break };
        token = format!("&pageToken={next}");
    }
    assert_eq!(found, made);
    assert_eq!(sizes.len(), 2, "{sizes:?}");
}
