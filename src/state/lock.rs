//! The lock that keeps a second reconciler out of a state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::StateError;

/// Held until dropped. The kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Who holds it, when somebody does. Asking takes it for an instant, shared with others who ask.
    pub(super) fn holder(directory: &Path) -> Result<Option<String>, StateError> {
        let unusable = |source| StateError::Directory { directory: directory.display().to_string(), source };
        let mut file = match File::open(directory.join("mai.lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(error)),
        };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(unusable)?;
                Ok(Some(pid.trim().to_owned()))
            }
            Err(errno) => Err(unusable(errno.into())),
        }
    }

    pub(super) fn take(directory: &Path) -> Result<Self, StateError> {
        let unusable = |source| StateError::Directory { directory: directory.display().to_string(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("mai.lock"))
            .map_err(unusable)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(unusable)?;
                let pid = if pid.trim().is_empty() { "unknown" } else { pid.trim() };
                return Err(StateError::InUse { directory: directory.display().to_string(), pid: pid.to_owned() });
            }
            Err(errno) => return Err(unusable(errno.into())),
        }
        file.set_len(0).map_err(unusable)?;
        file.rewind().map_err(unusable)?;
        writeln!(file, "{}", std::process::id()).map_err(unusable)?;
        Ok(Self { _file: file })
    }
}
