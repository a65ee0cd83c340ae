//! Brings events to their targets: to functions one at a time, as any caller of Lambda invokes them; to the function behind
//! a queue in the queue's batches, until it has taken them up.

use std::{collections::HashMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};
use serde_json::{Value, json};
use tokio::sync::futures::Notified;

use super::{Events, envelope};
use crate::{identity::REGION, wire::AwsError};

/// Messages in one batch, as a queue gives a function by default.
const BATCH: u32 = 10;

/// A message that was not taken up is hidden for so long, as a queue's visibility timeout does …
const HIDDEN: SignedDuration = SignedDuration::from_secs(5);

/// … and dropped after so many tries, where AWS has a dead-letter queue.
const TRIES: u32 = 20;

/// The longest that delivery sleeps.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// A queue that targets may name, and the function that it feeds.
#[derive(Debug, Clone)]
pub struct Queue {
    /// ARN of the queue.
    pub arn: String,
    /// Name of the function.
    pub function: String,
}

/// Something that waits to be delivered.
struct Message {
    id: i64,
    target: String,
    tries: u32,
    body: String,
}

impl Events {
    /// Delivers everything, for as long as it is polled.
    pub async fn deliver(&self, client: reqwest::Client, aws_url: &str, queue: &Queue) {
        let lambda = Invoker { client, aws_url: aws_url.to_owned() };
        tokio::join!(self.feed(&lambda, queue), self.invoke_targets(&lambda, queue), self.keep_schedule());
    }

    async fn feed(&self, lambda: &Invoker, queue: &Queue) {
        loop {
            let news = self.0.for_queue.notified();
            rest(self.feed_batch(lambda, queue).await, news).await;
        }
    }

    async fn invoke_targets(&self, lambda: &Invoker, queue: &Queue) {
        loop {
            let news = self.0.for_functions.notified();
            rest(self.invoke_some(lambda, queue).await, news).await;
        }
    }

    /// Gives the queue's function a batch, and says how much that was.
    async fn feed_batch(&self, lambda: &Invoker, queue: &Queue) -> Result<usize, AwsError> {
        let messages = self.due("target = ?3", &queue.arn)?;
        if messages.is_empty() {
            return Ok(0);
        }
        let record = |message: &Message| {
            json!({
                "messageId": message.id.to_string(),
                "body": message.body,
                "eventSource": "aws:sqs",
                "eventSourceARN": queue.arn,
                "awsRegion": REGION,
            })
        };
        let batch = json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() }).to_string();
        let failed = match lambda.invoke(&queue.function, "RequestResponse", batch).await {
            Ok(answer) => failures(&answer),
            Err(why) => {
                tracing::warn!(why, "a batch of events was not taken up");
                messages.iter().map(|message| message.id).collect()
            }
        };
        self.settle(&messages, &failed)
    }

    /// Invokes functions that are targets themselves, and says how often.
    async fn invoke_some(&self, lambda: &Invoker, queue: &Queue) -> Result<usize, AwsError> {
        let messages = self.due("target <> ?3", &queue.arn)?;
        let mut failed = Vec::new();
        for message in &messages {
            if let Err(why) = lambda.invoke(&message.target, "Event", message.body.clone()).await {
                tracing::warn!(target_arn = message.target, why, "an event was not taken up");
                failed.push(message.id);
            }
        }
        self.settle(&messages, &failed)
    }

    /// Sends the events of rules that are schedules. One that is missed, because nothing ran then, is missed.
    async fn keep_schedule(&self) {
        let mut next: HashMap<String, Timestamp> = HashMap::new();
        loop {
            let now = self.0.clock.now();
            let rates = self.rules().scheduled();
            next.retain(|name, _| rates.iter().any(|(rule, _)| *rule == *name));
            for (name, every) in rates {
                let after = |at: Timestamp| at.checked_add(every).unwrap_or(Timestamp::MAX);
                let at = next.entry(name.clone()).or_insert_with(|| after(now));
                if *at > now {
                    continue;
                }
                *at = Some(after(*at)).filter(|next| *next > now).unwrap_or_else(|| after(now));
                if let Err(why) = self.tick(&name, now) {
                    tracing::error!(rule = name, why = why.message, "the event of a schedule was not sent");
                }
            }
            tokio::time::sleep(LONGEST_SLEEP).await;
        }
    }

    fn tick(&self, name: &str, now: Timestamp) -> Result<(), AwsError> {
        self.0.db.transact(|tx| {
            let Some(rule) = self.rules().get(name).cloned() else { return Ok(()) };
            let event = envelope(now, "aws.events", "Scheduled Event", &[&rule.arn()], &json!({}));
            let sent: Vec<_> = rule.targets.iter().map(|target| (target.arn.clone(), target.input(&event))).collect();
            Ok(self.keep(tx, &event, &sent, now)?)
        })
    }

    fn due(&self, which: &str, queue: &str) -> Result<Vec<Message>, AwsError> {
        let now = self.0.clock.now().as_millisecond();
        self.0.db.transact(|tx| {
            let sql = format!(
                "SELECT id, target, tries, body FROM event_deliveries WHERE deliver_at <= ?1 AND {which}
                 ORDER BY id LIMIT ?2"
            );
            let mut read = tx.prepare_cached(&sql)?;
            let message = |row: &rusqlite::Row<'_>| {
                Ok(Message { id: row.get(0)?, target: row.get(1)?, tries: row.get(2)?, body: row.get(3)? })
            };
            Ok(read.query_map(params![now, BATCH, queue], message)?.collect::<Result<_, _>>()?)
        })
    }

    /// Forgets what was taken up, and hides what was not until it is tried again.
    fn settle(&self, messages: &[Message], failed: &[i64]) -> Result<usize, AwsError> {
        let again = self.0.clock.now().checked_add(HIDDEN).unwrap_or(Timestamp::MAX).as_millisecond();
        self.0.db.transact(|tx: &Transaction<'_>| {
            for message in messages {
                let failed = failed.contains(&message.id);
                if failed && message.tries + 1 < TRIES {
                    tx.prepare_cached("UPDATE event_deliveries SET tries = tries + 1, deliver_at = ?2 WHERE id = ?1")?
                        .execute(params![message.id, again])?;
                    continue;
                }
                if failed {
                    tracing::error!(event = message.body, "an event was never taken up");
                }
                tx.prepare_cached("DELETE FROM event_deliveries WHERE id = ?1")?.execute([message.id])?;
            }
            Ok(messages.len())
        })
    }
}

/// Sleeps until there is news, if there was nothing to do.
async fn rest(done: Result<usize, AwsError>, news: Notified<'_>) {
    match done {
        Ok(0) => drop(tokio::time::timeout(LONGEST_SLEEP, news).await),
        Ok(_) => {}
        Err(why) => {
            tracing::warn!(why = why.message, "events are not delivered");
            tokio::time::sleep(LONGEST_SLEEP).await;
        }
    }
}

/// The messages that have to come again.
fn failures(answer: &Value) -> Vec<i64> {
    let failures = answer["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
    failures.iter().filter_map(|failure| failure["itemIdentifier"].as_str()?.parse().ok()).collect()
}

/// Invokes functions as any caller of Lambda would.
struct Invoker {
    client: reqwest::Client,
    aws_url: String,
}

impl Invoker {
    /// What the function answers; nothing to an `Event`.
    async fn invoke(&self, function: &str, kind: &str, payload: String) -> Result<Value, String> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.aws_url);
        let request = self.client.post(url).header("x-amz-invocation-type", kind).body(payload);
        let response = request.send().await.map_err(|why| why.to_string())?;
        let failed = response.headers().contains_key("x-amz-function-error") || !response.status().is_success();
        let body = response.bytes().await.map_err(|why| why.to_string())?;
        if failed {
            return Err(String::from_utf8_lossy(&body).into_owned());
        }
        if body.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&body).map_err(|why| why.to_string()) }
    }
}
