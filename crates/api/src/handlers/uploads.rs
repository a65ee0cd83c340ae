//! Uploading a file that is too large for a request.

use std::{collections::BTreeMap, time::Duration};

use axum::{Json, extract::State};
use contract::{catalog::Catalog, files};
use domain::{
    Digest, Execution, NotADigest, Unknown, Upload, UploadId, limits,
    upload::{Keep, needed_until},
};
use objects::{Put, Validity};
use runtime::clock;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::{
    answers::{
        problem::{Answers, Code, FieldError, Problem, answers},
        time::Time,
    },
    app::App,
    extract::{
        body::{Body, Described},
        caller::Caller,
        object::{self, Members},
        parameters::NoParameters,
    },
    random,
};

/// How long the URL for an upload is valid. An upload that has begun by then may finish later.
const VALID_FOR: Duration = Duration::from_hours(1);

/// A file to upload.
#[derive(Debug, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"bytes": 4, "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}))]
pub(crate) struct NewUpload {
    /// The size of the file, at most 5 GiB.
    #[schema(value_type = u64, minimum = 1, maximum = 5_368_709_120_u64, example = 4)]
    bytes: Option<u64>,
    /// The SHA-256 of the file, in hexadecimal digits, as `sha256sum` prints it.
    #[schema(value_type = String, pattern = "^[0-9A-Fa-f]{64}$",
        example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: Option<Digest>,
    /// How many days the file is kept, at least. It is kept for 35 days, which is the default, or for 400 days if you ask for more. An
    /// execution needs the file until 30 days after its deadline.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 400, example = 35)]
    keep_days: Option<Keep>,
}

impl Described for NewUpload {
    const EXAMPLE: &str = r#"{"bytes": …, "sha256": …}"#;

    fn read(body: &mut Members, errors: &mut Vec<FieldError>) -> Self {
        let mut body = std::mem::take(body);
        let no_object = !errors.is_empty() && body.is_empty();
        let (bytes, sha256) = (body.optional("bytes"), body.optional("sha256"));
        for (name, given) in [("bytes", &bytes), ("sha256", &sha256)] {
            if given.is_none() && !no_object && !body.misspells(&[name]) {
                errors.push(body.lacks(format!("`{name}`; it is required")));
            }
        }
        let bytes = bytes.and_then(|bytes| object::whole(&bytes, body.pointer("bytes"), errors));
        let sha256 = sha256.and_then(|text| {
            let at = body.pointer("sha256");
            let text: String = object::read(&text, at.clone(), "the SHA-256 of the file, as text", errors)?;
            let wrong = |why: NotADigest| FieldError { pointer: at, detail: why.to_string(), rule: "invalid-value" };
            text.parse().map_err(|why| errors.push(wrong(why))).ok()
        });
        let keep_days = body.optional("keepDays").and_then(|days| {
            let at = body.pointer("keepDays");
            let days = object::whole(&days, at.clone(), errors)?;
            let keep = Keep::at_least(days);
            if keep.is_none() {
                let detail = format!("must be between 1 and {}", Keep::Long.days());
                errors.push(FieldError { pointer: at, detail, rule: "keep-days-out-of-range" });
            }
            keep
        });
        body.finish(errors);
        Self { bytes, sha256, keep_days }
    }

    fn wrong(self, _: &Catalog, _: &[FieldError]) -> Vec<FieldError> {
        let wrong = self.bytes.filter(|bytes| !(1..=limits::FILE_BYTES).contains(bytes)).map(|_| FieldError {
            pointer: "/bytes".to_owned(),
            detail: format!("must be between 1 and {}", limits::FILE_BYTES),
            rule: "upload-size-out-of-range",
        });
        wrong.into_iter().collect()
    }
}

/// How to upload a file.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UploadTarget)]
pub(crate) struct UploadTarget {
    /// The id of the upload, for a request's `inputUpload`.
    #[schema(example = "35-9f86d081884c7d659a2feaa0c55ad015")]
    upload_id: String,
    /// The method of the request that uploads the file.
    #[schema(example = "PUT")]
    method: &'static str,
    /// Its URL. Anyone who has it can upload this file, and nothing else.
    #[schema(example = "https://s3.eu-west-1.amazonaws.com/…")]
    url: String,
    /// Its headers. The URL is signed for exactly these: S3 refuses a file with a different length or SHA-256.
    #[schema(example = json!({"content-length": "4", "x-amz-checksum-sha256": "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="}))]
    headers: BTreeMap<&'static str, String>,
    /// When the URL expires. The upload must have begun by then.
    #[schema(value_type = String, format = DateTime)]
    url_expires_at: Time,
    /// The earliest time at which the file is deleted.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// The errors of a body that is refused.
struct Refused;

impl IntoResponses for Refused {
    fn responses() -> Answers {
        answers(&[
            Code::InvalidJson,
            Code::IncompleteBody,
            Code::RequestTimeout,
            Code::UnsupportedContentEncoding,
            Code::UnsupportedMediaType,
            Code::InvalidParameter,
            Code::BodyTooLarge,
            Code::InvalidBody,
        ])
    }
}

/// Get a URL for uploading a file.
///
/// Upload the file with the method, URL and headers in the response. Then start an execution with the `uploadId` as its
/// `inputUpload`. One upload may be the input of many executions. Nothing is stored until the whole file has arrived.
#[utoipa::path(
    post, path = "/uploads", operation_id = "createUpload", tag = "uploads",
    request_body(content = NewUpload, description = "The size and the digest of the file"),
    responses(
        (status = 200, description = "How to upload the file", body = UploadTarget),
        Refused,
        NoParameters,
        Problem,
    ),
)]
pub(crate) async fn create_upload(
    State(app): State<App>,
    Caller(owner): Caller,
    _: NoParameters,
    Body(new): Body<NewUpload>,
) -> Result<Json<UploadTarget>, Problem> {
    let now = clock::now();
    let NewUpload { bytes: Some(bytes), sha256: Some(sha256), keep_days } = new else {
        return Err(Problem::invalid_body(Vec::new()));
    };
    let wrong = NewUpload { bytes: Some(bytes), ..new }.wrong(&app.catalog, &[]);
    if !wrong.is_empty() {
        return Err(Problem::invalid_body(wrong));
    }
    let id = UploadId::new(keep_days.unwrap_or_default(), random::bytes().map_err(|why| Problem::inside(&why))?);
    let (put, valid) = (Put { bytes, sha256 }, Validity { from: now, lasts: VALID_FOR });
    let presigner = app.objects.presigner("s3:PutObject").await?;
    let url = presigner.put(&files::upload_key(&owner, &id), &put, valid)?;
    Ok(Json(UploadTarget {
        method: "PUT",
        url,
        headers: put.headers().into(),
        url_expires_at: now.checked_add(VALID_FOR).unwrap_or(now).into(),
        expires_at: id.kept_until(now).into(),
        upload_id: id.to_string(),
    }))
}

/// The upload with this id, for an execution that would be accepted; or what is wrong with it. Only uploads of the execution's
/// owner are found.
///
/// # Errors
///
/// If S3 did not answer or refused the call.
pub(crate) async fn find(
    app: &App,
    execution: &Execution,
    id: &str,
) -> Result<Result<Option<Upload>, FieldError>, Problem> {
    let wrong = |rule, detail: String| Ok(Err(FieldError { pointer: "/inputUpload".to_owned(), detail, rule }));
    let id: UploadId = match id.parse() {
        Ok(id) => id,
        Err(why) => return wrong("invalid-value", why.to_string()),
    };
    let found = app.objects.head(&files::upload_key(&execution.owner, &id)).await?;
    let Some((found, sha256)) = found.and_then(|found| found.sha256.map(|sha256| (found, sha256))) else {
        let detail =
            "no such upload: its file has not completely arrived, has expired, or never existed; upload the file first";
        return wrong("upload-not-found", detail.to_owned());
    };
    let (until, needed) = (id.kept_until(found.modified), needed_until(execution.deadline));
    if until < needed {
        let detail = format!(
            "is kept until {until}, but the execution may need it until {needed}, 30 days after its deadline; upload the file \
             with \"keepDays\": {}, or set an earlier start or a shorter timeout",
            Keep::Long.days()
        );
        return wrong("upload-expires", detail);
    }
    Ok(Ok(Some(Upload { id, bytes: found.bytes, sha256, unknown: Unknown::default() })))
}
