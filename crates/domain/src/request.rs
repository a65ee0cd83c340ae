//! A caller's request to run a job.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::{Json, Overrides, Pattern, RetryRule, Upload, limits};

/// The job of a request without a `job`: the demonstration job, which every installation has.
pub const DEFAULT_JOB: &str = "demo";

/// What a caller requested: a job, its input, and how it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The job's input.
    pub input: Json,
    /// The upload that is its input besides, as a file.
    pub input_upload: Option<Upload>,
    /// Name of the job, one of those that this installation has.
    pub job: String,
    /// How long it may take from the moment it is accepted, in whole seconds.
    pub timeout: Duration,
    /// How many attempts it may have in total.
    pub max_attempts: u32,
    /// Which failures are retried, and after how long.
    pub retry: RetryRule,
    /// The values that replace those of the job.
    pub overrides: Overrides,
    /// The caller's own labels.
    pub tags: BTreeMap<String, String>,
    /// When it is to start, as the request says it; at once if it says nothing.
    pub start: Option<Start>,
    /// The time by which a task must have been started, as the request says it.
    pub start_before: Option<Timestamp>,
}

/// When a request is to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At this time.
    At(Timestamp),
    /// This many seconds after it was accepted.
    In {
        /// The seconds.
        seconds: u64,
    },
}

impl Start {
    /// The time, for a request that is accepted at `now`.
    #[must_use]
    pub fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::In { seconds } => {
                let delay = i64::try_from(seconds).map_or(SignedDuration::MAX, SignedDuration::from_secs);
                now.checked_add(delay).unwrap_or(Timestamp::MAX)
            }
        }
    }
}

/// One thing that is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) into the body.
    pub pointer: String,
    /// What is wrong there, and what is allowed.
    pub detail: String,
    /// The rule that it violates, for programs. Part of the API: never rename one.
    pub rule: &'static str,
}

impl Request {
    /// A request that has only an input.
    #[must_use]
    pub fn of(input: Json) -> Self {
        let (timeout, job) = (limits::DEFAULT_TIMEOUT, DEFAULT_JOB.to_owned());
        Self {
            input,
            input_upload: None,
            job,
            timeout,
            max_attempts: 1,
            retry: RetryRule::default(),
            overrides: Overrides::default(),
            tags: BTreeMap::new(),
            start: None,
            start_before: None,
        }
    }

    /// The same request, to be started at once, for a rerun.
    #[must_use]
    pub fn without_delay(self) -> Self {
        Self { start: None, start_before: None, ..self }
    }

    /// What is wrong with the times of a request that would be accepted at `now`.
    #[must_use]
    pub fn violations_at(&self, now: Timestamp) -> Vec<Violation> {
        let mut found = Vec::new();
        let starts_at = self.start.map_or(now, |start| start.after(now)).max(now);
        let days = limits::DELAY.as_secs() / 86_400;
        match self.start {
            Some(Start::At(time)) if beyond(time, now) => found.push(Violation {
                pointer: "/startAt".into(),
                detail: format!("is {time:.3}, at most {days} days ahead are allowed"),
                rule: START_OUT_OF_RANGE,
            }),
            Some(Start::In { seconds }) if seconds > limits::DELAY.as_secs() => found.push(Violation {
                pointer: "/delaySeconds".into(),
                detail: format!("must be between 0 and {}", limits::DELAY.as_secs()),
                rule: START_OUT_OF_RANGE,
            }),
            Some(_) | None => {}
        }
        found.extend(self.start_before.and_then(|latest| start_before_violation(latest, starts_at)));
        found
    }

    /// Everything that is wrong with it; empty if it may be started.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut wrong = |rule, pointer: String, detail: String| found.push(Violation { pointer, detail, rule });
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len()).sum();
        let bytes = self.input.text().len() + tags;
        if bytes > limits::INPUT_BYTES {
            let with_tags = if tags > 0 { " with the tags" } else { "" };
            wrong(
                "input-too-large",
                "/input".into(),
                format!(
                    "has {bytes} bytes{with_tags}, at most {} are allowed; send larger data with POST /uploads",
                    limits::INPUT_BYTES
                ),
            );
        }
        let depth = self.input.depth();
        if depth > limits::INPUT_DEPTH {
            wrong(
                "input-too-deep",
                "/input".into(),
                format!("is nested {depth} deep, at most {} are allowed", limits::INPUT_DEPTH),
            );
        }
        let most = limits::TIMEOUT.as_secs();
        if !(1..=most).contains(&self.timeout.as_secs()) {
            wrong("timeout-out-of-range", "/timeoutSeconds".into(), format!("must be between 1 and {most}"));
        }
        if !(1..=limits::ATTEMPTS).contains(&self.max_attempts) {
            wrong(
                "attempts-out-of-range",
                "/retry/maxAttempts".into(),
                format!("must be between 1 and {}", limits::ATTEMPTS),
            );
        }
        if self.tags.len() > limits::TAGS {
            wrong(
                "too-many-tags",
                "/tags".into(),
                format!("has {} entries, at most {} are allowed", self.tags.len(), limits::TAGS),
            );
        }
        found.extend(self.tags.iter().flat_map(|(key, value)| tag_violations(key, value)));
        found.extend(self.retry.violations());
        found.extend(self.overrides.violations());
        found
    }

    /// The members of a request's body that differ from `other`'s, by name. Inputs are compared by value: see
    /// [`Json::same_value`].
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        // Every field is named, so a new one cannot be left out.
        let Self { input, input_upload, job, timeout, max_attempts, retry, overrides, tags, start, start_before } =
            self;
        let Overrides { cpu, memory, environment } = overrides;
        // The file of an upload never changes.
        let upload = |given: &Option<Upload>| given.as_ref().map(|upload| upload.id.clone());
        let resources = (*cpu, *memory) == (other.overrides.cpu, other.overrides.memory);
        let at = |start: Option<Start>| match start {
            Some(Start::At(time)) => Some(time),
            Some(Start::In { .. }) | None => None,
        };
        let delay = |start: Option<Start>| match start {
            Some(Start::In { seconds }) => Some(seconds),
            Some(Start::At(_)) | None => None,
        };
        let compared = [
            ("input", input.same_value(&other.input)),
            ("inputUpload", upload(input_upload) == upload(&other.input_upload)),
            ("job", *job == other.job),
            ("timeoutSeconds", timeout.as_secs() == other.timeout.as_secs()),
            ("retry", *max_attempts == other.max_attempts && *retry == other.retry),
            ("resources", resources),
            ("environment", *environment == other.overrides.environment),
            ("tags", *tags == other.tags),
            ("startAt", at(*start) == at(other.start)),
            ("delaySeconds", delay(*start) == delay(other.start)),
            ("startBefore", *start_before == other.start_before),
        ];
        compared.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }

    /// A SHA-256 of the request as it was written, in hex. It is stored with each execution, for people who search the table for
    /// repeats. Whether two requests are the same is decided by [`Request::differences`], which compares with the stored request.
    /// Never change what goes into it: members that were added later go into it only if the request has them. The backoff does not go
    /// into it, because no request has it.
    #[must_use]
    pub fn fingerprint(&self, pattern: Pattern) -> String {
        let mut hash = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        field(pattern.as_str().as_bytes());
        field(self.input.text().as_bytes());
        field(self.job.as_bytes());
        field(&self.timeout.as_secs().to_be_bytes());
        field(&self.max_attempts.to_be_bytes());
        for (key, value) in &self.tags {
            field(key.as_bytes());
            field(value.as_bytes());
        }
        let Overrides { cpu, memory, environment } = &self.overrides;
        if let Some(codes) = &self.retry.on_exit_codes {
            field(b"retry.onExitCodes");
            for code in codes {
                field(&code.to_be_bytes());
            }
        }
        for (name, given) in [("resources.cpu", cpu), ("resources.memoryMiB", memory)] {
            if let Some(given) = given {
                field(name.as_bytes());
                field(&given.to_be_bytes());
            }
        }
        if let Some(upload) = &self.input_upload {
            field(b"inputUpload");
            field(upload.id.to_string().as_bytes());
        }
        for (name, value) in environment {
            field(b"environment");
            field(name.as_bytes());
            field(value.as_bytes());
        }
        match self.start {
            Some(Start::At(time)) => {
                field(b"startAt");
                field(&time.as_nanosecond().to_be_bytes());
            }
            Some(Start::In { seconds }) => {
                field(b"delaySeconds");
                field(&seconds.to_be_bytes());
            }
            None => {}
        }
        if let Some(latest) = self.start_before {
            field(b"startBefore");
            field(&latest.as_nanosecond().to_be_bytes());
        }
        format!("{:x}", hash.finalize())
    }
}

/// The rule that a start time violates if it is too far ahead.
const START_OUT_OF_RANGE: &str = "start-out-of-range";

/// Whether a time is further ahead of `now` than a start may be.
fn beyond(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > SignedDuration::try_from(limits::DELAY).unwrap_or(SignedDuration::MAX)
}

/// What is wrong with the latest start of an execution that is to start at `starts_at`.
fn start_before_violation(latest: Timestamp, starts_at: Timestamp) -> Option<Violation> {
    let detail = if latest <= starts_at {
        format!("is {latest:.3}, which is not after the start at {starts_at:.3}")
    } else if beyond(latest, starts_at) {
        format!("is {latest:.3}, at most {} days after the start are allowed", limits::DELAY.as_secs() / 86_400)
    } else {
        return None;
    };
    Some(Violation { pointer: "/startBefore".into(), detail, rule: "start-before-out-of-range" })
}

fn tag_violations(key: &str, value: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |rule, detail| {
        found.push(Violation { pointer: format!("/tags{}", pointer_to(key)), detail, rule });
    };
    if !(1..=limits::TAG_KEY_CHARS).contains(&key.chars().count()) {
        wrong(
            "tag-key-length",
            format!("has a key that is not allowed; it must have 1 to {} characters", limits::TAG_KEY_CHARS),
        );
    }
    if value.chars().count() > limits::TAG_VALUE_CHARS {
        wrong(
            "tag-value-length",
            format!("has a value that is too long; it may have at most {} characters", limits::TAG_VALUE_CHARS),
        );
    }
    for (what, text) in [("key", key), ("value", value)] {
        if let Some(refused) = text.chars().find(|character| !may_be_in_a_tag(*character)) {
            let allowed = "letters, numbers, spaces and _ . : / = + - @";
            let refused = refused.escape_debug();
            wrong("tag-characters", format!("has '{refused}' in its {what}, which may contain {allowed}"));
        }
        if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            wrong("tag-reserved", format!("has a {what} that begins with \"aws:\", which AWS reserves"));
        }
    }
    found
}

/// One step of a JSON Pointer (RFC 6901), to the member with this name.
#[must_use]
pub fn pointer_to(member: &str) -> String {
    format!("/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// Whether ECS allows a character in a tag's key or value: `[\p{L}\p{Z}\p{N}_.:/=+\-@]`. The prefix `aws:`, in upper or lower case, is not
/// allowed either (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html>). `RunTask` refuses anything else, so the job
/// could never start.
fn may_be_in_a_tag(character: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number, Separator};
    "_.:/=+-@".contains(character) || matches!(character.general_category_group(), Letter | Number | Separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { timeout: Duration::from_mins(1), ..Request::of(Json::parse(r#"{"n":1}"#).unwrap()) }
    }

    fn with(overrides: Overrides) -> Request {
        Request { overrides, ..request() }
    }

    fn debug() -> BTreeMap<String, String> {
        BTreeMap::from([("DEBUG".into(), "1".into())])
    }

    fn on_exit_code(code: i32) -> RetryRule {
        RetryRule { on_exit_codes: Some([code].into()), ..RetryRule::default() }
    }

    #[test]
    fn the_fingerprint_never_changes() {
        assert_eq!(
            request().fingerprint(Pattern::Sync),
            "0463914067011153824bd115c33d701f0bcdf241dde63d1c59fd59613a892658"
        );
        let overrides = Overrides { cpu: Some(512), memory: Some(1_024), environment: debug() };
        assert_eq!(
            Request { retry: on_exit_code(75), ..with(overrides) }.fingerprint(Pattern::Sync),
            "9bba1668bd2f1e5e5eb404117e97bb4a93cee5f9a7bd877c585eab8f81f0d04e"
        );
    }

    #[test]
    fn differences_are_named_and_ignore_json_formatting() {
        let base = request();
        let same = Request { input: Json::parse(r#"{ "n" : 1.0 }"#).unwrap(), ..base.clone() };
        assert_eq!(base.differences(&same), [""; 0]);
        assert_ne!(base.fingerprint(Pattern::Sync), same.fingerprint(Pattern::Sync), "it is a hash of the text");
        let changed = [
            ("input", Request { input: Json::parse(r#"{"n":2}"#).unwrap(), ..base.clone() }),
            ("job", Request { job: "other".into(), ..base.clone() }),
            ("timeoutSeconds", Request { timeout: Duration::from_secs(61), ..base.clone() }),
            ("retry", Request { max_attempts: 2, ..base.clone() }),
            ("retry", Request { retry: on_exit_code(75), ..base.clone() }),
            ("resources", with(Overrides { cpu: Some(512), ..Overrides::default() })),
            ("resources", with(Overrides { memory: Some(512), ..Overrides::default() })),
            ("environment", with(Overrides { environment: debug(), ..Overrides::default() })),
            ("tags", Request { tags: BTreeMap::from([("a".into(), "b".into())]), ..base.clone() }),
            ("startAt", Request { start: Some(Start::At(Timestamp::UNIX_EPOCH)), ..base.clone() }),
            ("delaySeconds", Request { start: Some(Start::In { seconds: 0 }), ..base.clone() }),
            ("startBefore", Request { start_before: Some(Timestamp::UNIX_EPOCH), ..base.clone() }),
        ];
        for (name, other) in &changed {
            assert_eq!(base.differences(other), [*name]);
        }
        let all = Request { input: Json::null(), job: "other".into(), ..base.clone() };
        assert_eq!(base.differences(&all), ["input", "job"]);
    }

    #[test]
    fn every_field_changes_the_fingerprint() {
        let base = request();
        let changed = [
            Request { input: Json::parse(r#"{"n":2}"#).unwrap(), ..base.clone() },
            Request { job: "other".into(), ..base.clone() },
            Request { timeout: Duration::from_secs(61), ..base.clone() },
            Request { max_attempts: 2, ..base.clone() },
            Request { retry: on_exit_code(75), ..base.clone() },
            with(Overrides { cpu: Some(512), ..Overrides::default() }),
            with(Overrides { memory: Some(512), ..Overrides::default() }),
            with(Overrides { environment: debug(), ..Overrides::default() }),
            Request { tags: BTreeMap::from([("a".into(), "b".into())]), ..base.clone() },
            Request { start: Some(Start::At(Timestamp::UNIX_EPOCH)), ..base.clone() },
            Request { start: Some(Start::In { seconds: 0 }), ..base.clone() },
            Request { start_before: Some(Timestamp::UNIX_EPOCH), ..base.clone() },
        ];
        for other in &changed {
            assert_ne!(other.fingerprint(Pattern::Sync), base.fingerprint(Pattern::Sync), "{other:?}");
        }
        assert_ne!(base.fingerprint(Pattern::Sync), base.fingerprint(Pattern::Callback));
    }

    #[test]
    fn every_violation_is_reported() {
        let bad = Request {
            input: Json::parse(&format!("{}{}", "[".repeat(65), "]".repeat(65))).unwrap(),
            timeout: Duration::ZERO,
            max_attempts: 11,
            tags: (0..21).map(|n| (format!("a/{n}"), "x".repeat(257))).collect(),
            ..request()
        };
        let found = bad.violations();
        let pointers: Vec<_> = found.iter().map(|violation| violation.pointer.as_str()).collect();
        assert_eq!(pointers.get(..4), Some(&["/input", "/timeoutSeconds", "/retry/maxAttempts", "/tags"][..]));
        assert_eq!(pointers.get(4), Some(&"/tags/a~10"));
        assert!(request().violations().is_empty());
    }

    #[test]
    fn a_request_at_every_limit_is_valid() {
        let deep = |levels: usize| Json::parse(&format!("{}{}", "[".repeat(levels), "]".repeat(levels))).unwrap();
        let tags = |count: usize| -> BTreeMap<String, String> {
            (0..count).map(|n| (format!("{n:0>128}"), "ä".repeat(limits::TAG_VALUE_CHARS))).collect()
        };
        let largest = Request {
            input: deep(limits::INPUT_DEPTH),
            timeout: limits::TIMEOUT,
            max_attempts: limits::ATTEMPTS,
            tags: tags(limits::TAGS),
            ..request()
        };
        assert_eq!(largest.violations(), []);
        let smallest = Request { timeout: Duration::from_secs(1), max_attempts: 1, ..request() };
        assert_eq!(smallest.violations(), []);
        let rules = |request: Request| request.violations().into_iter().map(|found| found.rule).collect::<Vec<_>>();
        for (rule, beyond) in [
            ("input-too-deep", Request { input: deep(limits::INPUT_DEPTH + 1), ..largest.clone() }),
            ("timeout-out-of-range", Request { timeout: limits::TIMEOUT + Duration::from_secs(1), ..largest.clone() }),
            ("attempts-out-of-range", Request { max_attempts: 0, ..largest.clone() }),
            ("attempts-out-of-range", Request { max_attempts: limits::ATTEMPTS + 1, ..largest.clone() }),
            ("too-many-tags", Request { tags: tags(limits::TAGS + 1), ..largest.clone() }),
            ("tag-key-length", Request { tags: BTreeMap::from([(String::new(), "a".into())]), ..largest.clone() }),
            ("tag-key-length", Request { tags: BTreeMap::from([("a".repeat(129), "a".into())]), ..largest.clone() }),
            ("tag-value-length", Request { tags: BTreeMap::from([("a".into(), "ä".repeat(257))]), ..largest.clone() }),
        ] {
            assert_eq!(rules(beyond), [rule]);
        }
    }

    #[test]
    fn a_start_is_at_most_366_days_ahead_and_before_the_latest_start() {
        let now = Timestamp::from_second(1_000).unwrap();
        let at = |seconds| now + SignedDuration::from_secs(seconds);
        let most = 366 * 86_400;
        let wrong = |start, start_before| {
            let found = Request { start, start_before, ..request() }.violations_at(now);
            found.into_iter().map(|found| (found.pointer, found.rule)).collect::<Vec<_>>()
        };
        for fine in [None, Some(Start::At(at(-9))), Some(Start::At(at(most))), Some(Start::In { seconds: 0 })] {
            assert_eq!(wrong(fine, None), []);
        }
        let far = |pointer: &str| vec![(pointer.to_owned(), "start-out-of-range")];
        assert_eq!(wrong(Some(Start::At(at(most + 1))), None), far("/startAt"));
        assert_eq!(wrong(Some(Start::In { seconds: most.unsigned_abs() + 1 }), None), far("/delaySeconds"));
        let latest = vec![("/startBefore".to_owned(), "start-before-out-of-range")];
        assert_eq!(wrong(None, Some(at(1))), []);
        assert_eq!(wrong(None, Some(at(0))), latest);
        assert_eq!(wrong(Some(Start::In { seconds: 9 }), Some(at(10))), []);
        assert_eq!(wrong(Some(Start::In { seconds: 9 }), Some(at(9))), latest);
        assert_eq!(wrong(None, Some(at(most + 1))), latest);
    }

    #[test]
    fn a_size_error_mentions_tags_only_if_there_are_any() {
        let input = Json::parse(&format!("\"{}\"", "x".repeat(limits::INPUT_BYTES))).unwrap();
        let details = |tags: BTreeMap<String, String>| {
            let found = Request { input: input.clone(), tags, ..request() }.violations();
            found.into_iter().map(|violation| violation.detail).collect::<Vec<_>>()
        };
        let advice = "send larger data with POST /uploads";
        assert_eq!(details(BTreeMap::new()), [format!("has 184322 bytes, at most 184320 are allowed; {advice}")]);
        let tags = BTreeMap::from([("team".into(), "blue".into())]);
        let told = format!("has 184330 bytes with the tags, at most 184320 are allowed; {advice}");
        assert_eq!(details(tags), [told]);
    }

    #[test]
    fn input_and_tags_share_a_size_limit() {
        let rules = |bytes: usize, letter: &str| {
            let input = Json::parse(&format!("\"{}\"", "x".repeat(bytes - 2))).unwrap();
            let tags = BTreeMap::from([("team".into(), letter.repeat(100))]);
            let found = Request { input, tags, ..request() }.violations();
            found.into_iter().map(|violation| violation.rule).collect::<Vec<_>>()
        };
        assert_eq!(rules(limits::INPUT_BYTES - 104, "x"), [""; 0]);
        assert_eq!(rules(limits::INPUT_BYTES - 103, "x"), ["input-too-large"]);
        assert_eq!(rules(limits::INPUT_BYTES - 104, "ä"), ["input-too-large"]);
    }

    #[test]
    fn tags_follow_the_rules_of_ecs() {
        let rules = |key: &str, value: &str| {
            let tags = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            Request { tags, ..request() }.violations().into_iter().map(|found| found.rule).collect::<Vec<_>>()
        };
        for good in ["team", "größe 2²", "a_b.c:d/e=f+g-h@i", "東京\u{2003}Ⅷ", "paws:", "aws", "日aws:"] {
            assert_eq!(rules(good, good), [""; 0], "{good}");
        }
        assert_eq!(rules("team", ""), [""; 0]);
        for bad in ["a&b", "a\tb", "a\u{0}", "a,b", "\u{301}", "😀", "\u{93f}"] {
            assert_eq!(rules(bad, "blue"), ["tag-characters"], "{bad:?}");
            assert_eq!(rules("team", bad), ["tag-characters"], "{bad:?}");
        }
        for bad in ["aws:x", "AWS:", "aWs:y"] {
            assert_eq!(rules(bad, "blue"), ["tag-reserved"], "{bad:?}");
            assert_eq!(rules("team", bad), ["tag-reserved"], "{bad:?}");
        }
    }
}
