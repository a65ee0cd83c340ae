//! The written form of an outcome: in checkpoints, reports and items.

use domain::{Artifacts, ErrorKind, JobError, Json, Outcome, OutcomeKind, Unknown, output::ResultSource};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::written::{self, in_form};

in_form! {
    Outcome => OutcomeForm,
    OutcomeKind => KindForm,
    JobError => ErrorForm,
    ResultSource => SourceForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Outcome", rename_all = "camelCase")]
struct OutcomeForm {
    #[serde(with = "written")]
    kind: OutcomeKind,
    result: Option<Json>,
    #[serde(with = "written", default, skip_serializing_if = "ResultSource::is_none")]
    result_source: ResultSource,
    #[serde(with = "written", default, skip_serializing_if = "Option::is_none")]
    artifacts: Option<Box<Artifacts>>,
    exit_code: Option<i32>,
    finished_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "OutcomeKind", rename_all = "camelCase")]
enum KindForm {
    Completed,
    Failed(#[serde(with = "written")] JobError),
    TimedOut(#[serde(with = "written")] JobError),
    Cancelled(#[serde(with = "written")] JobError),
    Expired(#[serde(with = "written")] JobError),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "JobError", rename_all = "camelCase")]
struct ErrorForm {
    #[serde(rename = "type", with = "written")]
    kind: ErrorKind,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_tail: Option<String>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ResultSource", rename_all = "camelCase")]
enum SourceForm {
    File,
    Stdout,
    Log,
    Artifact,
    None,
    NoneInText,
    NoneButBroken,
    NoneInReach,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::written::As;

    fn outcome(kind: OutcomeKind) -> Outcome {
        Outcome::without_job(kind, Timestamp::from_second(9).unwrap())
    }

    /// A workflow's history keeps outcomes for up to a year, so their text must not change.
    #[test]
    fn an_outcome_never_changes() {
        let recorded = |outcome: &Outcome| {
            let text = serde_json::to_string(&As(outcome.clone())).unwrap();
            assert_eq!(serde_json::from_str::<As<Outcome>>(&text).unwrap().0, *outcome);
            text
        };
        assert_eq!(
            recorded(&outcome(OutcomeKind::Completed)),
            r#"{"kind":"completed","result":null,"exitCode":null,"finishedAt":"1970-01-01T00:00:09Z"}"#
        );
        let result = Some(Json::parse(r#"{"b": 1.10,"a":1}"#).unwrap());
        let done = Outcome {
            result,
            result_source: ResultSource::File,
            artifacts: None,
            exit_code: Some(0),
            ..outcome(OutcomeKind::Completed)
        };
        let text = r#"{"b": 1.10,"a":1}"#;
        assert_eq!(
            recorded(&done),
            format!(
                r#"{{"kind":"completed","result":{text},"resultSource":"file","exitCode":0,"finishedAt":"1970-01-01T00:00:09Z"}}"#
            )
        );
        let error = JobError { stop_code: Some("UserInitiated".into()), ..JobError::new("stopped", "why") };
        for (kind, name) in [
            (OutcomeKind::Failed(error.clone()), "failed"),
            (OutcomeKind::TimedOut(error.clone()), "timedOut"),
            (OutcomeKind::Expired(error.clone()), "expired"),
            (OutcomeKind::Cancelled(error.with_log_tail("last words")), "cancelled"),
        ] {
            let tail = if name == "cancelled" { r#","logTail":"last words""# } else { "" };
            let error = format!(r#"{{"type":"stopped","message":"why","stopCode":"UserInitiated"{tail}}}"#);
            assert_eq!(
                recorded(&outcome(kind)),
                format!(
                    r#"{{"kind":{{"{name}":{error}}},"result":null,"exitCode":null,"finishedAt":"1970-01-01T00:00:09Z"}}"#
                )
            );
        }
    }
}
