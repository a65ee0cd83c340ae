//! Opaque tokens that say where a response continues.
//!
//! A token contains a place, and a hash of that place and of the list that it belongs to. A token that is used for another list
//! is refused. The hash has no secret. A forged token can only choose a place among the caller's own executions, because the
//! owner always comes from the authorizer and never from the token.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{
    Attempt, BatchId, ExecutionId, Owner, Pattern, Status,
    history::{Operation, Outcome},
    listing::Filter,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::written::{self, in_form};

/// Bytes of the hash in a token: enough that no wrong token is accepted by accident.
const CHECK: usize = 12;

/// A list that is read in pages, and the places in it.
pub trait Paged: Serialize {
    /// Where a page of it continues.
    type Place: Serialize + DeserializeOwned;
}

/// The executions of an owner that pass a filter. Only ever add members that are left out by default, so that existing tokens stay valid.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Executions<'a> {
    #[serde(with = "written")]
    owner: Owner,
    #[serde(with = "written", skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(with = "written", skip_serializing_if = "Option::is_none")]
    pattern: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<(&'a str, Option<&'a str>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_after: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_before: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<&'a str>,
}

impl<'a> Executions<'a> {
    /// An owner's executions that pass a filter.
    #[must_use]
    pub fn of(owner: &Owner, filter: &'a Filter) -> Self {
        // Every field is named, so a new one cannot be left out.
        let Filter { status, pattern, job, tag, schedule, batch, created_after, created_before } = filter;
        Self {
            owner: owner.clone(),
            status: *status,
            pattern: *pattern,
            job: job.as_deref(),
            tag: tag.as_ref().map(|(key, value)| (key.as_str(), value.as_deref())),
            batch: batch.as_ref().map(BatchId::as_str),
            created_after: *created_after,
            created_before: *created_before,
            schedule: schedule.as_deref(),
        }
    }
}

/// Where a list of executions continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionPlace {
    /// When the last execution of the page was accepted.
    pub at: Timestamp,
    /// Its id.
    #[serde(with = "written")]
    pub id: ExecutionId,
}

/// What the tasks of an execution printed.
#[derive(Debug, Serialize)]
pub struct Logs {
    /// The execution.
    #[serde(with = "written")]
    pub logs: ExecutionId,
}

/// Where a log continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// The attempt whose log it is.
    #[serde(with = "written")]
    pub attempt: Attempt,
    /// Where in that log.
    pub from: LogPosition,
}

/// A position in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogPosition {
    /// Its beginning.
    Head,
    /// Its end.
    Tail,
    /// Where the page with this token of CloudWatch ended.
    Token(String),
    /// Its newest lines, if the search for them has not found any yet. The search continues at CloudWatch's token `older`.
    Before {
        /// Leads to older lines.
        older: String,
        /// Leads to newer lines.
        newer: String,
        /// How many of the newest lines are wanted.
        limit: i32,
    },
}

/// What the workflow of an attempt did.
#[derive(Debug, Serialize)]
pub struct History {
    /// The execution.
    #[serde(with = "written")]
    pub history: ExecutionId,
    /// The attempt.
    #[serde(with = "written")]
    pub attempt: Attempt,
}

/// Where a history continues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPlace {
    /// AWS's marker.
    pub marker: String,
    /// The operations that began before it and had not ended.
    #[serde(with = "written")]
    pub open: Vec<Operation>,
}

impl Paged for Executions<'_> {
    type Place = ExecutionPlace;
}

impl Paged for Logs {
    type Place = LogPlace;
}

impl Paged for History {
    type Place = HistoryPlace;
}

in_form! {
    Operation => OperationForm,
    Outcome => OutcomeForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Operation", rename_all = "camelCase")]
struct OperationForm {
    id: String,
    name: Option<String>,
    kind: String,
    attempts: u32,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    #[serde(with = "written")]
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Outcome", rename_all = "SCREAMING_SNAKE_CASE")]
enum OutcomeForm {
    Started,
    Succeeded,
    Failed,
    TimedOut,
    Stopped,
    Cancelled,
}

/// A token for a place in a list.
///
/// # Errors
///
/// Does not fail in practice, since all places are plain data.
pub fn seal<L: Paged>(list: &L, place: &L::Place) -> Result<String, serde_json::Error> {
    let place = serde_json::to_string(place)?;
    let mut bytes = check(&serde_json::to_string(list)?, &place);
    bytes.extend(place.bytes());
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The place in a token, if the token was made for this list.
pub fn open<L: Paged>(list: &L, token: &str) -> Option<L::Place> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (hash, place) = bytes.split_at_checked(CHECK)?;
    let place = std::str::from_utf8(place).ok()?;
    if hash != check(&serde_json::to_string(list).ok()?, place) {
        return None;
    }
    serde_json::from_str(place).ok()
}

fn check(list: &str, place: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    for text in [list, place] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().iter().take(CHECK).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter() -> Filter {
        Filter { status: Some(Status::Failed), tag: Some(("team".into(), None)), ..Filter::default() }
    }

    fn json(value: &impl Serialize) -> String {
        serde_json::to_string(value).unwrap()
    }

    fn place() -> ExecutionPlace {
        ExecutionPlace { at: Timestamp::from_millisecond(1_772_442_000_000).unwrap(), id: "e1".parse().unwrap() }
    }

    /// A caller who reads a list during a deployment sends a token of the version before.
    #[test]
    fn lists_and_places_never_change() {
        let (owner, id) = (Owner::new("ada"), "e1".parse::<ExecutionId>().unwrap());
        let all = Filter {
            pattern: Some(Pattern::Callback),
            job: Some("demo".into()),
            tag: Some(("team".into(), Some("blue".into()))),
            created_after: Some(Timestamp::UNIX_EPOCH),
            created_before: Some(Timestamp::UNIX_EPOCH),
            schedule: Some("nightly".into()),
            ..filter()
        };
        let of_batch = Filter { batch: "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c".parse().ok(), ..Filter::default() };
        let second = Attempt::FIRST.next();
        let log = |from| LogPlace { attempt: second, from };
        let before = LogPosition::Before { older: "b/1".into(), newer: "f/2".into(), limit: 7 };
        let operation = Operation {
            id: "1".into(),
            name: Some("wake".into()),
            kind: "Callback".into(),
            attempts: 1,
            started_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            outcome: Outcome::Started,
        };
        for (value, text) in [
            (json(&Executions::of(&owner, &filter())), r#"{"owner":"ada","status":"FAILED","tag":["team",null]}"#),
            (
                json(&Executions::of(&owner, &all)),
                r#"{"owner":"ada","status":"FAILED","pattern":"callback","job":"demo","tag":["team","blue"],"createdAfter":"1970-01-01T00:00:00Z","createdBefore":"1970-01-01T00:00:00Z","schedule":"nightly"}"#,
            ),
            (
                json(&Executions::of(&owner, &of_batch)),
                r#"{"owner":"ada","batch":"0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"}"#,
            ),
            (json(&Logs { logs: id.clone() }), r#"{"logs":"e1"}"#),
            (json(&History { history: id, attempt: second }), r#"{"history":"e1","attempt":2}"#),
            (json(&place()), r#"{"at":"2026-03-02T09:00:00Z","id":"e1"}"#),
            (json(&log(LogPosition::Head)), r#"{"attempt":2,"from":"head"}"#),
            (json(&log(LogPosition::Tail)), r#"{"attempt":2,"from":"tail"}"#),
            (json(&log(LogPosition::Token("f/1".into()))), r#"{"attempt":2,"from":{"token":"f/1"}}"#),
            (json(&log(before)), r#"{"attempt":2,"from":{"before":{"older":"b/1","newer":"f/2","limit":7}}}"#),
            (
                json(&HistoryPlace { marker: "m".into(), open: vec![operation] }),
                r#"{"marker":"m","open":[{"id":"1","name":"wake","kind":"Callback","attempts":1,"startedAt":"1970-01-01T00:00:00Z","endedAt":null,"outcome":"STARTED"}]}"#,
            ),
        ] {
            assert_eq!(value, text);
        }
    }

    #[test]
    fn a_token_is_only_valid_for_its_own_list() {
        let (ada, eve) = (Owner::new("ada"), Owner::new("eve"));
        let (filter, none) = (filter(), Filter::default());
        let list = Executions::of(&ada, &filter);
        let token = seal(&list, &place()).unwrap();
        assert_eq!(open(&list, &token), Some(place()));
        for other in [Executions::of(&eve, &filter), Executions::of(&ada, &none)] {
            assert_eq!(open(&other, &token), None, "{other:?}");
        }
        for (at, _) in token.char_indices() {
            let mut forged = token.clone();
            let other = if token[at..].starts_with('A') { "B" } else { "A" };
            forged.replace_range(at..=at, other);
            assert_eq!(open(&list, &forged), None, "{forged}");
        }
        for forged in ["", "A", "AAAA", "=", "ä", &token[1..], &format!("{token}AAAA")] {
            assert_eq!(open(&list, forged), None, "{forged}");
        }
    }
}
