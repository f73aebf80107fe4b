//! The staging directory of a job, which goes with it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use mai_contract::job::BackupId;

use crate::places::STAGING_PREFIX;
use crate::{BackupError, Places};

/// A directory for the copies of databases. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Staging(PathBuf);

impl Staging {
    /// Makes the staging directory of a job. Where its place is a directory already, such as a
    /// mounted volume, it is a directory in there.
    pub(crate) fn create(places: &Places, id: &BackupId) -> Result<Self, BackupError> {
        let make = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        let place = &places.staging;
        let made = match make(place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && place.is_dir() => {
                let within = Places::default_staging(place, id);
                make(&within).map(|()| within)
            }
            result => result.map(|()| place.clone()),
        };
        made.map(Self).map_err(BackupError::io("made", place))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What is left is removed by the next job.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Removes what killed jobs left. The caller holds the lock of the backups.
pub(crate) fn remove_left_overs(places: &Places) -> Result<(), BackupError> {
    for directory in [&places.backups, &places.staging] {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(BackupError::io("read", directory)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(BackupError::io("read", directory))?;
            let is_ours = entry.file_name().to_str().and_then(|name| name.strip_prefix(STAGING_PREFIX)).is_some();
            if is_ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                std::fs::remove_dir_all(&path).map_err(BackupError::io("removed", &path))?;
            }
        }
    }
    Ok(())
}
