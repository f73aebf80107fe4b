//! A consistent copy of one SQLite database, also while a server writes to it.
//!
//! With a write-ahead log the copy is made in one read transaction, so no writer waits for it and
//! none can make it begin anew. Without one, writers wait for such a transaction, which is taken
//! only if the database is never at rest for long enough. This connection never checkpoints: two
//! that do so at once have corrupted databases.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::OFlags;

use crate::manifest::DatabaseInfo;
use crate::sidecars::hostile_sidecar;
use crate::tree::FileId;
use crate::work_limit::{explain, limit_work};
use crate::{BackupError, Progress};

/// First bytes of every SQLite database.
pub(crate) const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Longest wait for a database that is locked.
const PATIENCE: Duration = Duration::from_secs(60);
/// Interval between two attempts to read a locked database.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// Pages that are copied between two checks whether the job is to stop.
const PAGES_PER_STEP: i32 = 4096;
/// Pages that are copied while a writer waits.
const PAGES_PER_SHORT_STEP: i32 = 256;
/// Times that a database may be copied in short steps before writers have to wait.
const SHORT_STEPS_ROUNDS: i64 = 3;
/// Longest list of the problems of a damaged database.
const MAX_COMPLAINTS: usize = 3;

/// Returns true if `file` is an SQLite database by its first bytes, whatever its name.
pub(crate) fn is_database(file: &File) -> io::Result<bool> {
    let mut start = [0; MAGIC.len()];
    match file.read_exact_at(&mut start, 0) {
        Ok(()) => Ok(&start == MAGIC),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Copies the database `from` into a new file `to`. No component of either path may be a link.
/// Returns the identity of the new file, by which its reader recognizes it.
pub(crate) fn snapshot(from: &Path, to: &Path, progress: &Progress) -> Result<FileId, BackupError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match copy(from, to, progress) {
            Err(BackupError::Database { source, .. }) if is_locked(&source) => {
                if Instant::now() >= deadline {
                    return Err(BackupError::DatabaseBusy { path: from.to_owned(), seconds: PATIENCE.as_secs() });
                }
                progress.check()?;
                sleep(RETRY_DELAY);
            }
            result => return result,
        }
    }
}

fn is_locked(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn copy(from: &Path, to: &Path, progress: &Progress) -> Result<FileId, BackupError> {
    let unread = BackupError::database("copied", from);
    if let Some(problem) = hostile_sidecar(from) {
        return Err(BackupError::Sidecar { path: from.to_owned(), problem });
    }
    let source = open_source(from).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            BackupError::DatabaseDirectory { path: from.to_owned(), source: error }
        }
        _ => unread(error),
    })?;
    let copying = Copying { source: &source, from, to, progress };
    // Without a write-ahead log a reader keeps writers waiting, so it is first tried in short steps,
    // which begin anew whenever somebody wrote.
    let is_wal = uses_wal(&source).map_err(&unread)?;
    let mut copied = if is_wal { None } else { copying.run(PAGES_PER_SHORT_STEP, Some(SHORT_STEPS_ROUNDS))? };
    if copied.is_none() {
        begin(&source).map_err(&unread)?;
        copied = copying.run(PAGES_PER_STEP, None)?;
    }
    source.close().map_err(|(_, error)| unread(error))?;
    copied.ok_or_else(|| unread(locked()))
}

/// The copying of one database.
struct Copying<'a> {
    source: &'a Connection,
    from: &'a Path,
    to: &'a Path,
    progress: &'a Progress,
}

impl Copying<'_> {
    /// Copies all pages in steps of so many. Returns the identity of the copy; None once more were
    /// copied than so many rounds would take. Without `rounds` the source has to be in a read
    /// transaction, whose state the steps copy.
    fn run(&self, step: i32, rounds: Option<i64>) -> Result<Option<FileId>, BackupError> {
        let unread = BackupError::database("copied", self.from);
        let unwritten = BackupError::database("copied to the staging directory", self.to);
        let (mut target, id) = self.open_target()?;
        let total = pragma(self.source, "page_count").map_err(&unread)?;
        let page_size = pragma(self.source, "page_size").map_err(&unread)?;
        let backup = Backup::new(self.source, &mut target).map_err(&unread)?;
        let (mut left, mut copied) = (total, 0);
        loop {
            let result = backup.step(step).map_err(&unread)?;
            let now = i64::from(backup.progress().remaining);
            self.progress.add(u64::try_from((left - now) * page_size).unwrap_or(0))?;
            left = now;
            copied += i64::from(step);
            match result {
                StepResult::Done => break,
                _ if rounds.is_some_and(|rounds| copied > rounds * (total + i64::from(step))) => return Ok(None),
                StepResult::More => {}
                // A writer is at work.
                _ if rounds.is_some() => sleep(RETRY_DELAY),
                _ => return Err(unread(locked())),
            }
        }
        drop(backup);
        target.close().map_err(|(_, error)| unwritten(error))?;
        Ok(Some(id))
    }

    /// Opens an empty target. One that was given up is not what it was: it has no journal.
    fn open_target(&self) -> Result<(Connection, FileId), BackupError> {
        let id = create_file(self.to).map_err(BackupError::io("made", self.to))?;
        let unwritten = BackupError::database("copied to the staging directory", self.to);
        let flags =
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let target = Connection::open_with_flags(self.to, flags).map_err(&unwritten)?;
        // A copy that is not finished is thrown away, so nothing has to survive a crash.
        target
            .execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;")
            .map_err(&unwritten)?;
        Ok((target, id))
    }
}

/// Makes an empty file in place of what is there, even a link. Returns its identity.
fn create_file(path: &Path) -> io::Result<FileId> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let metadata = options.open(path)?.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

fn locked() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)
}

/// Opens a database. It is opened for writing, since without the
/// shared memory file next to it, which a server that is stopped leaves behind or not, a WAL
/// database cannot be read otherwise; nothing is written into the database itself.
fn open_source(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(1))?;
    harden(&connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    // Tells a file that is no database, and one that is locked.
    read_schema(&connection)?;
    Ok(connection)
}

/// Begins a read transaction.
fn begin(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.execute_batch("BEGIN")?;
    // It reads from its first statement on.
    read_schema(connection)
}

fn read_schema(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

fn uses_wal(connection: &Connection) -> Result<bool, rusqlite::Error> {
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    Ok(mode == "wal")
}

/// Distrusts what stands in the schema of a database, which may be an uploaded file.
pub(crate) fn harden(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // A row that breaks one is no damage.
    connection.pragma_update(None, "ignore_check_constraints", true)
}

/// Opens a copy that nobody else has open, without writing anything next to it. The work on it is
/// limited, and ends when `progress` tells to stop.
pub(crate) fn open_copy(copy: &Path, progress: Option<&Progress>) -> Result<Connection, BackupError> {
    let failed = BackupError::database("read back", copy);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_URI;
    // NOFOLLOW also refuses a link among the parents, where an administrator may have one.
    let whole = match (copy.parent().map(Path::canonicalize), copy.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => copy.to_owned(),
    };
    let connection = Connection::open_with_flags(immutable(&whole), flags).map_err(&failed)?;
    harden(&connection).map_err(&failed)?;
    let bytes = whole.metadata().map_err(BackupError::io("read back", copy))?.len();
    limit_work(&connection, bytes, progress).map_err(&failed)?;
    Ok(connection)
}

/// Returns the URI of a file that does not change.
fn immutable(path: &Path) -> String {
    use std::fmt::Write;
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => uri.push(char::from(*byte)),
            // Writing to a string does not fail.
            byte => drop(write!(uri, "%{byte:02x}")),
        }
    }
    uri + "?immutable=1"
}

/// Returns the properties of the copy of a database.
pub(crate) fn inspect(connection: &Connection) -> Result<DatabaseInfo, rusqlite::Error> {
    properties(connection).map_err(explain)
}

fn properties(connection: &Connection) -> Result<DatabaseInfo, rusqlite::Error> {
    let mut rows = BTreeMap::new();
    let mut migration = None;
    let mut tables = connection.prepare(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND name <> 'sqlite_schema'",
    )?;
    let names = tables.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for name in names {
        let quoted = name.replace('"', "\"\"");
        let count = connection.query_row(&format!("SELECT count(*) FROM main.\"{quoted}\""), [], |row| row.get(0))?;
        if name == "_sqlx_migrations" {
            migration = connection.query_row("SELECT max(version) FROM _sqlx_migrations", [], |row| row.get(0))?;
        }
        rows.insert(name, count);
    }
    let (user_version, page_count) = (pragma(connection, "user_version")?, pragma(connection, "page_count")?);
    Ok(DatabaseInfo { user_version, migration, page_count, rows })
}

fn pragma(connection: &Connection, name: &str) -> Result<i64, rusqlite::Error> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// Checks every page and index of a copy. Returns what SQLite complains about, at most a few
/// sentences; none if it is intact.
pub(crate) fn complaints(connection: &Connection) -> Result<Vec<String>, rusqlite::Error> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({MAX_COMPLAINTS})")).map_err(explain)?;
    let found = check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>().map_err(explain)?;
    Ok(if found == ["ok"] { Vec::new() } else { found })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sidecars::tests::hot_journal;
    use crate::work_limit::limit_instructions;

    fn copied(from: &Path, to: &Path) -> DatabaseInfo {
        snapshot(from, to, &Progress::silent()).unwrap();
        let connection = open_copy(to, None).unwrap();
        assert_eq!(complaints(&connection).unwrap(), Vec::<String>::new());
        inspect(&connection).unwrap()
    }

    #[test]
    fn snapshot_has_what_only_the_wal_holds() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("chat notes%.db"), directory.path().join("copy ?.db"));
        let server = Connection::open(&from).unwrap();
        server
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA user_version = 7;
                 CREATE TABLE t (a); CREATE VIEW v AS SELECT * FROM t; INSERT INTO t VALUES (1), (2);",
            )
            .unwrap();
        let before = std::fs::read(&from).unwrap();
        let info = copied(&from, &to);
        assert_eq!((info.user_version, info.rows.get("t"), info.rows.len()), (7, Some(&2), 1));
        assert_eq!(std::fs::read(&from).unwrap(), before, "the snapshot checkpointed");
        // As a killed server leaves it, and nobody else has it open.
        let left = directory.path().join("left.db");
        std::fs::copy(&from, &left).unwrap();
        std::fs::copy(directory.path().join("chat notes%.db-wal"), directory.path().join("left.db-wal")).unwrap();
        assert_eq!(copied(&left, &to), info);
        assert_eq!(std::fs::read(&left).unwrap(), before, "the snapshot checkpointed");
        drop(server);
    }

    #[test]
    fn search_index_finds_the_right_rows_in_a_snapshot() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a.db"), directory.path().join("b.db"));
        let server = Connection::open(&from).unwrap();
        // Without an explicit key a VACUUM renumbers the rows, and the index points to others.
        server
            .execute_batch(
                "PRAGMA journal_mode = WAL; CREATE TABLE chat (id TEXT PRIMARY KEY, text TEXT);
                 CREATE VIRTUAL TABLE found USING fts5(text, content = 'chat', content_rowid = 'rowid');
                 INSERT INTO chat VALUES ('1', 'apple'), ('2', 'pear'), ('3', 'plum');
                 INSERT INTO found (rowid, text) SELECT rowid, text FROM chat;
                 DELETE FROM chat WHERE id = '1'; INSERT INTO found (found, rowid, text) VALUES ('delete', 1, 'apple');",
            )
            .unwrap();
        copied(&from, &to);
        let question = "SELECT id FROM chat WHERE rowid IN (SELECT rowid FROM found WHERE found MATCH 'plum')";
        let id: String = open_copy(&to, None).unwrap().query_row(question, [], |row| row.get(0)).unwrap();
        assert_eq!(id, "3");
    }

    #[test]
    fn database_without_a_log_is_copied_between_and_during_writes() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a.db"), directory.path().join("b.db"));
        let server = Connection::open(&from).unwrap();
        server.busy_timeout(PATIENCE).unwrap();
        server
            .execute_batch(
                "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF;
                 CREATE TABLE one (a); CREATE TABLE two (a); CREATE TABLE filler AS SELECT randomblob(6000000) AS a;",
            )
            .unwrap();
        assert_eq!(copied(&from, &to).rows.get("one"), Some(&0));
        let is_done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let told = is_done.clone();
        let writer = std::thread::spawn(move || {
            while !told.load(std::sync::atomic::Ordering::Relaxed) {
                server.execute_batch("BEGIN; INSERT INTO one VALUES (1); INSERT INTO two VALUES (1); COMMIT").unwrap();
            }
        });
        for _ in 0..5 {
            let rows = copied(&from, &to).rows;
            assert_eq!(rows.get("one"), rows.get("two"));
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap();
    }

    #[test]
    fn link_in_place_of_a_copy_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let (from, to, elsewhere) = (place("a.db"), place("0.db"), place("elsewhere"));
        Connection::open(&from).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &to).unwrap();
        let id = snapshot(&from, &to, &Progress::silent()).unwrap();
        let metadata = to.symlink_metadata().unwrap();
        assert_eq!((metadata.is_file(), metadata.mode() & 0o777), (true, 0o600));
        assert_eq!((metadata.dev(), metadata.ino()), id);
        assert!(!elsewhere.exists());
        std::os::unix::fs::symlink(&to, place("link")).unwrap();
        assert!(open_copy(&place("link"), None).is_err());
    }

    #[test]
    fn database_with_a_hostile_file_beside_it_is_not_copied() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let (from, to, victim) = (place("a.db"), place("b.db"), place("victim"));
        std::fs::write(&victim, "kept").unwrap();
        hot_journal(&from, &victim);
        let error = snapshot(&from, &to, &Progress::silent()).unwrap_err();
        assert!(matches!(&error, BackupError::Sidecar { path, .. } if *path == from), "{error}");
        assert!(victim.exists() && !to.exists());
        std::fs::remove_file(place("a.db-journal")).unwrap();
        std::os::unix::fs::symlink(&victim, place("a.db-wal")).unwrap();
        let error = snapshot(&from, &to, &Progress::silent()).unwrap_err().to_string();
        assert!(error.contains("a.db-wal beside it is no regular file"), "{error}");
    }

    #[test]
    fn check_of_a_copy_takes_bounded_work() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch(
            "CREATE TABLE t (a CHECK (a < 0)); PRAGMA ignore_check_constraints = ON;
             WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) INSERT INTO t SELECT i FROM n;",
        )
        .unwrap();
        let copy = open_copy(&path, None).unwrap();
        assert_eq!(complaints(&copy).unwrap(), Vec::<String>::new());
        limit_instructions(&copy, 200_000, None).unwrap();
        let error = complaints(&copy).unwrap_err().to_string();
        assert!(error.contains("far more work"), "{error}");
        let progress = Progress::silent();
        let copy = open_copy(&path, Some(&progress)).unwrap();
        progress.stop();
        assert!(complaints(&copy).is_err());
        // A value that nobody stored.
        made.execute_batch("DELETE FROM t; INSERT INTO t VALUES (1); VACUUM;").unwrap();
        made.execute_batch("CREATE INDEX i ON t (length(hex(zeroblob(a * 40000000))))").unwrap();
        let error = complaints(&open_copy(&path, None).unwrap()).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::TooBig));
    }

    #[test]
    fn damaged_or_locked_database_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("a.db"), directory.path().join("b.db"));
        let mut content = MAGIC.to_vec();
        content.extend([7; 5000]);
        std::fs::write(&from, content).unwrap();
        assert!(is_database(&File::open(&from).unwrap()).unwrap());
        let error = snapshot(&from, &to, &Progress::silent()).unwrap_err().to_string();
        assert!(error.contains("a.db could not be copied"), "{error}");
        std::fs::remove_file(&from).unwrap();
        let holder = Connection::open(&from).unwrap();
        holder.execute_batch("CREATE TABLE t (a); BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)").unwrap();
        let progress = Progress::silent();
        let stopping = progress.clone();
        let stop = std::thread::spawn(move || {
            sleep(RETRY_DELAY);
            stopping.stop();
        });
        assert!(matches!(snapshot(&from, &to, &progress), Err(BackupError::Stopped)));
        stop.join().unwrap();
    }

    #[test]
    fn files_are_databases_by_their_first_bytes_only() {
        let directory = tempfile::tempdir().unwrap();
        for (content, expected) in [(&b""[..], false), (b"SQLite format", false), (b"SQLite format 3\0", true)] {
            let path = directory.path().join("any.name");
            std::fs::write(&path, content).unwrap();
            assert_eq!(is_database(&File::open(&path).unwrap()).unwrap(), expected);
        }
    }
}
