//! A directory for files that nobody else may read, which goes with its value.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::RecoveryError;

/// A directory of mode 0700 below the system's directory for temporary files. Removed when dropped.
#[derive(Debug)]
pub(super) struct ScratchDirectory(PathBuf);

impl ScratchDirectory {
    pub(super) fn create() -> Result<Self, RecoveryError> {
        let path = std::env::temp_dir().join(format!("mai-{}", uuid::Uuid::new_v4().simple()));
        // Fails where somebody else made it first.
        DirBuilder::new().mode(0o700).create(&path).map_err(RecoveryError::io("made", &path))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file of mode 0600.
    pub(super) fn write(&self, name: &str, content: &str) -> Result<(), RecoveryError> {
        let path = self.0.join(name);
        let failed = RecoveryError::io("written", &path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(&failed)?;
        file.write_all(content.as_bytes()).map_err(failed)
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // Others cannot read what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
