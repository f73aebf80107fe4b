//! The staging directory of a job, which goes with it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mai_contract::job::BackupId;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::places::STAGING_PREFIX;
use crate::{BackupError, Places};

/// Attempts to remove it, and the delay between them.
const REMOVAL_ATTEMPTS: u32 = 50;
const REMOVAL_DELAY: Duration = Duration::from_millis(20);

/// A directory for the copies of databases. Removed when dropped.
#[derive(Debug)]
pub(crate) struct Staging(PathBuf);

impl Staging {
    /// Makes the staging directory of a job. Where its place is a directory already, such as a
    /// mounted volume, it is a directory in there. A link is refused: whoever may write to the
    /// backups volume must not redirect the copies.
    pub(crate) fn create(places: &Places, id: &BackupId) -> Result<Self, BackupError> {
        let place = &places.staging;
        let is_directory = || place.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
        let made = match make(place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_directory() => {
                make(&Places::default_staging(place, id))
            }
            result => result,
        };
        made.map_err(BackupError::io("made", place))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Makes a directory whose path has no link, which SQLite is not to follow.
fn make(path: &Path) -> io::Result<Staging> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize()?;
    let path = parent.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    DirBuilder::new().mode(0o700).create(&path)?;
    // It may have been replaced by a link already.
    openat(CWD, &path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    Ok(Staging(path))
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A server or a connection that was just cancelled may make files in it for a moment yet. What
        // is left after all is removed by the next job.
        for _ in 0..REMOVAL_ATTEMPTS {
            match std::fs::remove_dir_all(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => std::thread::sleep(REMOVAL_DELAY),
                _ => return,
            }
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn link_in_place_of_a_staging_directory_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let id = BackupId::new(jiff::Timestamp::UNIX_EPOCH, 1);
        let place = |name: &str| top.path().join(name);
        std::fs::create_dir(place("real")).unwrap();
        symlink(place("real"), place("link")).unwrap();
        let at = |staging: &str| Places {
            data: place("data"),
            backups: place("real"),
            secrets: place("secrets"),
            staging: place(staging),
        };
        assert!(Staging::create(&at("link"), &id).is_err());
        assert_eq!(std::fs::read_dir(place("real")).unwrap().count(), 0);
        let staging = Staging::create(&at("link/staging"), &id).unwrap();
        assert_eq!(staging.path(), top.path().canonicalize().unwrap().join("real/staging"));
    }
}
