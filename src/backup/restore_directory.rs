//! The directory of one restore in the data: `.mai-restore/ID/`.
//!
//! | in it | is |
//! |---|---|
//! | `new` | data that is unpacked, or what was taken back and is about to be removed |
//! | `restored.json` | the report, written once `new` is complete and checked |
//! | `former` | the data before the swap |
//! | `removed` | what is being removed |

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};

use mai_contract::job::{BackupId, RestoreReport};
use mai_contract::restores;
use rustix::process::{getegid, geteuid};

use crate::BackupError;

const NEW: &str = "new";
const FORMER: &str = "former";
const REMOVED: &str = "removed";
const REPORT: &str = "restored.json";

/// State of a restore whose swap is not in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There is nothing of it.
    Absent,
    /// Its data was not unpacked to the end.
    Unfinished,
    /// Its data is unpacked and waits beside the present data.
    Unpacked,
    /// Its data is the present data, and the data before it is kept.
    Swapped,
    /// Its data was taken back and removed.
    TakenBack,
}

/// The directory of a restore.
#[derive(Clone, Debug)]
pub(crate) struct RestoreDirectory {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Directory of all restores.
    pub(crate) top: PathBuf,
    /// The restore.
    pub(crate) id: BackupId,
    own: PathBuf,
}

impl RestoreDirectory {
    pub(crate) fn new(data: &Path, id: &BackupId) -> Self {
        let top = data.join(restores::DIRECTORY);
        Self { data: data.to_owned(), own: top.join(id.as_str()), top, id: id.clone() }
    }

    pub(crate) fn unpacked(&self) -> PathBuf {
        self.own.join(NEW)
    }

    pub(crate) fn former(&self) -> PathBuf {
        self.own.join(FORMER)
    }

    pub(crate) fn removed(&self) -> PathBuf {
        self.own.join(REMOVED)
    }

    pub(crate) fn state(&self) -> Result<State, BackupError> {
        Ok(match [self.own.clone(), self.own.join(REPORT), self.former(), self.unpacked()].map(|path| exists(&path)) {
            [false, ..] => State::Absent,
            [_, false, ..] => State::Unfinished,
            [_, _, true, _] => State::Swapped,
            [_, _, false, true] => State::Unpacked,
            [_, _, false, false] => State::TakenBack,
        })
    }

    /// Returns the user and group that new entries are given to: those of the data. Root alone can
    /// give something away; in a pod, whose volume belongs to root and to a group of the pod, they
    /// stay with its user.
    pub(crate) fn owner(&self) -> Result<(u32, u32), BackupError> {
        if !geteuid().is_root() {
            return Ok((geteuid().as_raw(), getegid().as_raw()));
        }
        let metadata = self.data.metadata().map_err(BackupError::io("read", &self.data))?;
        Ok((metadata.uid(), metadata.gid()))
    }

    /// Makes a directory for the owner of the data where there is none. A link in its place is
    /// refused.
    pub(crate) fn make(&self, path: &Path) -> Result<(), BackupError> {
        let failed = BackupError::io("made", path);
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => self.give(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match path.symlink_metadata().map_err(&failed)?.is_dir() {
                    true => Ok(()),
                    false => Err(failed(io::Error::other("something that is no directory is in its place"))),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes the directory of this restore.
    pub(crate) fn make_own(&self) -> Result<(), BackupError> {
        self.make(&self.top)?;
        self.make(&self.own)
    }

    /// Gives a new entry to the owner of the data.
    pub(crate) fn give(&self, path: &Path) -> Result<(), BackupError> {
        let owner = self.owner()?;
        if owner == (geteuid().as_raw(), getegid().as_raw()) {
            return Ok(());
        }
        lchown(path, Some(owner.0), Some(owner.1)).map_err(BackupError::io("given to the user of the server", path))
    }

    /// Writes a small file, which is there whole or not at all.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<(), BackupError> {
        let failed = BackupError::io("written", path);
        let unfinished = path.with_extension("unfinished");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)
            .map_err(&failed)?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(&failed)?;
        self.give(&unfinished)?;
        std::fs::rename(&unfinished, path).map_err(&failed)?;
        sync(path.parent().unwrap_or(&self.top))
    }

    /// Writes the report, by which the unpacked data counts as complete.
    pub(crate) fn write_report(&self, report: &RestoreReport) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(report).map_err(|error| BackupError::Archive(error.into()))?;
        sync(&self.own)?;
        sync(&self.top)?;
        self.write(&self.own.join(REPORT), &text)?;
        sync(&self.data)
    }

    /// Reads the report.
    pub(crate) fn read_report(&self) -> Result<RestoreReport, BackupError> {
        let path = self.own.join(REPORT);
        let failed = BackupError::io("read", &path);
        serde_json::from_slice(&std::fs::read(&path).map_err(&failed)?).map_err(|error| failed(error.into()))
    }

    /// Removes all of it, and the directory of all restores with the last one. An interruption
    /// leaves nothing that counts as a restore.
    pub(crate) fn remove(&self) -> Result<(), BackupError> {
        let doomed = self.top.join(format!("{}.{REMOVED}", self.id));
        if exists(&self.own) {
            remove_tree(&doomed)?;
            std::fs::rename(&self.own, &doomed).map_err(BackupError::io("removed", &self.own))?;
        }
        remove_tree(&doomed)?;
        // Others are in it.
        let _ = std::fs::remove_dir(&self.top);
        Ok(())
    }

    /// Returns all restores whose directories are in the data, the oldest first.
    pub(crate) fn all(data: &Path) -> Result<Vec<Self>, BackupError> {
        let top = data.join(restores::DIRECTORY);
        let failed = BackupError::io("read", &top);
        let mut found = Vec::new();
        let entries = match std::fs::read_dir(&top) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let name = entry.map_err(&failed)?.file_name();
            let name = name.to_string_lossy();
            let id = name.strip_suffix(&format!(".{REMOVED}")).unwrap_or(&name);
            found.extend(id.parse().map(|id| Self::new(data, &id)));
        }
        found.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(found)
    }
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes a directory and all in it, if it is there.
pub(crate) fn remove_tree(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io("removed", path)(error)),
        _ => Ok(()),
    }
}

/// Waits until the entries of a directory are on the disk.
pub(crate) fn sync(directory: &Path) -> Result<(), BackupError> {
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(BackupError::io("written", directory))
}
