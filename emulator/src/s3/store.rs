//! Objects, multipart uploads and parts in `SQLite`. Their bytes are in files, which the rows name.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{checksum::Checksum, errors::S3Error, lifecycle::Lifecycle, metadata::Metadata, multipart::Checked};

/// The tables. Keys are compared byte by byte, which is the order in which S3 lists them.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS s3_objects (
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS s3_uploads (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    checked TEXT NOT NULL,
    metadata TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS s3_parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    file TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS s3_lifecycles (
    bucket TEXT PRIMARY KEY,
    rules TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// An object as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) key: String,
    /// The name of the file with its bytes.
    pub(super) file: String,
    pub(super) size: u64,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    pub(super) checksum: Checksum,
    pub(super) metadata: Metadata,
}

/// The names of all files that a row names.
pub(super) fn files(tx: &Transaction<'_>) -> Result<BTreeSet<String>, S3Error> {
    let mut all = tx.prepare_cached("SELECT file FROM s3_objects UNION ALL SELECT file FROM s3_parts")?;
    let rows = all.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Makes an object visible, in place of the one with the same key. Returns the file of that one, which is not named any more.
pub(super) fn put_object(tx: &Transaction<'_>, bucket: &str, object: &Object) -> Result<Option<String>, S3Error> {
    let before = delete_object(tx, bucket, &object.key)?;
    let sql = "INSERT INTO s3_objects (bucket, key, file, size, etag, modified_ms, checksum, metadata)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    tx.prepare_cached(sql)?.execute(params![
        bucket,
        object.key,
        object.file,
        object.size,
        object.etag,
        object.modified.as_millisecond(),
        serde_json::to_string(&object.checksum)?,
        serde_json::to_string(&object.metadata)?,
    ])?;
    Ok(before)
}

/// Deletes an object. Returns its file, which is not named any more.
pub(super) fn delete_object(tx: &Transaction<'_>, bucket: &str, key: &str) -> Result<Option<String>, S3Error> {
    let sql = "DELETE FROM s3_objects WHERE bucket = ?1 AND key = ?2 RETURNING file";
    Ok(tx.prepare_cached(sql)?.query_row([bucket, key], |row| row.get(0)).optional()?)
}

/// A range of keys: the first one, and the one after the last, if there is one.
pub(super) type Keys<'a> = (&'a str, Option<&'a str>);

/// Deletes the objects with these keys that were modified before a time. Returns their files, which are not named any more.
pub(super) fn delete_objects_before(
    tx: &Transaction<'_>,
    bucket: &str,
    (from, to): Keys<'_>,
    before: Timestamp,
) -> Result<Vec<String>, S3Error> {
    let sql = "DELETE FROM s3_objects
        WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) AND modified_ms < ?4 RETURNING file";
    let mut deleted = tx.prepare_cached(sql)?;
    let rows = deleted.query_map(params![bucket, from, to, before.as_millisecond()], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

const COLUMNS: &str = "key, file, size, etag, modified_ms, checksum, metadata";

/// An object.
pub(super) fn object(tx: &Transaction<'_>, bucket: &str, key: &str) -> Result<Option<Object>, S3Error> {
    let sql = format!("SELECT {COLUMNS} FROM s3_objects WHERE bucket = ?1 AND key = ?2");
    Ok(tx.prepare_cached(&sql)?.query_row([bucket, key], read_object).optional()?)
}

/// Up to `limit` objects whose keys are at least `from` and before `to`, in order.
pub(super) fn objects(
    tx: &Transaction<'_>,
    bucket: &str,
    from: &str,
    to: Option<&str>,
    limit: usize,
) -> Result<Vec<Object>, S3Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM s3_objects
         WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) ORDER BY key LIMIT ?4"
    );
    let mut found = tx.prepare_cached(&sql)?;
    let rows = found.query_map(params![bucket, from, to, limit], read_object)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read_object(row: &Row<'_>) -> rusqlite::Result<Object> {
    Ok(Object {
        key: row.get(0)?,
        file: row.get(1)?,
        size: row.get(2)?,
        etag: row.get(3)?,
        modified: time(row, 4)?,
        checksum: json(row, 5)?,
        metadata: json(row, 6)?,
    })
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let unreadable = |why: jiff::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Integer, Box::new(why))
    };
    Timestamp::from_millisecond(row.get(column)?).map_err(unreadable)
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    let unreadable = |why: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(why))
    };
    serde_json::from_str(&text).map_err(unreadable)
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) started: Timestamp,
    pub(super) checked: Checked,
    pub(super) metadata: Metadata,
}

/// A part of a multipart upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: u32,
    /// The name of the file with its bytes.
    pub(super) file: String,
    pub(super) size: u64,
    /// Without quotes.
    pub(super) etag: String,
    pub(super) modified: Timestamp,
    /// With the algorithm of the upload, in base64.
    pub(super) checksum: String,
}

/// Adds an upload.
pub(super) fn put_upload(tx: &Transaction<'_>, bucket: &str, upload: &Upload) -> Result<(), S3Error> {
    let sql = "INSERT INTO s3_uploads (id, bucket, key, started_ms, checked, metadata) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    tx.prepare_cached(sql)?.execute(params![
        upload.id,
        bucket,
        upload.key,
        upload.started.as_millisecond(),
        serde_json::to_string(&upload.checked)?,
        serde_json::to_string(&upload.metadata)?,
    ])?;
    Ok(())
}

const UPLOAD_COLUMNS: &str = "id, key, started_ms, checked, metadata";

/// An upload, and its bucket.
pub(super) fn upload(tx: &Transaction<'_>, id: &str) -> Result<Option<(String, Upload)>, S3Error> {
    let sql = format!("SELECT {UPLOAD_COLUMNS}, bucket FROM s3_uploads WHERE id = ?1");
    let read = |row: &Row<'_>| Ok((row.get(5)?, read_upload(row)?));
    Ok(tx.prepare_cached(&sql)?.query_row([id], read).optional()?)
}

/// The uploads to a bucket, by key.
pub(super) fn uploads(tx: &Transaction<'_>, bucket: &str) -> Result<Vec<Upload>, S3Error> {
    let sql = format!("SELECT {UPLOAD_COLUMNS} FROM s3_uploads WHERE bucket = ?1 ORDER BY key, id");
    let mut all = tx.prepare_cached(&sql)?;
    let rows = all.query_map([bucket], read_upload)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes an upload and its parts. Returns their files, which are not named any more.
pub(super) fn delete_upload(tx: &Transaction<'_>, id: &str) -> Result<Vec<String>, S3Error> {
    tx.prepare_cached("DELETE FROM s3_uploads WHERE id = ?1")?.execute([id])?;
    let mut parts = tx.prepare_cached("DELETE FROM s3_parts WHERE upload = ?1 RETURNING file")?;
    let rows = parts.query_map([id], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Deletes the uploads to these keys that were started before a time. Returns the files of their parts, which are not named any more.
pub(super) fn delete_uploads_before(
    tx: &Transaction<'_>,
    bucket: &str,
    (from, to): Keys<'_>,
    before: Timestamp,
) -> Result<Vec<String>, S3Error> {
    let sql = "SELECT id FROM s3_uploads
        WHERE bucket = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) AND started_ms < ?4";
    let mut found = tx.prepare_cached(sql)?;
    let rows = found.query_map(params![bucket, from, to, before.as_millisecond()], |row| row.get::<_, String>(0))?;
    let mut files = Vec::new();
    for id in rows.collect::<Result<Vec<_>, _>>()? {
        files.extend(delete_upload(tx, &id)?);
    }
    Ok(files)
}

/// The lifecycle rules of all buckets that have any.
pub(super) fn lifecycles(tx: &Transaction<'_>) -> Result<BTreeMap<String, Lifecycle>, S3Error> {
    let mut all = tx.prepare_cached("SELECT bucket, rules FROM s3_lifecycles")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, json(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Sets the lifecycle rules of a bucket.
pub(super) fn put_lifecycle(tx: &Transaction<'_>, bucket: &str, rules: &Lifecycle) -> Result<(), S3Error> {
    let sql = "INSERT OR REPLACE INTO s3_lifecycles (bucket, rules) VALUES (?1, ?2)";
    tx.prepare_cached(sql)?.execute([bucket, &serde_json::to_string(rules)?])?;
    Ok(())
}

/// Removes the lifecycle rules of a bucket.
pub(super) fn delete_lifecycle(tx: &Transaction<'_>, bucket: &str) -> Result<(), S3Error> {
    tx.prepare_cached("DELETE FROM s3_lifecycles WHERE bucket = ?1")?.execute([bucket])?;
    Ok(())
}

/// Adds a part, in place of the one with the same number. Returns the file of that one, which is not named any more.
pub(super) fn put_part(tx: &Transaction<'_>, upload: &str, part: &Part) -> Result<Option<String>, S3Error> {
    let sql = "DELETE FROM s3_parts WHERE upload = ?1 AND number = ?2 RETURNING file";
    let before = tx.prepare_cached(sql)?.query_row(params![upload, part.number], |row| row.get(0)).optional()?;
    let sql = "INSERT INTO s3_parts (upload, number, file, size, etag, modified_ms, checksum)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    tx.prepare_cached(sql)?.execute(params![
        upload,
        part.number,
        part.file,
        part.size,
        part.etag,
        part.modified.as_millisecond(),
        part.checksum,
    ])?;
    Ok(before)
}

/// The parts of an upload, by number.
pub(super) fn parts(tx: &Transaction<'_>, upload: &str) -> Result<Vec<Part>, S3Error> {
    let sql = "SELECT number, file, size, etag, modified_ms, checksum FROM s3_parts WHERE upload = ?1 ORDER BY number";
    let mut all = tx.prepare_cached(sql)?;
    let rows = all.query_map([upload], |row| {
        Ok(Part {
            number: row.get(0)?,
            file: row.get(1)?,
            size: row.get(2)?,
            etag: row.get(3)?,
            modified: time(row, 4)?,
            checksum: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn read_upload(row: &Row<'_>) -> rusqlite::Result<Upload> {
    Ok(Upload {
        id: row.get(0)?,
        key: row.get(1)?,
        started: time(row, 2)?,
        checked: json(row, 3)?,
        metadata: json(row, 4)?,
    })
}
