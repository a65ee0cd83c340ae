//! Objects, multipart uploads and parts in `SQLite`. Their bytes are in files, which the rows name.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{checksum::Checksum, errors::S3Error, metadata::Metadata};

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
    let mut all = tx.prepare_cached("SELECT file FROM s3_objects")?;
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
