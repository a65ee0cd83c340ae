//! Kills the whole emulator with SIGKILL, again and again, while durable executions run. None is lost, and nothing is done twice.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    emulator::Emulator,
    support::{Lambda, python, python_file},
};

/// The default number of kills; `LAMBDA_KILLS` sets another one.
const KILLS: u64 = 50;

/// The number of steps of an execution, and of its waits. One step has two attempts.
const ROUNDS: usize = 4;

/// Terminal events of each operation.
fn ends(events: &[Value]) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for event in events {
        if matches!(event["EventType"].as_str(), Some("StepSucceeded" | "WaitSucceeded" | "ExecutionSucceeded")) {
            *ends.entry(event["Id"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    ends
}

fn is_right(events: &[Value]) -> bool {
    let numbered = events.iter().enumerate().all(|(place, event)| event["EventId"] == place + 1);
    let count = |kind: &str| events.iter().filter(|event| event["EventType"] == kind).count();
    let waits = |kind: &'static str| events.iter().filter(move |event| event["EventType"] == kind);
    let in_time = waits("WaitSucceeded").all(|ended| {
        let started = waits("WaitStarted").find(|started| started["Id"] == ended["Id"]).unwrap();
        let due = started["WaitStartedDetails"]["ScheduledEndTimestamp"].as_f64().unwrap();
        ended["EventTimestamp"].as_f64().unwrap() >= due
    });
    numbered
        && in_time
        && count("WaitStarted") == ROUNDS
        && count("StepFailed") == 1
        && count("StepStarted") == ROUNDS + 1
        && ends(events).len() == 2 * ROUNDS + 1
}

#[tokio::test]
async fn no_execution_is_lost_and_nothing_is_done_twice() {
    #[expect(clippy::disallowed_methods, reason = "an option of the test, not of the program")]
    let kills = std::env::var("LAMBDA_KILLS").ok().and_then(|number| number.parse().ok()).unwrap_or(KILLS);
    let directory = tempfile::tempdir().unwrap();
    let lines = directory.path().join("lines");
    let data = directory.path().join("data");
    let command = format!("{} {} {}", python(), python_file("by_hand.py").display(), lines.display());
    let mut arns: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..kills {
        let mut emulator = Emulator::start_over(&data, &[]).await;
        let lambda = Lambda::of(&emulator);
        if round == 0 {
            // A function from the command line has an execution timeout of 15 minutes. On a busy machine, the first executions would exceed
            // it and time out.
            let year = json!({ "ExecutionTimeout": 31_622_400 });
            assert_eq!(lambda.create("by-hand", &command, Some(year)).await.0.as_u16(), 201);
            assert_eq!(lambda.post("/2015-03-31/functions/by-hand/versions", &json!({})).await.1["Version"], "1");
        }
        if round % 2 == 0 {
            let name = format!("n{round}");
            let request = lambda.invoke("by-hand:1", "Event", "{}").header("x-amz-durable-execution-name", &name);
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), 202);
            let arn = response.headers()["x-amz-durable-execution-arn"].to_str().unwrap();
            arns.insert(name, arn.to_owned());
        }
        // Kill the emulator at a different point of the executions in each round.
        tokio::time::sleep(Duration::from_millis(round * 137 % 700)).await;
        emulator.process.start_kill().unwrap();
        emulator.process.wait().await.unwrap();
    }
    let emulator = Emulator::start_over(&data, &[]).await;
    let lambda = Lambda::of(&emulator);
    let (mut lost, mut doubled, mut wrong) = (0, 0, 0);
    let done = std::fs::read_to_string(&lines).unwrap_or_default();
    for (name, arn) in &arns {
        if lambda.get(&Lambda::path(arn, "")).await.0.as_u16() != 200 {
            lost += 1;
            continue;
        }
        let ended = lambda.ended(arn).await;
        let events = lambda.events(arn).await;
        lost += usize::from(ended["Status"] != "SUCCEEDED");
        doubled += ends(&events).values().filter(|count| **count > 1).count();
        if !is_right(&events) {
            wrong += 1;
            println!("{name}: {ended:#}");
            for event in &events {
                println!("{event}");
            }
        }
    }
    let tries = std::fs::read_to_string(&lines).unwrap().lines().count();
    println!(
        "{kills} kills, {} executions, {lost} lost, {doubled} operations doubled, {wrong} histories wrong; \
         {tries} tries of {} ({} lines before the last start)",
        arns.len(),
        arns.len() * (ROUNDS + 1),
        done.lines().count(),
    );
    assert_eq!((lost, doubled, wrong), (0, 0, 0));
    assert!(tries >= arns.len() * (ROUNDS + 1));
}
