//! The files that a server may have beside a database: its journal, its write-ahead log and the
//! memory that its readers share. Anybody who may write there can make them.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Suffixes of the files next to a database. Its snapshot includes their content.
pub(crate) const SIDECARS: [&str; 3] = ["-wal", "-shm", JOURNAL];
const JOURNAL: &str = "-journal";
/// Last bytes of a rollback journal that names a super-journal, a file that SQLite deletes after the
/// rollback. See `readSuperJournal` in SQLite's `pager.c`.
const SUPER_JOURNAL: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// Returns the paths of what a server may have beside a database.
pub(crate) fn sidecars(database: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let database = OsString::from(database);
    SIDECARS.iter().map(move |end| {
        let mut name = database.clone();
        name.push(end);
        PathBuf::from(name)
    })
}

/// Returns what forbids to open a database for writing, as a sentence without an end: SQLite waits
/// for ever on a pipe beside it, and a journal that somebody made can name any file to be deleted.
pub(crate) fn hostile_sidecar(database: &Path) -> Option<String> {
    sidecars(database).find_map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match path.symlink_metadata() {
            Ok(metadata) if !metadata.is_file() => return Some(format!("{name} beside it is no regular file")),
            Ok(_) => {}
            Err(_) => return None,
        }
        if !name.ends_with(JOURNAL) {
            return None;
        }
        match names_super_journal(&path) {
            Ok(false) => None,
            Ok(true) => Some(format!("{name} beside it names another file for SQLite to delete")),
            // Removed by its server meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("{name} beside it cannot be read ({error})")),
        }
    })
}

fn names_super_journal(journal: &Path) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(journal)?;
    let mut end = [0; SUPER_JOURNAL.len()];
    let Some(offset) = file.metadata()?.len().checked_sub(end.len() as u64) else { return Ok(false) };
    match file.read_exact_at(&mut end, offset) {
        Ok(()) => Ok(end == SUPER_JOURNAL),
        // Cut off by its server meanwhile.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use rusqlite::Connection;

    use super::*;

    /// Makes a database with a hot journal that names `victim` as its super-journal.
    pub(crate) fn hot_journal(database: &Path, victim: &Path) {
        use std::os::unix::ffi::OsStrExt;
        let live = Connection::open(database).unwrap();
        live.execute_batch(
            "PRAGMA cache_size = 1; CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(100000));
             BEGIN; UPDATE t SET a = randomblob(100000);",
        )
        .unwrap();
        let mut journal = std::fs::read(database.with_extension("db-journal")).unwrap();
        let name = victim.as_os_str().as_bytes();
        let sum = name.iter().fold(0_u32, |sum, byte| sum.wrapping_add_signed(i32::from(byte.cast_signed())));
        // The page number of the lock byte, the name, its length and its sum.
        journal.extend(((1_u32 << 30) / 4096 + 1).to_be_bytes());
        journal.extend(name);
        journal.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
        journal.extend(sum.to_be_bytes());
        journal.extend(SUPER_JOURNAL);
        let content = std::fs::read(database).unwrap();
        drop(live);
        std::fs::write(database, content).unwrap();
        std::fs::write(database.with_extension("db-journal"), journal).unwrap();
    }
}
