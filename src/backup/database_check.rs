//! Checks a database that was read back from an archive. It may be damaged, or made by somebody to
//! do damage.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::BackupError;
use crate::archive_reader::DatabaseCheck;
use crate::snapshot::{complaints, harden, inspect, open_copy};

/// Longest wait for a lock on a database that nobody else has open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Checks a database that is a single file. Returns its properties, or its damage as a sentence.
pub(crate) fn check_database(path: &Path) -> DatabaseCheck {
    let words = |error: rusqlite::Error| error.to_string();
    let connection = open_copy(path).map_err(|error| match error {
        BackupError::Database { source, .. } => source.to_string(),
        error => error.to_string(),
    })?;
    let complaints = complaints(&connection).map_err(words)?;
    if !complaints.is_empty() {
        return Err(format!("SQLite's integrity_check says: {}", complaints.join("; ")));
    }
    let info = inspect(&connection).map_err(words)?;
    // Only our own server enforces foreign keys; others may have rows that break them.
    if info.migration.is_some()
        && let Some((table, parent)) = orphan(&connection).map_err(words)?
    {
        return Err(format!("SQLite's foreign_key_check says: a row of {table} has none in {parent}"));
    }
    Ok(info)
}

/// Returns the first row that refers to one that does not exist, as its table and the other one.
fn orphan(connection: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| Ok((row.get(0)?, row.get(2)?))).transpose()
}

/// Merges what a server left beside a database, such as its write-ahead log, into it.
pub(crate) fn recover(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    harden(&connection)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}
