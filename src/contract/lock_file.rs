//! A file whose lock keeps a second process out of a directory or away from an instance.
//!
//! The kernel drops the lock when the process ends, however it ends; a left-over file is harmless.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::is_unprintable;

/// Number of further attempts to lock a file. [`LockFile::holder`] locks it for an instant, so a
/// single refusal proves no holder.
const RETRIES: u32 = 5;
/// Number of rounds after which a file that keeps being replaced is given up.
const MAX_ROUNDS: usize = 100;
/// Most bytes that are read of the text of a holder.
const MAX_HOLDER_BYTES: u64 = 256;
/// Delay between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// A locked file that names its holder. Unlocked when dropped.
#[derive(Debug)]
pub struct LockFile {
    _file: File,
}

/// Why a file could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it locked.
    #[error("it is locked by {holder}")]
    Locked {
        /// The text that the holder wrote, such as its process id; "unknown" before it has.
        holder: String,
    },
    /// The file could not be opened, locked or written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl LockFile {
    /// Locks `path`, which is created where it is missing, and writes `holder` into it. Waits for
    /// no holder. A symbolic link is refused: whoever may write in the directory must not redirect
    /// the write.
    pub fn acquire(path: &Path, mode: u32, holder: &str) -> Result<Self, LockError> {
        let mut retries = RETRIES;
        // A file may be removed between the two steps below, but not that often.
        for _ in 0..MAX_ROUNDS {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(mode)
                .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
                .open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) if retries > 0 => {
                    retries -= 1;
                    sleep(RETRY_DELAY);
                    continue;
                }
                Err(Errno::WOULDBLOCK) => return Err(LockError::Locked { holder: read_holder(&mut file)? }),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
            // A former holder may have removed the file after it was opened here: a lock on a
            // removed file keeps nobody out.
            let inode = file.metadata()?.ino();
            if path.symlink_metadata().is_ok_and(|current| current.ino() == inode) {
                file.set_len(0)?;
                file.rewind()?;
                match writeln!(file, "{holder}") {
                    // On a full disk it keeps others out all the same, without a name.
                    Err(error) if error.kind() != io::ErrorKind::StorageFull => return Err(error.into()),
                    _ => return Ok(Self { _file: file }),
                }
            }
        }
        Err(io::Error::other("it is replaced again and again, or its file system has no stable inode numbers").into())
    }

    /// Returns the text of whoever has `path` locked, if anybody has.
    pub fn holder(path: &Path) -> io::Result<Option<String>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // Shared, so that two who ask at once do not take each other for the holder.
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => read_holder(&mut file).map(Some),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Returns the first line of a file without control characters. Whoever may write in the directory
/// may have written it, and it is printed.
fn read_holder(file: &mut File) -> io::Result<String> {
    let mut text = Vec::new();
    file.take(MAX_HOLDER_BYTES).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let line: String =
        text.lines().next().unwrap_or_default().chars().filter(|character| !is_unprintable(*character)).collect();
    match line.trim() {
        "" => Ok("unknown".to_owned()),
        holder => Ok(holder.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lock_held_once_names_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        assert_eq!(LockFile::holder(&path).unwrap(), None);
        let lock = LockFile::acquire(&path, 0o600, "first").unwrap();
        assert_eq!(LockFile::holder(&path).unwrap().as_deref(), Some("first"));
        let refused = LockFile::acquire(&path, 0o600, "second").unwrap_err();
        assert!(matches!(refused, LockError::Locked { holder } if holder == "first"));
        drop(lock);
        assert_eq!(LockFile::holder(&path).unwrap(), None);
        let _again = LockFile::acquire(&path, 0o600, "2").unwrap();
        assert_eq!(LockFile::holder(&path).unwrap().as_deref(), Some("2"));
    }

    #[test]
    fn question_for_the_holder_keeps_nobody_from_locking() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = LockFile::acquire(&path, 0o600, "first").unwrap();
        let file = File::open(&path).unwrap();
        drop(held);
        flock(&file, FlockOperation::NonBlockingLockShared).unwrap();
        let asks = std::thread::spawn(move || {
            sleep(2 * RETRY_DELAY);
            drop(file);
        });
        assert!(LockFile::acquire(&path, 0o600, "second").is_ok());
        asks.join().unwrap();
    }

    #[test]
    fn symbolic_link_in_place_of_a_lock_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("lock"));
        std::fs::write(&target, "kept").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(LockFile::acquire(&link, 0o600, "x").unwrap_err(), LockError::Io(_)));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "kept");
    }
}
