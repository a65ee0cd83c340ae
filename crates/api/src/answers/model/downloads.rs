//! The files of an execution, with download URLs.

use std::time::Duration;

use contract::files;
use domain::{Artifact, Artifacts, Execution, State, Upload};
use jiff::Timestamp;
use objects::{Presigner, Validity};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;

/// How long the URLs stay the same, in seconds. A response that is repeated within this time is the same, so a client may cache it.
const SAME_FOR: i64 = 30 * 60;

/// How long URLs are valid: at least an hour after the response that contains them.
const VALID_FOR: Duration = Duration::from_mins(90);

/// An output file of a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Artifact)]
pub(crate) struct ArtifactView {
    /// Its path below the directory that `EXECUTION_OUTPUT_DIR` names.
    #[schema(example = "report.csv")]
    name: String,
    /// Its size.
    #[schema(example = 1_048_576)]
    bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: String,
    /// A presigned URL to download it, with `GET` and without authentication. It is valid for at least an hour; get the execution again
    /// for a new one. Absent while URLs cannot be signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://s3.eu-west-1.amazonaws.com/…")]
    url: Option<String>,
}

/// An upload that is an execution's input.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InputUpload)]
pub(crate) struct UploadView {
    /// Its id.
    #[schema(example = "35-9f86d081884c7d659a2feaa0c55ad015")]
    upload_id: String,
    /// Its size.
    #[schema(example = 1_048_576)]
    bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: String,
    /// A presigned URL to download it, like that of an artifact.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://s3.eu-west-1.amazonaws.com/…")]
    url: Option<String>,
}

impl UploadView {
    /// An upload without a URL.
    pub(crate) fn of(upload: &Upload) -> Self {
        let Upload { id, bytes, sha256, unknown: _ } = upload;
        Self { upload_id: id.to_string(), bytes: *bytes, sha256: sha256.to_string(), url: None }
    }
}

/// Signs the URLs of an execution's files, if it has any.
pub(crate) struct Urls(Option<(Presigner, Validity)>);

/// When URLs in a response at `now` are valid.
pub(crate) fn valid(now: Timestamp) -> Validity {
    let from = Timestamp::from_second(now.as_second() - now.as_second().rem_euclid(SAME_FOR)).unwrap_or(now);
    Validity { from, lasts: VALID_FOR }
}

/// Whether an execution has files with URLs.
pub(crate) fn has_any(execution: &Execution) -> bool {
    execution.request.input_upload.is_some() || artifacts(execution).is_some()
}

fn artifacts(execution: &Execution) -> Option<&Artifacts> {
    match &execution.state {
        State::Final { outcome, .. } => outcome.artifacts.as_deref(),
        State::Scheduled { .. } | State::Pending | State::Running { .. } | State::Cancelling { .. } => None,
    }
}

impl Urls {
    pub(crate) async fn of(app: &App, execution: &Execution, now: Timestamp) -> Self {
        if !has_any(execution) {
            return Self(None);
        }
        // An execution that was accepted must be shown even if its URLs cannot be signed.
        let signing = app.objects.presigner("s3:GetObject").await.inspect_err(|failed| {
            tracing::error!(executionId = %execution.id, error = %aws::with_causes(failed), "cannot presign URLs");
        });
        Self(signing.ok().map(|presigner| (presigner, valid(now))))
    }

    fn url(&self, key: &str, name: &str) -> Option<String> {
        let (presigner, valid) = self.0.as_ref()?;
        presigner.download(key, name, *valid).ok()
    }

    pub(super) fn upload(&self, execution: &Execution) -> Option<UploadView> {
        let upload = execution.request.input_upload.as_ref()?;
        let key = files::upload_key(&execution.owner, &upload.id);
        Some(UploadView { url: self.url(&key, &upload.id.to_string()), ..UploadView::of(upload) })
    }

    pub(super) fn artifacts(&self, execution: &Execution) -> Vec<ArtifactView> {
        let Some((artifacts, outputs)) = artifacts(execution).zip(files::outputs_of(execution)) else {
            return Vec::new();
        };
        let view = |file: &Artifact| {
            let Artifact { name, bytes, sha256, unknown: _ } = file;
            let own = name.rsplit('/').next().unwrap_or(name);
            let key = files::artifact_key(&outputs, &artifacts.place, name);
            ArtifactView { name: name.clone(), bytes: *bytes, sha256: sha256.to_string(), url: self.url(&key, own) }
        };
        artifacts.files.iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_stay_the_same_for_half_an_hour_and_are_valid_for_an_hour_after_that() {
        let at = |text: &str| valid(text.parse().unwrap());
        let first = at("2026-01-01T10:00:00Z");
        assert_eq!((first, at("2026-01-01T10:29:59.9Z")), (first, first));
        let last = first.from.checked_add(first.lasts).unwrap();
        assert_eq!(last, "2026-01-01T11:30:00Z".parse().unwrap());
        assert_ne!(at("2026-01-01T10:30:00Z"), first);
    }
}
