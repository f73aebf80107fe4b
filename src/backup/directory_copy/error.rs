//! Errors of a copy.

use std::io;
use std::path::{Path, PathBuf};

/// Failure to make or verify a copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
    #[error("{path} could not be {action}: {source}")]
    Io {
        /// The operation: "read", "written".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no room for the copy.
    #[error(
        "the volume of {path} is full ({free_mib} MiB free, {needed_mib} MiB needed); free space there or set spec.storage.backups to another place"
    )]
    Full {
        /// The directory of the backups.
        path: PathBuf,
        /// Free bytes.
        free_mib: u64,
        /// Bytes that the copy needs.
        needed_mib: u64,
    },
    /// SQLite could not read or write a database.
    #[error("database {path} could not be {action}: {source}")]
    Database {
        /// The operation: "copied", "read back".
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's error.
        source: sqlx::Error,
    },
    /// The copy differs from what was written.
    #[error("{path} failed its verification after it was written: {what}")]
    Unverified {
        /// The file.
        path: PathBuf,
        /// The difference.
        what: String,
    },
}

impl BackupError {
    /// Returns a conversion for `map_err` of a file operation.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }

    /// Returns a conversion for `map_err` of a database operation.
    pub(super) fn database(action: &'static str, path: &Path) -> impl Fn(sqlx::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Database { action, path: path.clone(), source }
    }
}
