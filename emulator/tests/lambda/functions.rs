//! Functions that are created through the API, their versions and aliases, and the lists of their executions.

use serde_json::{Value, json};

use crate::{
    emulator::{Emulator, eventually},
    support::{INVALID, Lambda, encoded, refusal},
};

const FUNCTIONS: &str = "/2015-03-31/functions";

/// A function as a shell script. It gives every invocation the same response, and ends with its emulator.
fn shell(answer: &str) -> String {
    let api = "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation";
    let next = format!("curl -sSD - -o /dev/null {api}/next");
    let id = "tr -d '\\r' | sed -n 's/^lambda-runtime-aws-request-id: //Ip'";
    format!(
        "sh -c 'while id=$({next} | {}); [ -n \"$id\" ]; do curl -sS -d '\\''{answer}'\\'' {api}/$id/response; done'",
        id.replace('\'', "'\\''")
    )
}

async fn answer(lambda: &Lambda, function: &str) -> (String, String) {
    let response = lambda.invoke(function, "RequestResponse", "{}").send().await.unwrap();
    let version = response.headers()["x-amz-executed-version"].to_str().unwrap().to_owned();
    (version, response.text().await.unwrap())
}

#[tokio::test]
async fn versions_are_immutable_and_aliases_can_be_changed() {
    let directory = tempfile::tempdir().unwrap();
    let mut emulator = Emulator::start_over(directory.path(), &[]).await;
    let lambda = Lambda::of(&emulator);
    let (status, made) = lambda.create("f", &shell("\"one\""), None).await;
    assert_eq!((status.as_u16(), &made["State"], &made["Version"]), (201, &json!("Active"), &json!("$LATEST")));
    assert_eq!(refusal(&lambda.create("f", "true", None).await), (409, "ResourceConflictException"));
    assert_eq!(refusal(&lambda.create("a b", "true", None).await), INVALID);
    let publish = async || lambda.post(&format!("{FUNCTIONS}/f/versions"), &json!({})).await.1["Version"].clone();
    assert_eq!((publish().await, publish().await), (json!("1"), json!("1")), "nothing changed");
    let alias = json!({ "Name": "live", "FunctionVersion": "1" });
    assert_eq!(lambda.post(&format!("{FUNCTIONS}/f/aliases"), &alias).await.0.as_u16(), 201);
    assert_eq!(
        refusal(&lambda.post(&format!("{FUNCTIONS}/f/aliases"), &alias).await),
        (409, "ResourceConflictException")
    );
    let code = json!({ "ImageUri": format!("local:{}", shell("\"two\"")) });
    assert_eq!(lambda.put(&format!("{FUNCTIONS}/f/code"), &code).await.0.as_u16(), 200);
    assert_eq!(refusal(&lambda.put(&format!("{FUNCTIONS}/f/code"), &json!({ "ZipFile": "eA==" })).await), INVALID);
    assert_eq!(answer(&lambda, "f:live").await, ("1".into(), "\"one\"".into()));
    assert_eq!(answer(&lambda, "f").await, ("$LATEST".into(), "\"two\"".into()));
    assert_eq!(publish().await, "2");
    let moved = json!({ "FunctionVersion": "2" });
    assert_eq!(lambda.put(&format!("{FUNCTIONS}/f/aliases/live"), &moved).await.1["FunctionVersion"], "2");
    assert_eq!(answer(&lambda, "f:live").await, ("2".into(), "\"two\"".into()));
    emulator.process.kill().await.unwrap();

    let emulator = Emulator::start_over(directory.path(), &[]).await;
    let lambda = Lambda::of(&emulator);
    assert_eq!(answer(&lambda, "f:live").await, ("2".into(), "\"two\"".into()), "it is on disk");
    assert_eq!(answer(&lambda, "f:1").await, ("1".into(), "\"one\"".into()));
    let settings =
        json!({ "Timeout": 7, "MemorySize": 256, "Description": "d", "Environment": { "Variables": { "A": "b" } } });
    let (_, shown) = lambda.put(&format!("{FUNCTIONS}/f/configuration"), &settings).await;
    assert_eq!((&shown["Timeout"], &shown["Environment"]["Variables"]["A"]), (&json!(7), &json!("b")));
    assert_eq!(
        refusal(&lambda.put(&format!("{FUNCTIONS}/f/configuration"), &json!({ "Timeout": 901 })).await),
        INVALID
    );
    let durable = json!({ "DurableConfig": { "ExecutionTimeout": 5 } });
    assert_eq!(
        refusal(&lambda.put(&format!("{FUNCTIONS}/f/configuration"), &durable).await),
        INVALID,
        "only when it is made"
    );
    let names = |list: &Value| {
        list.as_array().unwrap().iter().map(|f| f["Version"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&lambda.get(&format!("{FUNCTIONS}/f/versions")).await.1["Versions"]), ["$LATEST", "1", "2"]);
    assert_eq!(lambda.get(&format!("{FUNCTIONS}/f/aliases")).await.1["Aliases"][0]["Name"], "live");
    assert_eq!(
        refusal(&lambda.delete(&format!("{FUNCTIONS}/f?Qualifier=2")).await),
        (409, "ResourceConflictException")
    );
    assert_eq!(lambda.delete(&format!("{FUNCTIONS}/f?Qualifier=1")).await.0.as_u16(), 204);
    assert_eq!(refusal(&lambda.get(&format!("{FUNCTIONS}/f:1")).await), (404, "ResourceNotFoundException"));
    assert_eq!(refusal(&lambda.delete(&format!("{FUNCTIONS}/declared")).await), (409, "ResourceConflictException"));
    assert_eq!(lambda.delete(&format!("{FUNCTIONS}/f")).await.0.as_u16(), 204);
    assert_eq!(refusal(&lambda.get(&format!("{FUNCTIONS}/f")).await), (404, "ResourceNotFoundException"));
}

#[tokio::test]
async fn executions_are_listed_by_version_name_status_and_time() {
    let runtime = crate::manual_runtime::ManualRuntime::open().await;
    let lambda = &runtime.lambda;
    let mut arns = vec![];
    for (name, version) in [("a", "1"), ("b", "1"), ("c", "$LATEST"), ("d", "1")] {
        let request =
            lambda.invoke(&format!("manual:{version}"), "Event", "{}").header("x-amz-durable-execution-name", name);
        let response = request.send().await.unwrap();
        arns.push(response.headers()["x-amz-durable-execution-arn"].to_str().unwrap().to_owned());
        runtime.next().await.succeed("1").await;
        lambda.ended(arns.last().unwrap()).await;
    }
    let second = lambda.execution(&arns[1]).await;
    let at = as_query(second["StartTimestamp"].as_f64().unwrap());
    let names = async |query: String| {
        let (status, list) = lambda.get(&format!("/2025-12-01/functions/manual/durable-executions?{query}")).await;
        assert_eq!(status.as_u16(), 200, "{query}: {list}");
        let all = list["DurableExecutions"].as_array().unwrap();
        let names: String = all.iter().map(|one| one["DurableExecutionName"].as_str().unwrap()).collect();
        (names, list["NextMarker"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(names(String::new()).await.0, "dcba", "every version, if none is named");
    assert_eq!(names("Qualifier=$LATEST".into()).await.0, "c");
    assert_eq!(names("Qualifier=live".into()).await.0, "dba");
    assert_eq!(names("Qualifier=1&ReverseOrder=true".into()).await.0, "abd");
    assert_eq!(names("Qualifier=1&DurableExecutionName=b".into()).await.0, "b");
    assert_eq!(names("Qualifier=1&Statuses=RUNNING&Statuses=FAILED".into()).await.0, "");
    assert_eq!(names("Qualifier=1&Statuses=RUNNING&Statuses=SUCCEEDED".into()).await.0, "dba");
    assert_eq!(names(format!("Qualifier=1&StartedAfter={}", encoded(&at))).await.0, "d");
    assert_eq!(names(format!("Qualifier=1&StartedBefore={}", encoded(&at))).await.0, "a");
    let (first, marker) = names("Qualifier=1&MaxItems=2".into()).await;
    let (rest, end) = names(format!("Qualifier=1&MaxItems=2&Marker={marker}")).await;
    assert_eq!((first.as_str(), rest.as_str(), end.as_str()), ("db", "a", ""));
    let wrong = lambda.get("/2025-12-01/functions/manual/durable-executions?Statuses=HAPPY").await;
    assert_eq!(refusal(&wrong), INVALID);
}

/// Seconds since 1970, in the form that a query accepts as an alternative to ISO 8601.
fn as_query(seconds: f64) -> String {
    format!("{seconds:.3}")
}

/// A declared function has environment variables that no other function may see.
#[tokio::test]
async fn a_function_created_through_the_api_has_only_its_own_environment() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("environment");
    let emulator = Emulator::start(&[]).await;
    let lambda = Lambda::of(&emulator);
    let new = json!({
        "FunctionName": "shows", "Role": "arn:aws:iam::000000000000:role/any", "PackageType": "Image",
        "Code": { "ImageUri": format!("local:sh -c 'env > {}.new && mv {0}.new {0}; sleep 1000'", file.display()) },
        "Environment": { "Variables": { "OWN": "1", "_EMULATOR_DATA": "elsewhere" } },
    });
    lambda.post("/2015-03-31/functions", &new).await;
    lambda.invoke("shows", "Event", "{}").send().await.unwrap();
    let shown = eventually("its process starts", async || std::fs::read_to_string(&file).ok()).await;
    let has = |name: &str| shown.lines().any(|line| line.starts_with(&format!("{name}=")));
    for name in ["OWN", "PATH", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_LAMBDA_FUNCTION_NAME"] {
        assert!(has(name), "{name}: {shown}");
    }
    assert!(!has("DECLARED"), "{shown}");
    assert!(!shown.contains("elsewhere"), "{shown}");
}
