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
