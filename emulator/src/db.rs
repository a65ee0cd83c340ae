//! The emulator's own state, on disk: one `SQLite` file for Lambda, ECS, logs and what S3 knows about its
//! objects, whose bytes are in files.
//!
//! **Invariant**: a response is sent only after the changes that it confirms are committed. A killed process loses nothing. A machine that
//! loses power may lose the most recent changes (`synchronous = NORMAL`), which is acceptable on a development machine.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The capacity of the cache of prepared statements: more than the code has, so that no statement is prepared twice.
const STATEMENTS: usize = 256;

/// How many pages of 4 KB the write-ahead log may have before they are written into the file. With `SQLite`'s default of 1,000, pages that
/// many small transactions change are written repeatedly.
const LOG_PAGES: u32 = 16_000;

/// The database. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Db(Arc<Mutex<Connection>>);

impl Db {
    /// Opens the file, creates it if it does not exist, and creates the tables of each `schema`.
    ///
    /// # Errors
    ///
    /// What `SQLite` says is wrong with the file.
    pub(crate) fn open(path: &Path, schemas: &[&str]) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        check(&connection)?;
        for schema in schemas {
            connection.execute_batch(schema)?;
        }
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` in a transaction, which is committed if `work` returns `Ok`, and rolled back otherwise. `work` must be short, because
    /// all other uses of the database wait for it.
    ///
    /// # Errors
    ///
    /// The error of `work`, or `SQLite`'s.
    pub(crate) fn transact<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // A panic in `work` dropped its transaction and so rolled it back: the connection can still be used.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

/// Refuses a damaged file, with which some calls would work and others would fail for no visible reason.
///
/// # Errors
///
/// The first damage that [`SQLite` finds](https://www.sqlite.org/pragma.html#pragma_quick_check).
pub(crate) fn check(connection: &Connection) -> rusqlite::Result<()> {
    let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let damaged = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(damaged, Some(format!("the database is damaged: {found}"))))
}
