//! One job at a time works on the backups of an instance.

use std::path::Path;

use mai_contract::lock_file::{LockError, LockFile};

use crate::BackupError;

/// Lock file among the backups, held by the job that works on them.
const LOCK: &str = ".mai-job.lock";

/// Locks `backups` for a job. `holder` names the job to another one that comes meanwhile.
pub fn lock_backups(backups: &Path, holder: &str) -> Result<LockFile, BackupError> {
    let path = backups.join(LOCK);
    LockFile::acquire(&path, 0o600, holder).map_err(|error| match error {
        LockError::Locked { holder } => BackupError::Busy { holder },
        LockError::Io(source) => BackupError::Io { action: "locked", path, source },
    })
}
