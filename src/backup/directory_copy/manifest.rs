//! The manifest of a copy: enough to verify it, and nothing secret.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of this format.
pub(super) const FORMAT: u32 = 1;
/// The file, in the directory of the copy.
pub(super) const FILE: &str = "manifest.json";

/// Contents of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// The instance of the data.
    pub instance: Subject,
    /// Reason of the copy, as a sentence for people.
    pub reason: String,
    /// Time of the copy.
    pub taken_at: Timestamp,
    /// The version of mai that took it.
    pub mai_version: String,
    /// Every file below `data/`, by path.
    pub files: Vec<FileEntry>,
    /// Every symbolic link below `data/`.
    pub links: Vec<LinkEntry>,
}

/// The instance a copy was taken of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// One file of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path below `data/`.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its content, in hex.
    pub sha256: String,
    /// Properties of an SQLite database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseInfo>,
}

/// Properties of the copy of a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseInfo {
    /// `PRAGMA user_version`.
    pub user_version: i64,
    /// The newest of our migrations that it has seen; none in databases of others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<i64>,
    /// Tables in it.
    pub tables: i64,
}

/// One symbolic link of a copy; it is never followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkEntry {
    /// Path below `data/`.
    pub path: PathBuf,
    /// Its target.
    pub target: PathBuf,
}
