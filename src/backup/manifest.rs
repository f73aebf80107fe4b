//! `manifest.json`, the last member of an archive: all that is in it, and what is not and why.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use mai_contract::job::{BackupId, Subject};
use serde::{Deserialize, Serialize};

use crate::MemberPath;

/// The manifest, last in the archive.
pub const MANIFEST: &str = "manifest.json";
/// Checksums of all files before it, for `sha256sum -c`.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// Directory of the data in the archive.
pub const DATA: &str = "data";
/// The document in the archive.
pub const DOCUMENT: &str = "instance/document.json";
/// Directory of the secrets in an encrypted archive.
pub const SECRETS: &str = "instance/secrets";

/// Contents of an archive. Paths are those of its members: `data/…`, `instance/…`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`crate::summary::FORMAT`].
    pub format: u32,
    /// The backup.
    pub id: BackupId,
    /// The instance of the data.
    pub instance: Subject,
    /// Moment the copying began: all that was written before is in it.
    pub taken_at: Timestamp,
    /// Reason of the backup, as a sentence for people.
    pub reason: String,
    /// Image of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Version of mai that made it.
    pub mai_version: String,
    /// Directories, in the order of the archive.
    pub directories: Vec<DirectoryEntry>,
    /// Files but this one and [`CHECKSUMS`], in the order of the archive.
    pub files: Vec<FileEntry>,
    /// Symbolic links, in the order of the archive.
    pub links: Vec<LinkEntry>,
    /// Entries of the data that are not in the archive, or not as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<Exception>,
    /// Names of secrets that a restore elsewhere needs and that are not in the archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_secrets: Vec<String>,
}

/// A directory.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its path.
    pub path: MemberPath,
    /// Its permissions.
    pub mode: u32,
}

/// A file.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path.
    pub path: MemberPath,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// Its permissions.
    pub mode: u32,
    /// Properties of an SQLite database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseInfo>,
}

/// A symbolic link. It is never followed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct LinkEntry {
    /// Its path.
    pub path: MemberPath,
    /// Its target.
    pub target: MemberPath,
}

/// Properties of the snapshot of a database.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseInfo {
    /// `PRAGMA user_version`.
    pub user_version: i64,
    /// The newest of our migrations that it has seen; none in databases of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<i64>,
    /// `PRAGMA page_count`.
    pub page_count: i64,
    /// Number of rows of each table that is not virtual.
    pub rows: BTreeMap<String, i64>,
}

/// An entry of the data that is not in the archive, or not as it was.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its path.
    pub path: MemberPath,
    /// The cause.
    pub cause: Cause,
}

/// Cause of an exception.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// It was removed before it could be read. Left out.
    Vanished,
    /// It could not be read, for this error. Left out.
    Unreadable(String),
    /// It is a socket, pipe or device, as the word says. Left out.
    Special(String),
    /// It is the directory of the backups, which lies in the data. Left out.
    Backups,
    /// It grew while it was read, and is stored up to its former size.
    Grew,
    /// It was written to while it was read.
    Changed,
    /// It looks like an SQLite database that nothing has open, and is none that can be read, as the
    /// words say. Stored as the file it is.
    NoDatabase(String),
    /// It shrank or could not be read on, and is padded with zeros from this offset.
    Padded {
        /// Bytes that were read.
        from: u64,
    },
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match &self.cause {
            Cause::Vanished => write!(f, "{path} was removed while the backup was made and is left out"),
            Cause::Unreadable(error) => write!(f, "{path} could not be read and is left out: {error}"),
            Cause::Special(kind) => write!(f, "{path} is a {kind} and is left out"),
            Cause::Backups => write!(f, "{path} holds the backups and is left out"),
            Cause::Grew => write!(f, "{path} grew while it was read and is stored up to its former size"),
            Cause::Changed => write!(f, "{path} was written to while it was read"),
            Cause::NoDatabase(problem) => {
                write!(f, "{path} is not a readable SQLite database and is stored as a file: {problem}")
            }
            Cause::Padded { from } => {
                write!(f, "{path} could not be read to its end and is padded with zeros from byte {from}")
            }
        }
    }
}

impl Manifest {
    /// Returns the text of [`CHECKSUMS`]: the files in the format of `sha256sum`, which escapes line
    /// ends and backslashes of a name and marks such a line by a backslash before it.
    pub fn checksums(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for file in &self.files {
            let name = file.path.as_bytes();
            if name.iter().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r')) {
                text.push(b'\\');
            }
            text.extend_from_slice(file.sha256.as_bytes());
            text.extend_from_slice(b"  ");
            for byte in name {
                match byte {
                    b'\\' => text.extend_from_slice(b"\\\\"),
                    b'\n' => text.extend_from_slice(b"\\n"),
                    b'\r' => text.extend_from_slice(b"\\r"),
                    byte => text.push(*byte),
                }
            }
            text.push(b'\n');
        }
        text
    }

    /// Returns the files of the data.
    pub fn data_files(&self) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(|file| file.path.as_path().starts_with(DATA))
    }
}
