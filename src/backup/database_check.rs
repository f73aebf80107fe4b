//! Checks a database that was read back from an archive. It may be damaged, or made by somebody to
//! do damage.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::BackupError;
use crate::archive_reader::DatabaseCheck;
use crate::sidecars::hostile_sidecar;
use crate::snapshot::{complaints, harden, inspect, open_copy};
use crate::work_limit::explain;

/// Longest wait for a lock on a database that nobody else has open.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Checks a database that is a single file. Returns its properties, or its damage as a sentence.
pub(crate) fn check_database(path: &Path) -> DatabaseCheck {
    let words = |error: rusqlite::Error| explain(error).to_string();
    let connection = open_copy(path, None).map_err(|error| match error {
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
/// Fails with a sentence, also where a file beside it would make SQLite wait or delete other files.
pub(crate) fn recover(path: &Path) -> Result<(), String> {
    match hostile_sidecar(path) {
        Some(problem) => Err(format!("{problem}; make the archive again while the server is stopped")),
        None => merge(path).map_err(|error| error.to_string()),
    }
}

fn merge(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    harden(&connection)?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;
    use crate::sidecars::tests::hot_journal;

    #[test]
    fn database_with_a_hostile_file_beside_it_is_not_recovered() {
        let directory = tempfile::tempdir().unwrap();
        let (database, victim) = (directory.path().join("a.db"), directory.path().join("victim"));
        std::fs::write(&victim, "kept").unwrap();
        hot_journal(&database, &victim);
        let refused = recover(&database).unwrap_err();
        assert!(refused.contains("a.db-journal beside it names another file"), "{refused}");
        assert!(victim.exists());
        // SQLite itself does as the journal says.
        merge(&database).unwrap();
        assert!(!victim.exists());
        recover(&database).unwrap();
        for name in ["a.db-journal", "a.db-wal", "a.db-shm"] {
            let path = directory.path().join(name);
            mkfifoat(CWD, &path, Mode::RWXU).unwrap();
            let refused = recover(&database).unwrap_err();
            assert!(refused.contains(&format!("{name} beside it is no regular file")), "{refused}");
            std::fs::remove_file(path).unwrap();
        }
    }
}
