//! The local stack's own state, on disk: one `SQLite` file for Lambda, ECS and logs.
//!
//! **Invariant**: an answer is given only after what it says is committed. A killed process loses nothing; a machine that
//! loses power may lose the last moments (`synchronous = NORMAL`), which a development machine can bear.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// Statements that are kept prepared: more than there are, since each is used again and again.
const STATEMENTS: usize = 256;

/// Pages of 4 KB that the log may have before they are written into the file: with `SQLite`'s own 1,000, what many small
/// transactions change is written again and again.
const LOG_PAGES: u32 = 16_000;

/// The database. Clones share it.
#[derive(Debug, Clone)]
pub struct Db(Arc<Mutex<Connection>>);

impl Db {
    /// Opens the file, makes it if it is not there, and brings the tables of each `schema` into it.
    ///
    /// # Errors
    ///
    /// What `SQLite` says is wrong with the file.
    pub fn open(path: &Path, schemas: &[&str]) -> rusqlite::Result<Self> {
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

    /// Runs `work` in a transaction: committed if it is `Ok`, undone if not. It must be short: everything waits for it.
    ///
    /// # Errors
    ///
    /// The error of `work`, or `SQLite`'s.
    pub fn transact<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        // A panic in `work` dropped its transaction, which undid it: the connection is as good as before.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}

/// Refuses a damaged file: with one, some calls would work and others fail for no visible reason.
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
