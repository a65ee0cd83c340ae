//! `DeleteObject` and `DeleteObjects`. Deleting a key that does not exist succeeds.

use axum::{
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{
    Asked, S3,
    answers::{DeleteResult, Deleted, Namespace},
    body, conditions,
    errors::{Code, S3Error},
    put::key,
    request::Delete,
    store, xml,
};

/// The maximum number of keys in one request (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>).
const MAX_KEYS: usize = 1_000;

impl S3 {
    pub(super) async fn delete_object(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let key = key(&asked.target)?;
        let deleted = move |s3: &Self| {
            s3.db.transact(|tx| {
                if asked.headers.contains_key("if-match") {
                    conditions::check_write(&asked.headers, store::object(tx, &bucket, &key)?.as_ref())?;
                }
                store::delete_object(tx, &bucket, &key)
            })
        };
        let file = self.blocking(deleted).await?;
        self.remove_files(file).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    }

    pub(super) async fn delete_objects(&self, asked: Asked) -> Result<Response, S3Error> {
        let bucket = self.bucket(&asked.target)?.name.clone();
        let delete: Delete = xml::read(&body(asked).await?)?;
        if !(1..=MAX_KEYS).contains(&delete.objects.len()) {
            return Err(S3Error::new(Code::MalformedXML));
        }
        let keys: Vec<_> = delete.objects.into_iter().map(|object| object.key).collect();
        let doomed = keys.clone();
        let deleted = move |s3: &Self| {
            s3.db.transact(|tx| {
                let mut files = Vec::new();
                for key in &doomed {
                    files.extend(store::delete_object(tx, &bucket, key)?);
                }
                Ok::<_, S3Error>(files)
            })
        };
        let files = self.blocking(deleted).await?;
        self.remove_files(files).await?;
        let told = keys.into_iter().filter(|_| !delete.quiet).map(|key| Deleted { key });
        xml::respond("DeleteResult", &DeleteResult { xmlns: Namespace, deleted: told.collect() })
    }

    /// Removes files that no row names any more.
    pub(super) async fn remove_files(
        &self,
        files: impl IntoIterator<Item = String> + Send + 'static,
    ) -> Result<(), S3Error> {
        let remove = move |s3: &Self| {
            files.into_iter().for_each(|file| s3.files.remove(&file));
            Ok(())
        };
        self.blocking(remove).await
    }
}
