//! Buckets, which are declared in the resources, and the operations on them.

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    S3,
    answers::{self, Buckets, ListAllMyBucketsResult, LocationConstraint, Namespace, OWNER, Time},
    errors::{Code, Details, S3Error},
    target::Target,
    xml,
};
use crate::identity::REGION;

/// A bucket of S3.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Its lifecycle rules, as `aws s3api put-bucket-lifecycle-configuration` takes them. Without them, those that a client has set remain.
    #[serde(default)]
    pub lifecycle_configuration: Option<Value>,
}

/// Refuses names that S3 does not allow, of which the most common rules are checked
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
///
/// # Errors
///
/// Which name, and what is allowed.
pub(super) fn check(buckets: &[Bucket]) -> Result<(), String> {
    for Bucket { name, .. } in buckets {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (3..=63).contains(&name.len()) && name.chars().all(allowed);
        if !fits || !name.starts_with(ends) || !name.ends_with(ends) || name.contains("..") {
            return Err(format!(
                "the bucket name `{name}` is not valid; it must have 3 to 63 lower-case letters, digits, dots and hyphens, \
                 and begin and end with a letter or digit"
            ));
        }
    }
    Ok(())
}

impl S3 {
    /// The bucket that a request names.
    ///
    /// # Errors
    ///
    /// `NoSuchBucket`.
    pub(super) fn bucket(&self, target: &Target) -> Result<&Bucket, S3Error> {
        let name = target.bucket.as_deref().unwrap_or_default();
        self.named(name)
    }

    /// The bucket with this name.
    ///
    /// # Errors
    ///
    /// `NoSuchBucket`.
    pub(super) fn named(&self, name: &str) -> Result<&Bucket, S3Error> {
        self.buckets.iter().find(|bucket| bucket.name == name).ok_or_else(|| {
            let details = Details { bucket_name: Some(name.to_owned()), ..Details::default() };
            S3Error::new(Code::NoSuchBucket).with(details)
        })
    }

    pub(super) fn list_buckets(&self) -> Result<Response, S3Error> {
        let mut names: Vec<_> = self.buckets.iter().map(|bucket| bucket.name.clone()).collect();
        names.sort();
        let all = names.into_iter().map(|name| answers::Bucket { name, creation_date: Time(self.started) });
        let buckets = Buckets { all: all.collect() };
        xml::respond("ListAllMyBucketsResult", &ListAllMyBucketsResult { xmlns: Namespace, owner: OWNER, buckets })
    }

    pub(super) fn head_bucket(&self, target: &Target) -> Result<Response, S3Error> {
        self.bucket(target)?;
        Ok((StatusCode::OK, [("x-amz-bucket-region", REGION)]).into_response())
    }

    pub(super) fn get_bucket_location(&self, target: &Target) -> Result<Response, S3Error> {
        self.bucket(target)?;
        xml::respond("LocationConstraint", &LocationConstraint { xmlns: Namespace })
    }
}
