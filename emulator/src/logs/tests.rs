//! The service as its callers see it.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

struct Service {
    logs: Logs,
    _directory: TempDir,
}

impl Service {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let db = Db::open(&directory.path().join("local.db"), &[SCHEMA]).unwrap();
        Self { logs: Logs::new(db, Clock::default()), _directory: directory }
    }

    #[expect(clippy::needless_pass_by_value, reason = "requests are written in place")]
    fn ask(&self, operation: &str, request: Value) -> Result<Value, AwsError> {
        self.logs.call(operation, request.to_string().as_bytes()).map(|body| serde_json::from_str(&body).unwrap())
    }

    /// Lines `from..to` of a stream, ten to a millisecond.
    fn write(&self, stream: &str, from: i64, to: i64) {
        let line = |n: i64| (Timestamp::from_millisecond(1_000 + n / 10).unwrap(), format!("line {n}"));
        self.logs.append("g", stream, &(from..to).map(line).collect::<Vec<_>>()).unwrap();
    }
}

fn messages(answer: &Value) -> Vec<&str> {
    answer["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

#[test]
fn a_stream_is_read_forward_and_a_follower_sees_what_is_new() {
    let service = Service::new();
    service.write("s", 0, 25);
    let page = |token: Value| json!({ "logGroupName": "g", "logStreamName": "s", "startFromHead": true, "limit": 10, "nextToken": token });
    let mut token = Value::Null;
    let mut read = Vec::new();
    loop {
        let answer = service.ask("GetLogEvents", page(token.clone())).unwrap();
        read.extend(messages(&answer).into_iter().map(str::to_owned));
        let next = answer["nextForwardToken"].clone();
        if next == token {
            break;
        }
        token = next;
    }
    assert_eq!(read, (0..25).map(|n| format!("line {n}")).collect::<Vec<_>>());
    service.write("s", 25, 27);
    let answer = service.ask("GetLogEvents", page(token)).unwrap();
    assert_eq!(messages(&answer), ["line 25", "line 26"]);
}

#[test]
fn a_stream_is_read_backward_from_its_end() {
    let service = Service::new();
    service.write("s", 0, 25);
    let page = |token: Value| json!({ "logGroupName": "g", "logStreamName": "s", "limit": 10, "nextToken": token });
    let newest = service.ask("GetLogEvents", page(Value::Null)).unwrap();
    assert_eq!((messages(&newest)[0], messages(&newest)[9]), ("line 15", "line 24"));
    let older = service.ask("GetLogEvents", page(newest["nextBackwardToken"].clone())).unwrap();
    assert_eq!((messages(&older)[0], messages(&older)[9]), ("line 5", "line 14"));
    let oldest = service.ask("GetLogEvents", page(older["nextBackwardToken"].clone())).unwrap();
    assert_eq!(messages(&oldest).len(), 5);
    let end = service.ask("GetLogEvents", page(oldest["nextBackwardToken"].clone())).unwrap();
    assert!(messages(&end).is_empty());
    assert_eq!(end["nextBackwardToken"], oldest["nextBackwardToken"]);
    let back = service.ask("GetLogEvents", page(end["nextForwardToken"].clone())).unwrap();
    assert_eq!(messages(&back)[0], "line 0");
}

#[test]
fn a_page_is_limited_in_bytes_and_in_time() {
    let service = Service::new();
    let at = |ms| Timestamp::from_millisecond(ms).unwrap();
    let lines: Vec<_> = (0..6).map(|ms| (at(ms), "x".repeat(250_000))).collect();
    service.logs.append("g", "s", &lines).unwrap();
    let all = json!({ "logGroupName": "g", "logStreamName": "s" });
    assert_eq!(messages(&service.ask("GetLogEvents", all).unwrap()).len(), 4);
    let some = json!({ "logGroupIdentifier": "g", "logStreamName": "s", "startTime": 1, "endTime": 3 });
    assert_eq!(messages(&service.ask("GetLogEvents", some).unwrap()).len(), 2);
}

#[test]
fn missing_groups_and_streams_are_reported() {
    let service = Service::new();
    service.logs.append("g", "s", &[]).unwrap();
    for (group, stream) in [("g", "other"), ("other", "s")] {
        let request = json!({ "logGroupName": group, "logStreamName": stream });
        assert_eq!(service.ask("GetLogEvents", request).unwrap_err().code, "ResourceNotFoundException");
    }
    let empty = service.ask("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "s" })).unwrap();
    assert!(messages(&empty).is_empty());
    assert_eq!(service.ask("PutQueryDefinition", json!({})).unwrap_err().code, "UnknownOperationException");
    assert_eq!(service.logs.call("GetLogEvents", b"{").unwrap_err().code, "SerializationException");
}

#[test]
fn streams_are_searched_together_page_by_page() {
    let service = Service::new();
    service.write("a/1", 0, 20);
    service.write("a/2", 0, 20);
    service.write("b/1", 0, 20);
    let mut request = json!({
        "logGroupName": "g", "logStreamNamePrefix": "a/", "filterPattern": "line", "limit": 7, "interleaved": true,
    });
    let mut seen = Vec::new();
    loop {
        let answer = service.ask("FilterLogEvents", request.clone()).unwrap();
        seen.extend(answer["events"].as_array().unwrap().clone());
        let Some(token) = answer.get("nextToken") else { break };
        request["nextToken"] = token.clone();
    }
    assert_eq!(seen.len(), 40);
    assert!(seen.is_sorted_by_key(|event| event["timestamp"].as_i64()));
    let ids: std::collections::BTreeSet<_> = seen.iter().map(|event| event["eventId"].as_str()).collect();
    assert_eq!(ids.len(), 40);

    let one = json!({ "logGroupIdentifier": "g", "logStreamNames": ["b/1"], "filterPattern": "\"line 7\"" });
    assert_eq!(messages(&service.ask("FilterLogEvents", one).unwrap()), ["line 7"]);
    let unknown = json!({ "logGroupName": "g", "logStreamNames": ["c"] });
    assert_eq!(service.ask("FilterLogEvents", unknown).unwrap_err().code, "ResourceNotFoundException");
}

#[test]
fn events_can_be_put_with_the_api() {
    let service = Service::new();
    let stream = json!({ "logGroupName": "/made/by-hand", "logStreamName": "s" });
    assert_eq!(service.ask("CreateLogStream", stream.clone()).unwrap_err().code, "ResourceNotFoundException");
    service.ask("CreateLogGroup", stream.clone()).unwrap();
    service.ask("CreateLogStream", stream.clone()).unwrap();
    let again = service.ask("CreateLogStream", stream.clone()).unwrap_err();
    assert_eq!(again.code, "ResourceAlreadyExistsException");

    let now = Clock::default().now().as_millisecond();
    let hour = 3_600_000;
    let mut put = stream.clone();
    put["logEvents"] = [(now - 24 * 15 * hour, "old"), (now, "good"), (now + 3 * hour, "new")]
        .map(|(at, message)| json!({ "timestamp": at, "message": message }))
        .into_iter()
        .collect();
    let answer = service.ask("PutLogEvents", put.clone()).unwrap();
    let rejected = json!({ "tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2 });
    assert_eq!(answer["rejectedLogEventsInfo"], rejected);
    assert_eq!(messages(&service.ask("GetLogEvents", stream).unwrap()), ["good"]);
    put["logEvents"].as_array_mut().unwrap().reverse();
    assert_eq!(service.ask("PutLogEvents", put).unwrap_err().code, "InvalidParameterException");
}

#[test]
fn groups_and_streams_are_listed() {
    let service = Service::new();
    for n in 0..5 {
        service.write(&format!("s{n}"), 100 - n * 10, 101);
    }
    service.logs.append("other", "x", &[]).unwrap();
    let names = |answer: &Value| -> Vec<String> {
        let streams = answer["logStreams"].as_array().unwrap().iter();
        streams.map(|stream| stream["logStreamName"].as_str().unwrap().to_owned()).collect()
    };
    let mut request = json!({ "logGroupName": "g", "orderBy": "LogStreamName", "descending": true, "limit": 3 });
    let first = service.ask("DescribeLogStreams", request.clone()).unwrap();
    assert_eq!(names(&first), ["s4", "s3", "s2"]);
    assert_eq!(first["logStreams"][0]["lastEventTimestamp"], 1_010);
    request["nextToken"] = first["nextToken"].clone();
    let second = service.ask("DescribeLogStreams", request).unwrap();
    assert_eq!((names(&second), second.get("nextToken")), (vec!["s1".into(), "s0".into()], None));

    service.write("s2", 200, 201);
    let newest = json!({ "logGroupName": "g", "orderBy": "LastEventTime", "descending": true, "limit": 1 });
    assert_eq!(names(&service.ask("DescribeLogStreams", newest).unwrap()), ["s2"]);
    let groups = service.ask("DescribeLogGroups", json!({ "logGroupNamePrefix": "o" })).unwrap();
    assert_eq!(groups["logGroups"].as_array().unwrap().len(), 1);
    assert_eq!(groups["logGroups"][0]["logGroupName"], "other");
}

#[test]
fn every_response_has_the_form_of_the_api() {
    let service = Service::new();
    let now = Clock::default().now().as_millisecond();
    let hour = 3_600_000;
    let stream = json!({ "logGroupName": "g", "logStreamName": "s" });
    let events = [(now - 24 * 15 * hour, "old"), (now, "good"), (now, "more"), (now + 3 * hour, "new")]
        .map(|(at, message)| json!({ "timestamp": at, "message": message }));
    let mut put = stream.clone();
    put["logEvents"] = json!(events);
    let mut good = stream.clone();
    good["logEvents"] = json!([events[1]]);
    let mut responses = serde_json::Map::new();
    for (name, operation, request) in [
        ("CreateLogGroup", "CreateLogGroup", &stream),
        ("CreateLogGroup, another", "CreateLogGroup", &json!({ "logGroupName": "h" })),
        ("CreateLogStream", "CreateLogStream", &stream),
        ("CreateLogStream, another", "CreateLogStream", &json!({ "logGroupName": "g", "logStreamName": "empty" })),
        ("PutLogEvents, partly", "PutLogEvents", &put),
        ("PutLogEvents", "PutLogEvents", &good),
        ("GetLogEvents", "GetLogEvents", &stream),
        ("FilterLogEvents", "FilterLogEvents", &json!({ "logGroupName": "g" })),
        ("FilterLogEvents, a page", "FilterLogEvents", &json!({ "logGroupName": "g", "limit": 1 })),
        ("DescribeLogGroups", "DescribeLogGroups", &json!({})),
        ("DescribeLogGroups, a page", "DescribeLogGroups", &json!({ "limit": 1 })),
        ("DescribeLogStreams", "DescribeLogStreams", &json!({ "logGroupName": "g" })),
    ] {
        responses.insert(name.to_owned(), crate::golden::fixed(service.ask(operation, request.clone()).unwrap()));
    }
    // Tokens and event ids contain times.
    for (response, member) in [
        ("GetLogEvents", "nextForwardToken"),
        ("GetLogEvents", "nextBackwardToken"),
        ("FilterLogEvents, a page", "nextToken"),
    ] {
        responses[response][member] = "<token>".into();
    }
    for response in ["FilterLogEvents", "FilterLogEvents, a page"] {
        for event in responses[response]["events"].as_array_mut().unwrap() {
            event["eventId"] = json!(event["eventId"].as_str().unwrap().len());
        }
    }
    responses["DescribeLogGroups, a page"]["nextToken"] = "<token>".into();
    insta::assert_json_snapshot!(responses);
}

#[tokio::test]
async fn a_copy_ends_at_its_cutoff_with_everything_read_so_far() {
    let service = Service::new();
    let writer = LogWriter::open(service.logs.clone(), "g", "s");
    let (ours, mut theirs) = tokio::io::duplex(1024);
    tokio::io::AsyncWriteExt::write_all(&mut theirs, b"one\nhalf").await.unwrap();
    writer.copy(ours, async {}).await; // the other end stays open
    let all = service.ask("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "s" })).unwrap();
    assert_eq!(messages(&all), ["one", "half"]);
}
