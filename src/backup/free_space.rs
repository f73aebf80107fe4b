//! Asks a file system for room before anything is written.

use std::path::Path;

use rustix::fs::statvfs;

use crate::BackupError;

/// Bytes to leave free.
const RESERVE: u64 = 16 << 20;
const MIB: u64 = 1 << 20;

/// Fails unless `bytes` more have room on the volume of `path`.
pub fn check_free_space(path: &Path, bytes: u64) -> Result<(), BackupError> {
    let volume = statvfs(path).map_err(|errno| BackupError::io("read", path)(errno.into()))?;
    let free = volume.f_bavail.saturating_mul(volume.f_frsize);
    let needed = bytes.saturating_add(RESERVE);
    if free >= needed {
        return Ok(());
    }
    Err(BackupError::Full { path: path.to_owned(), free_mib: free / MIB, needed_mib: needed.div_ceil(MIB) })
}
