//! Errors of the backup of a server and of its recovery.

use std::io;
use std::path::{Path, PathBuf};

use mai_backup::{BackupError, StoreError};

use crate::source::SourceError;
use crate::state::StateError;

/// Failure to back up or recover a server.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences say it")]
pub enum RecoveryError {
    #[error("{text:?} is no place of backups: {problem}; write s3://BUCKET/PREFIX or the path of a directory")]
    Address { text: String, problem: &'static str },
    #[error("{} cannot be used: {problem}", .path.display())]
    Connection { path: PathBuf, problem: String },
    #[error(
        "{address} is a bucket, and nothing says where it is and with which keys; name a file with accessKeyId, secretAccessKey and, unless it is AWS, endpoint: {option} FILE"
    )]
    NoConnection { address: String, option: &'static str },
    #[error("{} could not be {action}: {source}", .path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("there is no finished backup in {place}{problems}; name the place that was declared for backups")]
    NoBackup { place: String, problems: String },
    #[error("there is no server {name} there; there is {names}")]
    NoServer { name: String, names: String },
    #[error("there are backups of several servers: {names}; name one with --server NAME")]
    SeveralServers { names: String },
    #[error(
        "{what} is encrypted to {recipients}, and the identity that was given is of none of those; give the secret key (AGE-SECRET-KEY-1…) of one of them with --identity FILE; nothing was changed"
    )]
    WrongIdentity { what: String, recipients: String },
    #[error(
        "{what} is encrypted to {recipients}; give the secret key (AGE-SECRET-KEY-1…) of one of them with --identity FILE; nothing was changed"
    )]
    MissingIdentity { what: String, recipients: String },
    #[error(
        "{} is not empty, and a server is only brought back into empty directories; name {remedy}, or move away what is there; nothing was changed", .path.display()
    )]
    NotEmpty { path: PathBuf, remedy: &'static str },
    #[error(
        "a recovery from {from} to {} and the state in {} was begun and is not finished; run the same `mai recover` again, or remove what it made and both directories", .documents.display(), .state_dir.display()
    )]
    Unfinished { state_dir: PathBuf, documents: PathBuf, from: String },
    #[error("{} is not empty, and data is never overwritten; move away what is there", .path.display())]
    DataThere { path: PathBuf },
    #[error(
        "its data is in {} and could not be moved to {}: {source}; if that is a mount point, restore by hand as docs/restore-by-hand.md says", .from.display(), .to.display()
    )]
    NotMovable { from: PathBuf, to: PathBuf, source: io::Error },
    #[error("{notes}")]
    NoUsable { notes: String },
    #[error("a document could not be written: {0}")]
    Yaml(String),
    #[error("{0}")]
    NotStored(String),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Source(Box<SourceError>),
}

impl RecoveryError {
    /// Returns a conversion for `map_err` of a file operation.
    pub(super) fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path: path.clone(), source }
    }
}

impl From<SourceError> for RecoveryError {
    fn from(error: SourceError) -> Self {
        Self::Source(Box::new(error))
    }
}
