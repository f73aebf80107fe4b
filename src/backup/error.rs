//! Why there is no copy that can be relied on.

use std::io;
use std::path::{Path, PathBuf};

/// Why there is no copy that can be relied on.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
    #[error("{path} could not be {action}: {source}")]
    Io {
        /// What was tried: "read", "written".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no room for the copy.
    #[error(
        "the volume of {path} is full ({free_mib} MiB free, {needed_mib} MiB needed); free space there or set spec.storage.backups to another place"
    )]
    Full {
        /// The directory of the backups.
        path: PathBuf,
        /// What is free.
        free_mib: u64,
        /// What the copy needs.
        needed_mib: u64,
    },
    /// SQLite could not read or write a database.
    #[error("database {path} could not be {action}: {source}")]
    Database {
        /// What was tried: "copied", "read back".
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// What was read back is not what was written.
    #[error("{path} did not stand the check after it was written: {what}")]
    Unverified {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl BackupError {
    /// For `map_err` of a file operation.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// For `map_err` of a database operation.
    pub(super) fn database(action: &'static str, path: &Path) -> impl Fn(sqlx::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Database { action, path: path.clone(), source }
    }
}
