//! Lifecycle rules: when objects expire, and when multipart uploads that were not completed are aborted
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html>).
//!
//! **Invariant**: a request never sees what has expired at the time of the emulator's clock. Everything expires at midnight UTC, so the
//! rules are applied before the first request of a day, and when they change. AWS removes expired objects some time later.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
    time::Duration,
};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Asked, S3,
    answers::{LifecycleConfiguration, Namespace},
    body,
    buckets::Bucket,
    errors::{Code, Details, S3Error},
    list::{after_prefix, encoded},
    request, store,
    target::Target,
    xml,
};
use crate::{clock::Clock, db::Db};

/// Limits of rules (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html>).
const MAX_RULES: usize = 1_000;
const MAX_ID_CHARS: usize = 255;

/// In seconds.
const DAY: i64 = 24 * 60 * 60;

/// How long expired bytes may stay on disk if there are no requests.
const PAUSE: Duration = Duration::from_mins(1);

/// The lifecycle rules of a bucket. All rules that are enabled apply.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Lifecycle {
    /// The rules.
    pub(super) rules: Vec<Rule>,
}

/// A lifecycle rule, with the members that are supported here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Rule {
    /// Its name in responses. One without a name gets one.
    #[serde(rename = "ID", default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    /// Whether it applies.
    pub(super) status: Status,
    /// Which objects and uploads it applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filter: Option<Filter>,
    /// The earlier form of a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prefix: Option<String>,
    /// When objects expire, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expiration: Option<Expiration>,
    /// When multipart uploads are aborted, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) abort_incomplete_multipart_upload: Option<AbortIncompleteMultipartUpload>,
}

/// Whether a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Status {
    /// It applies.
    Enabled,
    /// It does not.
    Disabled,
}

/// Which objects and uploads a rule applies to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Filter {
    /// The beginning of their keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prefix: Option<String>,
}

/// When objects expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Expiration {
    /// How many days after they were created; they expire at the midnight (UTC) that follows.
    pub(super) days: u32,
}

/// When multipart uploads are aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct AbortIncompleteMultipartUpload {
    /// How many days after they were started; they are aborted at the midnight (UTC) that follows.
    pub(super) days_after_initiation: u32,
}

impl Rule {
    fn prefix(&self) -> &str {
        let of_filter = self.filter.as_ref().and_then(|filter| filter.prefix.as_deref());
        of_filter.or(self.prefix.as_deref()).unwrap_or_default()
    }

    fn expires_after(&self) -> Option<u32> {
        self.expiration.map(|expiration| expiration.days)
    }

    fn aborts_after(&self) -> Option<u32> {
        self.abort_incomplete_multipart_upload.map(|abort| abort.days_after_initiation)
    }
}

impl Lifecycle {
    /// The rules with the names that they lack.
    ///
    /// # Errors
    ///
    /// What S3 says about rules that are not valid.
    fn checked(mut self) -> Result<Self, S3Error> {
        if !(1..=MAX_RULES).contains(&self.rules.len()) {
            return Err(S3Error::new(Code::MalformedXML));
        }
        let mut ids = BTreeSet::new();
        for rule in &mut self.rules {
            let id = rule.id.get_or_insert_with(|| Uuid::new_v4().simple().to_string());
            if id.chars().count() > MAX_ID_CHARS {
                let why = format!("ID length should not exceed allowed limit of {MAX_ID_CHARS}");
                return Err(S3Error::because(Code::InvalidArgument, why));
            }
            if !ids.insert(id.clone()) {
                let why = "Rule ID must be unique. Found same ID for more than one rule";
                return Err(S3Error::because(Code::InvalidArgument, why));
            }
            if rule.filter.is_some() == rule.prefix.is_some() {
                return Err(S3Error::new(Code::MalformedXML));
            }
            for (name, days) in [
                ("'Days' for Expiration action", rule.expires_after()),
                ("'DaysAfterInitiation' for AbortIncompleteMultipartUpload action", rule.aborts_after()),
            ] {
                if days == Some(0) {
                    return Err(S3Error::because(Code::InvalidArgument, format!("{name} must be a positive integer")));
                }
            }
            if rule.expires_after().or(rule.aborts_after()).is_none() {
                let why = "At least one action needs to be specified in a rule.";
                return Err(S3Error::because(Code::InvalidRequest, why));
            }
        }
        Ok(self)
    }

    fn enabled(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.status == Status::Enabled)
    }

    /// The rule that applies first to a key, and when: `days` says how many days after `since`.
    fn first(&self, key: &str, since: Timestamp, days: fn(&Rule) -> Option<u32>) -> Option<(Timestamp, &Rule)> {
        let matching = self.enabled().filter(|rule| key.starts_with(rule.prefix()));
        matching.filter_map(|rule| Some((due(since, days(rule)?), rule))).min_by_key(|(when, _)| *when)
    }
}

/// The midnight at which a day began.
fn midnight(time: Timestamp) -> Timestamp {
    let seconds = time.as_second();
    Timestamp::from_second(seconds - seconds.rem_euclid(DAY)).unwrap_or(time)
}

/// When something is due a number of days after this time: at the next midnight
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html#intro-lifecycle-rules-number-of-days>).
fn due(since: Timestamp, days: u32) -> Timestamp {
    let after = SignedDuration::from_secs(DAY * (i64::from(days) + 1));
    midnight(since).checked_add(after).unwrap_or(Timestamp::MAX)
}

/// The time before which everything was created that is due by now.
fn due_before(now: Timestamp, days: u32) -> Timestamp {
    let before = SignedDuration::from_secs(DAY * i64::from(days));
    midnight(now).checked_sub(before).unwrap_or(Timestamp::MIN)
}

/// The rules of all buckets.
#[derive(Debug, Default)]
pub(super) struct Lifecycles {
    rules: RwLock<BTreeMap<String, Lifecycle>>,
    /// The midnight up to which the current rules were applied.
    applied: tokio::sync::Mutex<Option<Timestamp>>,
}

impl Lifecycles {
    /// The rules that clients have set, and those that the resources declare, which replace them.
    ///
    /// # Errors
    ///
    /// Which rules are not valid, or that they cannot be read or written.
    pub(super) fn open(db: &Db, buckets: &[Bucket]) -> Result<Self, String> {
        let mut declared = Vec::new();
        for Bucket { name, lifecycle_configuration } in buckets {
            if let Some(rules) = lifecycle_configuration {
                let wrong =
                    |why: String| format!("the lifecycle configuration of the bucket `{name}` is not valid: {why}");
                let rules = Lifecycle::deserialize(rules).map_err(|why| wrong(why.to_string()))?;
                declared.push((name, rules.checked().map_err(|why| wrong(why.to_string()))?));
            }
        }
        let stored = db.transact(|tx| {
            for (name, rules) in &declared {
                store::put_lifecycle(tx, name, rules)?;
            }
            store::lifecycles(tx)
        });
        let rules = stored.map_err(|why| format!("cannot read the lifecycle configurations of S3: {why}"))?;
        Ok(Self { rules: RwLock::new(rules), applied: tokio::sync::Mutex::default() })
    }

    /// The rules of a bucket, if it has any.
    fn of(&self, bucket: &str) -> Option<Lifecycle> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).get(bucket).cloned()
    }

    fn set(&self, bucket: String, rules: Option<Lifecycle>) {
        let mut all = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        match rules {
            Some(rules) => all.insert(bucket, rules),
            None => all.remove(&bucket),
        };
    }
}

impl S3 {
    /// Removes what has expired, unless this was done since the last midnight and the last change of the rules.
    pub(super) async fn apply_lifecycle(&self) -> Result<(), S3Error> {
        let now = self.clock.now();
        let mut applied = self.lifecycles.applied.lock().await;
        if *applied != Some(midnight(now)) {
            self.blocking(move |s3| s3.remove_expired(now)).await?;
            *applied = Some(midnight(now));
        }
        Ok(())
    }

    fn remove_expired(&self, now: Timestamp) -> Result<(), S3Error> {
        let rules = self.lifecycles.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        let files = self.db.transact(|tx| {
            let mut files = Vec::new();
            for (bucket, rule) in rules.iter().flat_map(|(name, its)| its.enabled().map(move |rule| (name, rule))) {
                let (from, to) = (rule.prefix(), after_prefix(rule.prefix()));
                let range = (from, to.as_deref());
                if let Some(days) = rule.expires_after() {
                    files.extend(store::delete_objects_before(tx, bucket, range, due_before(now, days))?);
                }
                if let Some(days) = rule.aborts_after() {
                    files.extend(store::delete_uploads_before(tx, bucket, range, due_before(now, days))?);
                }
            }
            Ok::<_, S3Error>(files)
        })?;
        for file in &files {
            self.files.remove(file);
        }
        Ok(())
    }

    /// Removes expired bytes from the disk, also when there are no requests.
    pub(crate) async fn keep_expiring(self, clock: Clock) {
        loop {
            let mut moves = clock.moves();
            if let Err(why) = self.apply_lifecycle().await {
                tracing::warn!(%why, "cannot remove expired objects; retrying later");
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                _ = moves.changed() => {}
            }
        }
    }

    /// Adds the header that says when an object expires, if it does
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html>).
    pub(super) fn describe_expiration(&self, headers: &mut HeaderMap, bucket: &str, key: &str, modified: Timestamp) {
        let rules = self.lifecycles.of(bucket).unwrap_or_default();
        if let Some((when, rule)) = rules.first(key, modified, Rule::expires_after) {
            let id = encoded(rule.id.as_deref().unwrap_or_default());
            insert(headers, "x-amz-expiration", format!("expiry-date=\"{}\", rule-id=\"{id}\"", http_date(when)));
        }
    }

    /// Adds the headers that say when a multipart upload is aborted, if it is
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html>).
    pub(super) fn describe_abort(&self, headers: &mut HeaderMap, bucket: &str, key: &str, started: Timestamp) {
        let rules = self.lifecycles.of(bucket).unwrap_or_default();
        if let Some((when, rule)) = rules.first(key, started, Rule::aborts_after) {
            insert(headers, "x-amz-abort-date", http_date(when));
            insert(headers, "x-amz-abort-rule-id", encoded(rule.id.as_deref().unwrap_or_default()));
        }
    }

    pub(super) fn get_lifecycle(&self, target: &Target) -> Result<Response, S3Error> {
        let name = &self.bucket(target)?.name;
        let Some(Lifecycle { rules }) = self.lifecycles.of(name) else {
            let details = Details { bucket_name: Some(name.clone()), ..Details::default() };
            return Err(S3Error::new(Code::NoSuchLifecycleConfiguration).with(details));
        };
        xml::respond("LifecycleConfiguration", &LifecycleConfiguration { xmlns: Namespace, rules })
    }

    pub(super) async fn put_lifecycle(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let request: request::LifecycleConfiguration = xml::read(&body(asked).await?)?;
        let rules = Lifecycle { rules: request.rules }.checked()?;
        self.change_lifecycle(bucket, Some(rules)).await?;
        Ok(StatusCode::OK.into_response())
    }

    pub(super) async fn delete_lifecycle(&self, target: &Target) -> Result<Response, S3Error> {
        let bucket = self.bucket(target)?.name.clone();
        self.change_lifecycle(bucket, None).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    async fn change_lifecycle(&self, bucket: String, rules: Option<Lifecycle>) -> Result<(), S3Error> {
        let mut applied = self.lifecycles.applied.lock().await;
        let change = move |s3: &Self| {
            s3.db.transact(|tx| match &rules {
                Some(rules) => store::put_lifecycle(tx, &bucket, rules),
                None => store::delete_lifecycle(tx, &bucket),
            })?;
            s3.lifecycles.set(bucket, rules);
            Ok(())
        };
        self.blocking(change).await?;
        *applied = None;
        Ok(())
    }
}

fn http_date(time: Timestamp) -> String {
    rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time).unwrap_or_default()
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "rules are written in place")]
    fn lifecycle(rules: serde_json::Value) -> Lifecycle {
        serde_json::from_value(json!({ "Rules": rules })).unwrap()
    }

    /// The example of the user guide, in which an object of 15 January 2014, 10:30, with a rule of three days, expires on the 19th.
    #[test]
    fn a_number_of_days_ends_at_the_midnight_after_it() {
        assert_eq!(due(at("2014-01-15T10:30:00Z"), 3), at("2014-01-19T00:00:00Z"));
        assert_eq!(due(at("2014-01-15T00:00:00Z"), 1), at("2014-01-17T00:00:00Z"));
        let now = at("2014-01-19T00:00:00Z");
        for (created, is_due) in [("15T23:59:59.999", true), ("15T00:00:00", true), ("16T00:00:00", false)] {
            let created = at(&format!("2014-01-{created}Z"));
            assert_eq!(due(created, 3) <= now, is_due, "{created}");
            assert_eq!(created < due_before(now, 3), is_due, "{created}");
        }
    }

    #[test]
    fn the_rule_with_the_earliest_date_counts() {
        let rules = lifecycle(json!([
            { "ID": "all", "Status": "Enabled", "Filter": {}, "Expiration": { "Days": 7 } },
            { "ID": "tmp", "Status": "Enabled", "Filter": { "Prefix": "tmp/" }, "Expiration": { "Days": 1 } },
            { "ID": "off", "Status": "Disabled", "Prefix": "", "Expiration": { "Days": 1 } },
            { "ID": "uploads", "Status": "Enabled", "Prefix": "", "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 2 } },
        ]));
        let rules = rules.checked().unwrap();
        let of = |key: &str, days| {
            let (when, rule) = rules.first(key, at("2026-01-01T12:00:00Z"), days).unwrap();
            (when.to_string(), rule.id.clone().unwrap())
        };
        assert_eq!(of("a", Rule::expires_after), ("2026-01-09T00:00:00Z".to_owned(), "all".to_owned()));
        assert_eq!(of("tmp/a", Rule::expires_after), ("2026-01-03T00:00:00Z".to_owned(), "tmp".to_owned()));
        assert_eq!(of("tmp/a", Rule::aborts_after), ("2026-01-04T00:00:00Z".to_owned(), "uploads".to_owned()));
    }

    #[test]
    fn rules_that_are_not_valid_are_refused() {
        let refused = |rules| lifecycle(rules).checked().unwrap_err().code().to_owned();
        let rule = json!({ "ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": { "Days": 1 } });
        let mut long = rule.clone();
        long["ID"] = json!("x".repeat(256));
        for (rules, code) in [
            (json!([]), "MalformedXML"),
            (json!([rule, rule]), "InvalidArgument"),
            (json!([long]), "InvalidArgument"),
            (json!([{ "Status": "Enabled", "Expiration": { "Days": 1 } }]), "MalformedXML"),
            (json!([{ "Status": "Enabled", "Filter": {}, "Expiration": { "Days": 0 } }]), "InvalidArgument"),
            (json!([{ "Status": "Enabled", "Filter": {} }]), "InvalidRequest"),
        ] {
            assert_eq!(refused(rules.clone()), code, "{rules}");
        }
        let unknown = json!({ "Rules": [{ "Status": "Enabled", "Filter": {}, "Transition": {} }] });
        let why = serde_json::from_value::<Lifecycle>(unknown).unwrap_err().to_string();
        assert!(why.contains("unknown field `Transition`"), "{why}");
    }
}
