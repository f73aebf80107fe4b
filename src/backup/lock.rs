//! One job at a time works on the backups of an instance.

use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use mai_contract::lock_file::{LockError, LockFile};
use rustix::process::geteuid;

use crate::BackupError;

/// Lock file among the backups, held by the job that works on them.
const LOCK: &str = ".mai-job.lock";

/// Locks `backups` for a job. `holder` names the job to another one that comes meanwhile.
pub fn lock_backups(backups: &Path, holder: &str) -> Result<LockFile, BackupError> {
    let path = backups.join(LOCK);
    let failed = |source| BackupError::Io { action: "locked", path: path.clone(), source };
    let lock = LockFile::acquire(&path, 0o600, holder).map_err(|error| match error {
        LockError::Locked { holder } => BackupError::Busy { holder },
        LockError::Io(source) => failed(source),
    })?;
    // Owned by root it would keep out a job that is not.
    if geteuid().is_root() {
        let owner = backups.metadata().map_err(failed)?;
        lchown(&path, Some(owner.uid()), Some(owner.gid())).map_err(failed)?;
    }
    Ok(lock)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn holder_that_anybody_wrote_is_one_short_line() {
        let directory = tempfile::tempdir().unwrap();
        let _lock = lock_backups(directory.path(), "backup 1").unwrap();
        let holder = || match lock_backups(directory.path(), "backup 2").unwrap_err() {
            BackupError::Busy { holder } => holder,
            error => error.to_string(),
        };
        assert_eq!(holder(), "backup 1");
        let path = directory.path().join(LOCK);
        std::fs::write(&path, b"\x1b[2Jjob\xff 7\nsecond line").unwrap();
        assert_eq!(holder(), "[2Jjob\u{fffd} 7");
        std::fs::write(&path, "x".repeat(1 << 20)).unwrap();
        assert_eq!(holder().len(), 256);
    }
}
