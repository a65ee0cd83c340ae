//! `Idempotency-Key`: the header that makes a start safe to repeat.

use axum::{
    extract::OptionalFromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};
use domain::{BatchId, ExecutionId, Owner, limits};

use crate::answers::problem::{Code, Problem};

/// The header's name.
pub(crate) const NAME: HeaderName = HeaderName::from_static("idempotency-key");

/// A request's key. It is the caller's own text, so it is never logged, and has no `Debug`.
pub(crate) struct IdempotencyKey(String);

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        read(&parts.headers)
    }
}

impl IdempotencyKey {
    /// The id of the execution that this owner's requests with this key start.
    pub(crate) fn execution_id(&self, owner: &Owner) -> ExecutionId {
        ExecutionId::for_key(owner, &self.0)
    }

    /// The id of the batch that this owner's requests with this key start.
    pub(crate) fn batch_id(&self, owner: &Owner) -> BatchId {
        BatchId::for_key(owner, &self.0)
    }
}

fn read(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let wrong = |why: String| Problem::new(Code::InvalidHeader, format!("Idempotency-Key {why}"));
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(wrong("must be given once".into()));
    }
    let key = value.to_str().map_err(|_| wrong("must be printable ASCII".into()))?;
    if !(1..=limits::IDEMPOTENCY_KEY_CHARS).contains(&key.len()) {
        return Err(wrong(format!("must have 1 to {} characters", limits::IDEMPOTENCY_KEY_CHARS)));
    }
    Ok(Some(IdempotencyKey(key.to_owned())))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_key_is_given_once_and_has_1_to_255_printable_characters() {
        let read = |values: &[&[u8]]| {
            let values = values.iter().map(|value| (NAME, HeaderValue::from_bytes(value).unwrap()));
            let key = read(&values.collect()).map_err(|problem| serde_json::to_value(problem.body("r")).unwrap());
            key.map(|key| key.map(|key| key.0)).map_err(|body| body["detail"].as_str().unwrap().to_owned())
        };
        let longest = "k".repeat(255);
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[b"order-17"]), Ok(Some("order-17".to_owned())));
        assert_eq!(read(&[longest.as_bytes()]), Ok(Some(longest.clone())));
        for (values, why) in [
            (&[&b"a"[..], b"b"][..], "must be given once"),
            (&[b"a", b"a"], "must be given once"),
            (&[b""], "must have 1 to 255 characters"),
            (&["k".repeat(256).as_bytes()], "must have 1 to 255 characters"),
            (&["ä".as_bytes()], "must be printable ASCII"),
        ] {
            assert_eq!(read(values), Err(format!("Idempotency-Key {why}")));
        }
    }
}
