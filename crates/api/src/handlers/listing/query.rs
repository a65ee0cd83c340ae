//! The query of a list, and what a page token belongs to.

use domain::{
    Owner, Pattern, Status,
    listing::{Filter, Place},
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    answers::{page_token, problem::Problem},
    extract::parameters::Parameters,
};

const STATUSES: [(&str, Status); 7] = [
    ("PENDING", Status::Pending),
    ("RUNNING", Status::Running),
    ("CANCELLING", Status::Cancelling),
    ("COMPLETED", Status::Completed),
    ("FAILED", Status::Failed),
    ("TIMED_OUT", Status::TimedOut),
    ("CANCELLED", Status::Cancelled),
];

const PATTERNS: [(&str, Pattern); 2] = [("sync", Pattern::Sync), ("callback", Pattern::Callback)];

/// Takes the filters from the query.
pub(super) fn filter(parameters: &mut Parameters) -> Result<Filter, Problem> {
    let text = |text: &str| Some(text.to_owned());
    let tag = |text: &str| match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), Some(value.to_owned()))),
        None => Some((text.to_owned(), None)),
    };
    Ok(Filter {
        status: parameters.choice("status", &STATUSES)?,
        pattern: parameters.choice("pattern", &PATTERNS)?,
        job: parameters.take("job", "the name of a job", text)?,
        tag: parameters.take("tag", "a tag's key, or key=value", tag)?,
        created_after: parameters.time("createdAfter")?,
        created_before: parameters.time("createdBefore")?,
    })
}

/// What a page token belongs to: the owner of the list, and its filters. Only ever add members that are left out by default, so that
/// existing tokens stay valid.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    owner: &'a Owner,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<(&'a str, Option<&'a str>)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_after: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_before: Option<Timestamp>,
}

/// The list that a page token belongs to, as JSON.
pub(super) fn named(owner: &Owner, filter: &Filter) -> String {
    // Every field is named, so a new one cannot be left out.
    let Filter { status, pattern, job, tag, created_after, created_before } = filter;
    let list = List {
        owner,
        status: *status,
        pattern: *pattern,
        job: job.as_deref(),
        tag: tag.as_ref().map(|(key, value)| (key.as_str(), value.as_deref())),
        created_after: *created_after,
        created_before: *created_before,
    };
    serde_json::to_string(&list).unwrap_or_default()
}

/// The place that a token of this list contains.
pub(super) fn place(owner: &Owner, filter: &Filter, token: &str) -> Result<Place, Problem> {
    let place = page_token::open(&[&named(owner, filter)], token)?;
    read(&place).ok_or_else(page_token::invalid)
}

/// A place in a list, as tokens contain it.
pub(super) fn written(place: &Place) -> String {
    format!("{}#{}", place.at.as_millisecond(), place.id)
}

fn read(text: &str) -> Option<Place> {
    let (at, id) = text.split_once('#')?;
    Some(Place { at: Timestamp::from_millisecond(at.parse().ok()?).ok()?, id: id.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> (Owner, Filter, Place) {
        let filter = Filter {
            status: Some(Status::Failed),
            tag: Some(("team".into(), None)),
            created_after: Some(Timestamp::UNIX_EPOCH),
            ..Filter::default()
        };
        let place = Place { at: Timestamp::from_millisecond(1_772_442_000_000).unwrap(), id: "e1".parse().unwrap() };
        (Owner::new("ada"), filter, place)
    }

    /// A caller who reads a list during a deployment sends a token of the previous version, which belongs to this.
    #[test]
    fn what_a_token_belongs_to_never_changes() {
        let (owner, filter, place) = some();
        assert_eq!(
            named(&owner, &filter),
            r#"{"owner":"ada","status":"FAILED","tag":["team",null],"createdAfter":"1970-01-01T00:00:00Z"}"#
        );
        let all = Filter {
            pattern: Some(Pattern::Callback),
            job: Some("demo".into()),
            tag: Some(("team".into(), Some("blue".into()))),
            created_before: Some(Timestamp::UNIX_EPOCH),
            ..Filter::default()
        };
        assert_eq!(
            named(&owner, &all),
            r#"{"owner":"ada","pattern":"callback","job":"demo","tag":["team","blue"],"createdBefore":"1970-01-01T00:00:00Z"}"#
        );
        assert_eq!(written(&place), "1772442000000#e1");
        assert_eq!(read("1772442000000#e1").unwrap(), place);
        let token = "p-0CvLpNPh1wNANhMTc3MjQ0MjAwMDAwMCNlMQ";
        assert_eq!(page_token::seal(&[&named(&owner, &filter)], &written(&place)), token);
        assert_eq!(super::place(&owner, &filter, token).unwrap(), place);
    }
}
