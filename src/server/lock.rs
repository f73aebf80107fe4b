//! The lock on the data directory, so that two servers never open one database.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rustix::fs::{FlockOperation, OFlags, flock};

use super::{ServeError, at_rest::LOCK};

/// What SQLite needs beside the database before it writes anything, and a little more.
const ROOM: usize = 128 * 1024;

/// Held for the life of the process; the system drops the lock when it ends, however it ends.
#[derive(Debug)]
pub(super) struct DataDirectoryLock {
    _file: File,
}

impl DataDirectoryLock {
    /// Makes the directory when it isn't there and takes `.mai.lock` in it.
    pub(super) fn take(directory: &Path) -> Result<Self, ServeError> {
        let not_writable = |source| ServeError::DataDirectoryNotWritable { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(not_writable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            // Whoever may write in the directory must not have us write elsewhere.
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(directory.join(LOCK))
            .map_err(not_writable)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut pid = String::new();
            file.read_to_string(&mut pid).ok();
            let pid = match pid.trim() {
                "" => "unknown".to_owned(),
                pid => pid.to_owned(),
            };
            return Err(ServeError::DataDirectoryInUse { path: directory.to_owned(), pid });
        }
        file.set_len(0).map_err(not_writable)?;
        file.rewind().map_err(not_writable)?;
        writeln!(file, "{}", std::process::id()).map_err(not_writable)?;
        Ok(Self { _file: file })
    }

    /// Fails where the database could not be opened for want of room: SQLite would only speak of an I/O error.
    pub(super) fn prove_room(&self, directory: &Path) -> Result<(), ServeError> {
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
