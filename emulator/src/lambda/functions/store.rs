//! Reads and writes functions in the database.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::registered::Registered;
use crate::lambda::json;

pub(super) fn all(tx: &Transaction<'_>) -> rusqlite::Result<BTreeMap<String, Registered>> {
    let mut read = tx.prepare_cached("SELECT name, body FROM lambda_functions")?;
    let rows = read.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| row.and_then(|(name, body)| Ok((name, json::read(&body)?)))).collect()
}

pub(super) fn save(tx: &Transaction<'_>, function: &Registered) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO lambda_functions (name, body) VALUES (?1, ?2)";
    tx.prepare_cached(sql)?.execute(params![function.name, json::write(function)?])?;
    Ok(())
}

pub(super) fn delete(tx: &Transaction<'_>, name: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM lambda_functions WHERE name = ?1")?.execute([name])?;
    Ok(())
}
