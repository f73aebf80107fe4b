//! The lock on the data directory, so that two servers never open one database.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use mai_contract::{LockError, LockFile, files, restores};
use rustix::fs::OFlags;

use super::ServeError;

/// A little more than SQLite needs before its first write.
const NEEDED_BYTES: usize = 128 * 1024;

/// The lock of this process, released by the system when it ends.
#[derive(Debug)]
pub(super) struct DataDirectoryLock {
    _lock: LockFile,
}

impl DataDirectoryLock {
    /// Creates the directory if needed and locks `.mai.lock` in it. Fails while a restore has
    /// replaced only a part of the data.
    pub(super) fn acquire(directory: &Path) -> Result<Self, ServeError> {
        let not_writable = |source| ServeError::DataDirectoryNotWritable { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(not_writable)?;
        let pid = std::process::id().to_string();
        match LockFile::acquire(&directory.join(files::LOCK), 0o666, &pid) {
            Ok(lock) => match restores::unfinished_swap(directory).map_err(not_writable)? {
                None => Ok(Self { _lock: lock }),
                Some(mark) => Err(ServeError::RestoreUnfinished { path: directory.to_owned(), mark }),
            },
            Err(LockError::Locked { holder }) => {
                Err(ServeError::DataDirectoryInUse { path: directory.to_owned(), pid: holder })
            }
            Err(LockError::Io(source)) => Err(not_writable(source)),
        }
    }

    /// Fails on a full disk, for which SQLite would only report an I/O error.
    pub(super) fn check_free_space(&self, directory: &Path) -> Result<(), ServeError> {
        let trial = directory.join(".mai-write-test");
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&trial)
            .and_then(|mut file| file.write_all(&[0; NEEDED_BYTES]));
        let removed = std::fs::remove_file(&trial);
        written
            .and(removed)
            .map_err(|source| ServeError::DataDirectoryNotWritable { path: directory.to_owned(), source })
    }
}
