//! Delivers events to their targets: to functions one by one, like any caller of Lambda; to the function of a queue in batches. An event
//! that its target does not accept is retried, up to a limit.
//!
//! **Invariant**: an invocation that hangs delays neither other events nor the schedules. It has a deadline, after which its events are
//! delivered again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use axum::{body::Bytes, http::header::AUTHORIZATION};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};
use serde::Deserialize;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{Events, batch, event::Event};
use crate::{
    callers,
    retry::{self, Backoff},
    wire::{AwsError, Empty},
};

/// Messages in one batch, as a queue gives a function by default.
const BATCH: usize = 10;

/// How long a message that was not accepted is hidden, like a queue's visibility timeout.
const RETRY_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// After how many deliveries a message is dropped. AWS moves it to a dead-letter queue instead.
const TRIES: u32 = 20;

/// Longest sleep of the delivery loops.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How many batches are in flight at a time; Lambda starts with "five concurrent batches"
/// (<https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html>).
const BATCHES: usize = 5;

/// The longest time that the next batch waits for the previous one to end. Events that arrive meanwhile go into one batch.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many functions that are direct targets are invoked at a time.
const INVOCATIONS: usize = 10;

/// How long the invocation of the queue's function may take: the function's own timeout, plus the time to start a process.
const BATCH_DEADLINE: Duration = Duration::from_secs(75);

/// How long it may take until an asynchronous invocation is accepted.
const EVENT_DEADLINE: Duration = Duration::from_secs(30);

/// What the ARN of every queue looks like. All other targets are functions.
const ANY_QUEUE: &str = "arn:aws:sqs:%";

/// A queue that targets may name, and the function that it feeds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// ARN of the queue, which begins with `arn:aws:sqs:`.
    pub arn: String,
    /// Name of the function.
    pub function: String,
}

/// An event that waits to be delivered.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) id: i64,
    pub(super) target: String,
    pub(super) tries: u32,
    pub(super) body: String,
}

impl Events {
    /// Delivers everything as long as it is polled.
    pub(crate) async fn deliver(&self, client: reqwest::Client, url: &str, queues: Vec<Queue>) {
        let delivery = Arc::new(Delivery { events: self.clone(), client, aws_url: url.to_owned() });
        let feeds = queues.into_iter().map(|queue| delivery.clone().deliver_queue(Arc::new(queue)));
        let feeds = async { feeds.collect::<JoinSet<()>>().join_all().await };
        tokio::join!(feeds, delivery.clone().invoke_targets(), self.keep_schedule());
    }

    /// Sends the events of schedules. Events that came due while the emulator was not running are skipped.
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
                    retry::log_problem("cannot send the event of a scheduled rule; skipping it", &why.message);
                }
            }
            tokio::time::sleep(LONGEST_SLEEP).await;
        }
    }

    fn tick(&self, name: &str, now: Timestamp) -> Result<(), AwsError> {
        self.0.db.transact(|tx| {
            let Some(rule) = self.rules().get(name).cloned() else { return Ok(()) };
            let arn = rule.arn();
            let event = Event::new(now, "aws.events", "Scheduled Event", vec![&arn], Empty {});
            let value = event.value()?;
            let sent: Vec<_> = rule.targets.iter().map(|target| (target.arn.clone(), target.input(&value))).collect();
            Ok(self.keep(tx, event.detail_type, &value, &sent, now)?)
        })
    }

    /// The oldest messages that are due, except those in flight.
    fn due(&self, which: &str, target: &str, under_way: &HashSet<i64>) -> Result<Vec<Message>, AwsError> {
        let now = self.0.clock.now().as_millisecond();
        let most = BATCH + under_way.len();
        self.0.db.transact(|tx| {
            let sql = format!(
                "SELECT id, target, tries, body FROM event_deliveries WHERE deliver_at <= ?1 AND {which}
                 ORDER BY id LIMIT ?2"
            );
            let mut read = tx.prepare_cached(&sql)?;
            let message = |row: &rusqlite::Row<'_>| {
                Ok(Message { id: row.get(0)?, target: row.get(1)?, tries: row.get(2)?, body: row.get(3)? })
            };
            let mut due: Vec<Message> =
                read.query_map(params![now, most, target], message)?.collect::<Result<_, _>>()?;
            due.retain(|message| !under_way.contains(&message.id));
            due.truncate(BATCH);
            Ok(due)
        })
    }

    /// Deletes the messages that were accepted, and hides the others until they are delivered again.
    fn settle(&self, messages: &[Message], failed: &[i64]) -> Result<(), AwsError> {
        let again = self.0.clock.now().checked_add(RETRY_AFTER).unwrap_or(Timestamp::MAX).as_millisecond();
        self.0.db.transact(|tx: &Transaction<'_>| {
            for message in messages {
                let failed = failed.contains(&message.id);
                if failed && message.tries + 1 < TRIES {
                    tx.prepare_cached("UPDATE event_deliveries SET tries = tries + 1, deliver_at = ?2 WHERE id = ?1")?
                        .execute(params![message.id, again])?;
                    continue;
                }
                if failed {
                    tracing::error!(
                        event = message.id,
                        target_arn = message.target,
                        "dropping an event that its target did not accept after all retries"
                    );
                }
                tx.prepare_cached("DELETE FROM event_deliveries WHERE id = ?1")?.execute([message.id])?;
            }
            Ok(())
        })
    }
}

/// Messages in flight, a limited number at a time.
#[derive(Default)]
struct UnderWay {
    messages: HashSet<i64>,
    deliveries: JoinSet<()>,
    /// Which messages each delivery has, by the id of its task.
    loads: HashMap<tokio::task::Id, Vec<i64>>,
    backoff: Backoff,
}

impl UnderWay {
    fn add(&mut self, messages: &[Message], delivery: impl Future<Output = ()> + Send + 'static) {
        let ids: Vec<_> = messages.iter().map(|message| message.id).collect();
        self.messages.extend(&ids);
        let task = self.deliveries.spawn(delivery);
        self.loads.insert(task.id(), ids);
    }

    /// Waits for the end of one delivery; forever if there is none.
    async fn ended(&mut self) {
        let id = match self.deliveries.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(why)) => {
                tracing::error!(%why, "delivering events crashed; they are delivered again");
                why.id()
            }
            None => return std::future::pending().await,
        };
        for message in self.loads.remove(&id).unwrap_or_default() {
            self.messages.remove(&message);
        }
    }
}

/// Delivers events to functions, like any caller of Lambda.
struct Delivery {
    events: Events,
    client: reqwest::Client,
    aws_url: String,
}

impl Delivery {
    /// Delivers a queue's messages to its function.
    async fn deliver_queue(self: Arc<Self>, queue: Arc<Queue>) {
        let mut news = self.events.0.news.subscribe();
        let mut under_way = UnderWay::default();
        let mut next_from = Instant::now();
        loop {
            news.mark_unchanged();
            if under_way.deliveries.is_empty() {
                next_from = Instant::now();
            }
            let has_room = under_way.deliveries.len() < BATCHES;
            if has_room && next_from <= Instant::now() {
                let messages = self.due("target = ?3", &queue.arn, &mut under_way).await;
                if !messages.is_empty() {
                    next_from = Instant::now() + PATIENCE;
                    let (delivery, queue, batch) = (self.clone(), queue.clone(), messages.clone());
                    under_way.add(&messages, async move { delivery.deliver_batch(&queue, &batch).await });
                    continue;
                }
            }
            let waits = has_room && next_from > Instant::now();
            tokio::select! {
                () = under_way.ended() => {}
                () = sleep_until(next_from), if waits => {}
                _ = news.changed(), if has_room && !waits => {}
                () = sleep(LONGEST_SLEEP), if has_room && !waits => {}
            }
        }
    }

    /// Invokes the functions that are targets themselves.
    async fn invoke_targets(self: Arc<Self>) {
        let mut news = self.events.0.news.subscribe();
        let mut under_way = UnderWay::default();
        loop {
            news.mark_unchanged();
            let room = INVOCATIONS.saturating_sub(under_way.deliveries.len());
            let mut messages =
                if room > 0 { self.due("target NOT LIKE ?3", ANY_QUEUE, &mut under_way).await } else { Vec::new() };
            messages.truncate(room);
            for message in messages {
                let (delivery, one) = (self.clone(), message.clone());
                under_way.add(&[message], async move { delivery.invoke_target(one).await });
            }
            let has_room = under_way.deliveries.len() < INVOCATIONS;
            tokio::select! {
                () = under_way.ended() => {}
                _ = news.changed(), if has_room => {}
                () = sleep(LONGEST_SLEEP), if has_room => {}
            }
        }
    }

    async fn due(&self, which: &str, target: &str, under_way: &mut UnderWay) -> Vec<Message> {
        match self.events.due(which, target, &under_way.messages) {
            Ok(messages) => {
                under_way.backoff.succeeded();
                messages
            }
            Err(why) => {
                retry::log_problem("cannot read which events to deliver; retrying", &why.message);
                sleep(under_way.backoff.failed()).await;
                Vec::new()
            }
        }
    }

    async fn deliver_batch(&self, queue: &Queue, messages: &[Message]) {
        let invoked = match batch::write(queue, messages) {
            Ok(batch) => self.invoke(&queue.function, "RequestResponse", batch, BATCH_DEADLINE).await,
            Err(why) => Err(why.message),
        };
        let failed = match invoked.and_then(|response| batch::failures(&response)) {
            Ok(failed) => failed,
            Err(why) => {
                tracing::warn!(why, "a target did not accept a batch of events; it will be retried");
                messages.iter().map(|message| message.id).collect()
            }
        };
        self.settle(messages.to_vec(), failed).await;
    }

    async fn invoke_target(&self, message: Message) {
        let invoked = self.invoke(&message.target, "Event", message.body.clone(), EVENT_DEADLINE).await;
        let failed = invoked.is_err().then_some(message.id).into_iter().collect();
        if let Err(why) = invoked {
            tracing::warn!(target_arn = message.target, why, "a target did not accept an event; it will be retried");
        }
        self.settle(vec![message], failed).await;
    }

    async fn settle(&self, messages: Vec<Message>, failed: Vec<i64>) {
        let events = self.events.clone();
        let settle = move || events.settle(&messages, &failed);
        retry::until_done("cannot record which events were delivered; retrying", settle).await;
    }

    /// Invokes the function and returns its response, which is empty for an `Event`.
    async fn invoke(&self, function: &str, kind: &str, payload: String, deadline: Duration) -> Result<Bytes, String> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.aws_url);
        let request = self.client.post(url).header("x-amz-invocation-type", kind).body(payload).timeout(deadline);
        let request = request.header(AUTHORIZATION, callers::signature(callers::EVENTS));
        let response = request.send().await.map_err(|why| in_words(&why))?;
        let failed = response.headers().contains_key("x-amz-function-error") || !response.status().is_success();
        let body = response.bytes().await.map_err(|why| in_words(&why))?;
        if failed {
            return Err(String::from_utf8_lossy(&body).into_owned());
        }
        Ok(body)
    }
}

fn in_words(why: &reqwest::Error) -> String {
    if why.is_timeout() { "the invocation timed out".to_owned() } else { why.to_string() }
}
