//! The lock on the data directory, so that two servers never open one database.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use mai_contract::{LockError, LockFile, files};
use rustix::fs::OFlags;

use super::ServeError;

/// What SQLite needs beside the database before it writes anything, and a little more.
const ROOM: usize = 128 * 1024;

/// Held for the life of the process; the system drops the lock when it ends, however it ends.
#[derive(Debug)]
pub(super) struct DataDirectoryLock {
    _lock: LockFile,
}

impl DataDirectoryLock {
    /// Makes the directory when it isn't there and takes `.mai.lock` in it.
    pub(super) fn acquire(directory: &Path) -> Result<Self, ServeError> {
        let not_writable = |source| ServeError::DataDirectoryNotWritable { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(not_writable)?;
        let pid = std::process::id().to_string();
        match LockFile::acquire(&directory.join(files::LOCK), 0o666, &pid) {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(LockError::Locked { holder }) => {
                Err(ServeError::DataDirectoryInUse { path: directory.to_owned(), pid: holder })
            }
            Err(LockError::Io(source)) => Err(not_writable(source)),
        }
    }

    /// Fails where the database could not be opened for want of room: SQLite would only speak of an I/O error.
    pub(super) fn check_free_space(&self, directory: &Path) -> Result<(), ServeError> {
        let trial = directory.join(".mai-write-test");
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&trial)
            .and_then(|mut file| file.write_all(&[0; ROOM]));
        let removed = std::fs::remove_file(&trial);
        written
            .and(removed)
            .map_err(|source| ServeError::DataDirectoryNotWritable { path: directory.to_owned(), source })
    }
}
