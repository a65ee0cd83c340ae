//! Batches: many executions that one request starts.

use std::{collections::BTreeMap, path::Path};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::{
    api_on_lambda,
    stack::{LONGHAUL, Stack, eventually, header},
};

/// The API as a function, so that it can be killed.
const API_FUNCTION: &str = "longhaul-api";

async fn accepted(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let location = header(&response, "location").to_owned();
    let batch: Value = response.json().await.unwrap();
    assert_eq!(location, batch["links"]["self"], "{batch:#}");
    batch
}

async fn problem(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), status, "{code}");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], code, "{problem:#}");
    problem
}

async fn get(stack: &Stack, batch: &Value) -> Value {
    let response = stack.get(batch["links"]["self"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let done = response.headers().get("retry-after").is_none();
    let batch: Value = response.json().await.unwrap();
    assert_eq!(batch["done"], done, "{batch:#}");
    let counts = batch["counts"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
    let others = ["missing", "deleted"].map(|name| batch[name].as_u64().unwrap_or_default());
    assert_eq!(counts + others[0] + others[1], batch["accepted"].as_u64().unwrap(), "{batch:#}");
    batch
}

/// All executions of a list, read page by page.
async fn list(stack: &Stack, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let page: Value = stack.get(&format!("/executions?{query}{token}")).send().await.unwrap().json().await.unwrap();
        found.extend(page["executions"].as_array().unwrap().clone());
        let Some(next) = page["nextPageToken"].as_str() else { return found };
        token = format!("&pageToken={next}");
    }
}

#[tokio::test]
async fn a_batch_starts_what_is_valid_and_counts_it_until_all_are_over() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'", "--job", "bad=exit 3", "--owner-header", "x-owner"]).await;
    let mut executions = vec![json!({ "job": "quick", "input": null }); 24];
    executions[3] = json!({ "job": "bad", "input": 3, "pattern": "callback", "tags": { "team": "blue" } });
    executions[7] = json!({ "job": "none", "input": 7 });
    executions[9] = json!({ "job": "quick", "timeoutSeconds": 0, "input": 9 });
    executions[11] = json!({ "job": "quick", "inptu": 11 });
    let body = json!({ "executions": executions });
    let post = || stack.post("/batches").header("x-owner", "ada").header("idempotency-key", "night");
    let batch = accepted(post().json(&body)).await;
    assert_eq!([&batch["total"], &batch["accepted"]], [24, 21], "{batch:#}");
    let refused: Vec<_> =
        batch["refused"].as_array().unwrap().iter().map(|one| (&one["index"], &one["errors"][0]["pointer"])).collect();
    assert_eq!(json!(refused), json!([[7, "/job"], [9, "/timeoutSeconds"], [11, "/inptu"]]));

    // A repeat starts nothing, however it is formatted; another request with the same key is refused.
    let text = serde_json::to_string_pretty(&body).unwrap();
    let repeat = post().header("content-type", "application/json").body(text).send().await.unwrap();
    assert_eq!((repeat.status(), header(&repeat, "idempotent-replayed")), (StatusCode::ACCEPTED, "true"));
    assert_eq!(repeat.json::<Value>().await.unwrap(), batch);
    executions[0]["input"] = json!(1);
    problem(post().json(&json!({ "executions": executions })), 422, "idempotency-key-reused").await;
    assert_eq!(stack.items().await, 21);

    let path = batch["links"]["self"].as_str().unwrap();
    let read = |owner: &str| stack.get(path).header("x-owner", owner);
    let done = eventually("the batch to end", async || {
        let batch: Value = read("ada").send().await.unwrap().json().await.unwrap();
        (batch["done"] == true).then_some(batch)
    })
    .await;
    assert_eq!(done["counts"], json!({ "COMPLETED": 20, "FAILED": 1 }), "{done:#}");
    assert_eq!((&done["finished"], &done["progress"], &done["refused"]), (&json!(21), &json!(1.0), &json!(3)));
    let etag = header(&read("ada").send().await.unwrap(), "etag").to_owned();
    let unchanged = read("ada").header("if-none-match", etag).send().await.unwrap();
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);

    let id = batch["batchId"].as_str().unwrap();
    let page = |owner: &str, query: &str| {
        let request = stack.get(&format!("/executions?batch={id}{query}")).header("x-owner", owner);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let (mut found, mut token) = (BTreeMap::new(), String::new());
    loop {
        let page = page("ada", &format!("&pageSize=9{token}")).await;
        for one in page["executions"].as_array().unwrap() {
            assert_eq!(one["batchId"], id);
            assert!(found.insert(one["executionId"].to_string(), one.clone()).is_none(), "{one:#}");
        }
        let Some(next) = page["nextPageToken"].as_str() else { break };
        token = format!("&pageToken={next}");
    }
    assert_eq!(found.len(), 21);
    let failed = page("ada", "&status=FAILED&tag=team").await["executions"][0].clone();
    let one = stack.get(failed["links"]["self"].as_str().unwrap()).header("x-owner", "ada").send().await.unwrap();
    let one: Value = one.json().await.unwrap();
    assert_eq!((&one["batchId"], &one["pattern"], &one["input"]), (&json!(id), &json!("callback"), &json!(3)));

    problem(read("eve"), 404, "batch-not-found").await;
    assert_eq!(page("eve", "").await, json!({ "executions": [] }));
    assert_eq!(page("ada", "&status=RUNNING").await, json!({ "executions": [] }));
}

#[tokio::test]
async fn an_invalid_batch_is_refused_and_leaves_nothing_behind() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let post = |body: &Value| stack.post("/batches").json(body);
    let one = json!({ "job": "quick", "input": null });
    for (body, pointer) in [
        (json!({}), ""),
        (json!({ "executions": [] }), "/executions"),
        (json!({ "executions": vec![&one; 1_001] }), "/executions"),
        (json!({ "executions": one }), "/executions"),
        (json!({ "executions": [one], "pattern": "sync" }), "/pattern"),
        (json!({ "executions": [{ "job": "none", "input": null }, 7] }), "/executions/0/job"),
        (json!({ "executions": [{ "pattern": "async", "job": "quick", "input": null }] }), "/executions/0/pattern"),
        (json!({ "executions": [{ "job": "quick", "input": null, "inputUpload": "x" }] }), "/executions/0/inputUpload"),
    ] {
        let problem = problem(post(&body).header("idempotency-key", "k"), 422, "invalid-body").await;
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
    }
    let large = json!({ "executions": vec![json!({ "job": "quick", "input": "x".repeat(180_000) }); 12] });
    let problem_of_size = problem(post(&large), 413, "body-too-large").await;
    assert!(problem_of_size["detail"].as_str().unwrap().contains("2097152"), "{problem_of_size:#}");
    problem(stack.get("/batches/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"), 404, "batch-not-found").await;
    problem(stack.get("/batches/%ff"), 404, "batch-not-found").await;
    problem(stack.get("/executions?batch=x"), 400, "invalid-parameter").await;
    let scan = stack.call("DynamoDB_20120810.Scan", json!({ "TableName": crate::stack::TABLE })).await;
    assert_eq!(scan["Count"], 0, "{scan:#}");
    // The key is still free.
    accepted(post(&json!({ "executions": [one] })).header("idempotency-key", "k")).await;
}

/// Whatever has happened to an earlier request, the same request with the same key starts exactly what is missing.
#[tokio::test]
async fn a_repeat_starts_exactly_what_a_crash_or_a_failure_left_out() {
    const COUNT: usize = 8;
    let api = format!("{API_FUNCTION}={} function api", Path::new(LONGHAUL).display());
    let stack = Stack::start(&["--job", "quick=echo '[1]'", "--function", &api]).await;
    let body = json!({ "executions": vec![json!({ "job": "quick", "input": null }); COUNT] });
    let ada = json!({ "jwt": { "claims": { "sub": "ada" }, "scopes": null } });
    let ask = async |method: &str, path: &str, key: &str, body: Option<&str>| {
        let mut event = api_on_lambda::event(method, path, body, &ada);
        event["headers"]["idempotency-key"] = json!(key);
        let request = stack.post_to_aws(&format!("/2015-03-31/functions/{API_FUNCTION}/invocations"));
        request.body(event.to_string()).send().await.unwrap().json::<Value>().await.unwrap()
    };
    // Before and after the batch's item, an execution, a workflow, and the mark that all are stored.
    for (number, (on, does, skip)) in [
        ("dynamodb:PutItem", "killBefore", 0),
        ("dynamodb:PutItem", "killAfter", 0),
        ("dynamodb:PutItem", "killAfter", 4),
        ("lambda:Invoke", "killBefore", 3),
        ("lambda:Invoke", "killAfter", COUNT - 1),
        ("dynamodb:PutItem", "killBefore", COUNT + 1),
        ("dynamodb:PutItem", "killAfter", COUNT + 1),
    ]
    .into_iter()
    .enumerate()
    {
        let (what, key) = (format!("{does} {on} {skip}"), format!("case {number}"));
        let fault = stack.arm(&json!({ "on": on, "does": does, "by": API_FUNCTION, "skip": skip })).await;
        let mut answers = Vec::new();
        let batch = eventually(&what, async || {
            let answer = ask("POST", "/batches", &key, Some(&body.to_string())).await;
            answers.push(answer["statusCode"].as_u64());
            (answer["statusCode"] == 202)
                .then(|| serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap())
        })
        .await;
        assert_eq!(stack.fault(fault).await["hit"], 1, "{what}");
        stack.disarm(fault).await;
        assert!(answers.len() > 1 && answers[0].is_none(), "{what}: the API was killed: {answers:?}");
        assert_eq!(batch["accepted"], COUNT, "{what}");
        assert_eq!(stack.items().await, COUNT * (number + 1), "{what}: none is missing, and none was started twice");
        eventually(&format!("the batch of {what} to end"), async || {
            let answer = ask("GET", batch["links"]["self"].as_str().unwrap(), &key, None).await;
            let batch: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            (batch["counts"] == json!({ "COMPLETED": COUNT }) && batch["done"] == true).then_some(())
        })
        .await;
    }
    let tasks = stack.tasks().await.len();
    assert_eq!(tasks, COUNT * 7, "each execution has one task");
}

#[tokio::test]
async fn a_batch_that_is_stored_in_part_says_what_to_do_next() {
    let stack = Stack::start(&["--job", "quick=echo '[1]'"]).await;
    let body = json!({ "executions": vec![json!({ "job": "quick", "input": null }); 10] });
    let fail = json!({ "on": "dynamodb:PutItem", "by": "api", "does": { "refuse": "AccessDeniedException" }, "skip": 5, "times": 2 });

    let fault = stack.arm(&fail).await;
    let failed = problem(stack.post("/batches").json(&body), 503, "aws-unavailable").await;
    stack.disarm(fault).await;
    let detail = failed["detail"].as_str().unwrap();
    assert!(detail.starts_with("2 of 10 executions of batch ") && detail.contains("send only those"), "{detail}");
    assert_eq!(failed["errors"].as_array().unwrap().len(), 2, "{failed:#}");
    assert_eq!(stack.items().await, 8);
    let id = detail.split(' ').find(|word| word.len() == 36).unwrap();
    assert_eq!(list(&stack, &format!("batch={id}&pageSize=3")).await.len(), 8);
    let batch = get(&stack, &json!({ "links": { "self": format!("/batches/{id}") } })).await;
    assert_eq!(batch["missing"], 2, "{batch:#}");

    let fault = stack.arm(&fail).await;
    let keyed = || stack.post("/batches").json(&body).header("idempotency-key", "k");
    let failed = problem(keyed(), 503, "aws-unavailable").await;
    stack.disarm(fault).await;
    assert!(failed["detail"].as_str().unwrap().contains("repeat the same request"), "{failed:#}");
    assert_eq!(stack.items().await, 16);
    let batch = accepted(keyed()).await;
    assert_eq!(stack.items().await, 18);
    eventually("the batch to end", async || {
        let batch = get(&stack, &batch).await;
        (batch["counts"] == json!({ "COMPLETED": 10 }) && batch["done"] == true).then_some(())
    })
    .await;
}
