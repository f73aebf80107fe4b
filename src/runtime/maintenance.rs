//! The lock of an administrator's command on an instance: while it works on the data, no reconciler
//! starts, stops or changes the server.
//!
//! It is a locked file next to the secrets and logs of the instance, unlocked when the command
//! ends, however it ends.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mai_contract::{LockError, LockFile};

const FILE: &str = "held";

/// Keeps reconcilers away from an instance until it is dropped.
#[derive(Debug)]
pub struct MaintenanceLock {
    path: PathBuf,
    _lock: LockFile,
}

impl MaintenanceLock {
    /// Locks the instance whose files are in `home` for a command, such as "mai reset". The error
    /// names the command that has it locked.
    pub fn acquire(home: &Path, what: &str) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        let path = home.join(FILE);
        let holder = format!("{what} (process {})", std::process::id());
        match LockFile::acquire(&path, 0o600, &holder) {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(LockError::Locked { holder }) => {
                Err(io::Error::new(io::ErrorKind::ResourceBusy, format!("{holder} works on it")))
            }
            Err(LockError::Io(error)) => Err(error),
        }
    }
}

impl Drop for MaintenanceLock {
    fn drop(&mut self) {
        // While it is still locked, so that nobody locks a file that is about to go. A left-over
        // file is harmless.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Returns the command that has the instance in `home` locked, if any has.
pub(super) fn holder(home: &Path) -> Option<String> {
    LockFile::holder(&home.join(FILE)).ok().flatten()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn maintenance_lock_has_one_holder_at_a_time() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join("abc");
        assert_eq!(holder(&home), None);
        let hold = MaintenanceLock::acquire(&home, "mai reset").unwrap();
        let named = format!("mai reset (process {})", std::process::id());
        assert_eq!(holder(&home), Some(named.clone()));
        assert!(MaintenanceLock::acquire(&home, "mai reset").unwrap_err().to_string().contains(&named));
        drop(hold);
        assert_eq!(holder(&home), None);
        std::fs::write(home.join(FILE), "mai reset (process 1)").unwrap();
        assert_eq!(holder(&home), None);
        drop(MaintenanceLock::acquire(&home, "mai reset").unwrap());
    }
}
