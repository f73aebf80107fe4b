//! Directories of a job.

use std::path::{Path, PathBuf};

use mai_contract::job::BackupId;

/// Start of the name of the staging directory that a job makes among the backups.
pub(crate) const STAGING_PREFIX: &str = ".staging-";

/// Directories of a job, as its platform mounts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The data of the instance.
    pub data: PathBuf,
    /// Its backups volume.
    pub backups: PathBuf,
    /// The secret files that its order names.
    pub secrets: PathBuf,
    /// Directory of the job's own for copies of databases; made and removed by it.
    pub staging: PathBuf,
}

impl Places {
    /// Returns the staging directory of a job that is given none: a hidden one among its backups.
    pub fn default_staging(backups: &Path, id: &BackupId) -> PathBuf {
        backups.join(format!("{STAGING_PREFIX}{id}"))
    }
}
