//! Verifies a stored backup: reads its archive back from the destination and checks everything in
//! it. Only databases touch the disk, one after the other.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mai_contract::job::Step;

use crate::archive_reader::{DatabaseCheck, Layout, NewFile, Reading, Request, Sink};
use crate::database_check::check_database;
use crate::encryption::Identity;
use crate::free_space::check_free_space;
use crate::instance_files::CollectedFiles;
use crate::object_reader::read_object;
use crate::store::OpenStore;
use crate::summary::{Extent, FORMAT, Summary, Verification};
use crate::{BackupError, Progress};

/// Name of the database that is being checked, in the staging directory.
const DATABASE: &str = "database";

/// Verifies the backup of `summary` in a destination. Without an identity an encrypted archive is
/// checked up to its encryption. Databases are checked in `staging`, which is made where it is
/// missing.
pub async fn verify(
    store: &OpenStore,
    summary: &Summary,
    identity: Option<&Identity>,
    staging: &Path,
    progress: &Progress,
) -> Result<Verification, BackupError> {
    let (reading, _) = read_back(store, summary, identity, staging, progress).await?;
    let extent = match reading {
        Reading::Content(_) => Extent::Content,
        Reading::Sealed | Reading::Plain | Reading::Survey(_) => Extent::Checksum,
    };
    Ok(Verification { format: FORMAT, id: summary.id.clone(), verified_at: Timestamp::now(), extent })
}

/// Reads a backup to its end and checks all of it. Returns what is in it beside the data, too.
pub(crate) async fn read_back(
    store: &OpenStore,
    summary: &Summary,
    identity: Option<&Identity>,
    staging: &Path,
    progress: &Progress,
) -> Result<(Reading, CollectedFiles), BackupError> {
    progress.begin(Step::Verify, summary.archive.bytes);
    let mut sink = Staging::new(staging)?;
    let (summary_of, identity, counter) = (summary.clone(), identity.cloned(), progress.clone());
    read_object(store, &summary.archive.name, move |archive| {
        let request = Request {
            summary: Some(&summary_of),
            identity: identity.as_ref(),
            max_data_bytes: summary_of.data_bytes,
            layout: Layout::Backup,
            progress: &counter,
        };
        let reading = request.read(archive, &mut sink)?;
        Ok((reading, std::mem::take(&mut sink.instance)))
    })
    .await
}

/// Keeps nothing of an archive but the database that is being checked and the few files beside the data.
struct Staging {
    directory: PathBuf,
    database: PathBuf,
    instance: CollectedFiles,
}

impl Staging {
    fn new(directory: &Path) -> Result<Self, BackupError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(BackupError::io("made", directory))?;
        let staging = Self {
            directory: directory.to_owned(),
            database: directory.join(DATABASE),
            instance: CollectedFiles::default(),
        };
        staging.clear()?;
        Ok(staging)
    }

    fn clear(&self) -> Result<(), BackupError> {
        match std::fs::remove_file(&self.database) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(BackupError::io("removed", &self.database)(error))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What is left is removed by the next verification.
        let _ = self.clear();
    }
}

impl Sink for Staging {
    fn directory(&mut self, _: &Path, _: u32) -> Result<(), BackupError> {
        Ok(())
    }

    fn link(&mut self, _: &Path, _: &Path) -> Result<(), BackupError> {
        Ok(())
    }

    fn file(&mut self, new: &NewFile<'_>) -> Result<Option<File>, BackupError> {
        if !new.is_database {
            return Ok(None);
        }
        check_free_space(&self.directory, new.size)?;
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&self.database);
        file.map(Some).map_err(BackupError::io("written", &self.database))
    }

    fn instance_file(&mut self, path: &Path) -> Option<&mut Vec<u8>> {
        Some(self.instance.file(path))
    }

    fn complete(&mut self, new: &NewFile<'_>) -> Result<Option<DatabaseCheck>, BackupError> {
        if !new.is_database {
            return Ok(None);
        }
        let checked = check_database(&self.database);
        self.clear()?;
        Ok(Some(checked))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "verify_tests.rs"]
mod tests;
