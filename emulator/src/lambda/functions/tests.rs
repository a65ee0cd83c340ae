//! The exact form of every response.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{alias::Paging, *};
use crate::{golden::fixed, lambda::SCHEMA, logs};

fn read<T: serde::de::DeserializeOwned>(request: Value) -> T {
    serde_json::from_value(request).unwrap()
}

fn json<T: Serialize>(response: Result<T, AwsError>) -> Value {
    serde_json::to_value(response.unwrap()).unwrap()
}

#[test]
fn every_response_has_the_form_of_the_api() {
    let directory = tempfile::tempdir().unwrap();
    let db = Db::open(&directory.path().join("db"), &[SCHEMA, logs::SCHEMA]).unwrap();
    let logs = Logs::new(db.clone(), Clock::default());
    let declared = Function {
        name: "declared".into(),
        command: vec!["run".into(), "it".into()],
        environment: BTreeMap::from([("A".into(), "hidden".into())]),
        timeout: Duration::from_secs(5),
        memory: 256,
        alias: Some("live".into()),
        durable: Some(DurableConfig { execution_timeout: Duration::from_mins(1), retention_days: 2 }),
    };
    let functions = Functions::new(vec![declared], vec![], db, Clock::default(), &logs, Callers::default()).unwrap();
    let mut responses = Map::new();
    let mut keep = |name: &str, response: Value| {
        let mut response = fixed(response);
        // It depends on the machine.
        if let Some(architectures) = response.get_mut("Architectures") {
            *architectures = json!(["<architecture>"]);
        }
        responses.insert(name.to_owned(), response);
    };
    let new = json!({
        "FunctionName": "f", "Role": "arn:aws:iam::000000000000:role/any", "Code": { "ImageUri": "local:true" },
        "Description": "d", "Environment": { "Variables": { "A": "b" } },
        "DurableConfig": { "ExecutionTimeout": 9 },
    });
    keep("CreateFunction", json(functions.create(read(new))));
    keep("UpdateFunctionCode", json(functions.update_code("f", &read(json!({ "ImageUri": "local:false" })))));
    let settings = json!({ "Timeout": 7, "Environment": { "Variables": {} } });
    keep("UpdateFunctionConfiguration", json(functions.update_configuration("f", read(settings))));
    keep("PublishVersion", json(functions.publish("f", read(json!({ "Description": "v" })))));
    let alias = json!({ "Name": "live", "FunctionVersion": "1", "Description": "a" });
    keep("CreateAlias", json(functions.create_alias("f", read(alias))));
    keep("UpdateAlias", json(functions.update_alias("f", "live", read(json!({ "FunctionVersion": "$LATEST" })))));
    keep("GetAlias", json(functions.alias("declared", "live")));
    keep("ListAliases", json(functions.aliases("f", &Paging::default())));
    keep("GetFunctionConfiguration", json(functions.configuration("declared", None)));
    let mut got = json(functions.get("f", Some("1")));
    got["Configuration"]["Architectures"] = json!(["<architecture>"]);
    keep("GetFunction", got);
    let short = |mut list: Value, name: &str| {
        for function in list[name].as_array_mut().unwrap() {
            let (arn, version) = (function["FunctionArn"].take(), function["Version"].take());
            *function = json!({ "FunctionArn": arn, "Version": version });
        }
        list
    };
    keep("ListFunctions", short(json(functions.list(&Paging::default())), "Functions"));
    let all = read(json!({ "FunctionVersion": "ALL", "MaxItems": 3 }));
    keep("ListFunctions, all versions, a page", short(json(functions.list(&all)), "Functions"));
    keep("ListVersionsByFunction", short(json(functions.versions("f", &Paging::default())), "Versions"));
    insta::assert_json_snapshot!(responses);
}
