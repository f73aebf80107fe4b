//! Record of how far a recovery came, in the state directory, so that it goes on where it was
//! interrupted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mai_contract::job::BackupId;
use serde::{Deserialize, Serialize};

use super::RecoveryError;
use super::atomic_file::{read_json, unfinished, write_json};

/// Its file.
const FILE: &str = "recovery.json";

/// A recovery that was begun.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecoveryRecord {
    /// Where from.
    pub(super) from: String,
    /// The directory of documents.
    pub(super) documents: PathBuf,
    /// Everything that could be had is in its place.
    pub(super) is_finished: bool,
    /// Clients by `NAMESPACE/NAME`.
    pub(super) clients: BTreeMap<String, ClientRecord>,
    /// SHA-256 of each file that was written below the directory of documents.
    pub(super) files: BTreeMap<PathBuf, String>,
}

/// A client whose data was unpacked.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientRecord {
    /// The backup.
    pub(super) backup: BackupId,
    pub(super) taken_at: Timestamp,
    pub(super) data_bytes: u64,
    /// Inode of the unpacked directory, by which it is known in its place.
    pub(super) inode: u64,
    /// The data is in its place, and the state database knows the client.
    pub(super) is_done: bool,
}

impl RecoveryRecord {
    /// Reads the record of a state directory.
    pub(super) fn read(state_dir: &Path) -> Result<Option<Self>, RecoveryError> {
        read_json(&state_dir.join(FILE))
    }

    /// Returns the file in a state directory that is there when the first write was interrupted.
    pub(super) fn unfinished(state_dir: &Path) -> PathBuf {
        unfinished(&state_dir.join(FILE))
    }

    pub(super) fn write(&self, state_dir: &Path) -> Result<(), RecoveryError> {
        write_json(&state_dir.join(FILE), self)
    }

    /// Returns whether the data of a client is in its place.
    pub(super) fn is_done(&self, client: &str) -> bool {
        self.clients.get(client).is_some_and(|client| client.is_done)
    }
}

/// Fails while a recovery of a state directory is not finished: a server would start on no data.
pub fn require_no_recovery(state_dir: &Path) -> Result<(), RecoveryError> {
    match RecoveryRecord::read(state_dir)? {
        Some(record) if !record.is_finished => Err(RecoveryError::Unfinished {
            state_dir: state_dir.to_owned(),
            documents: record.documents,
            from: record.from,
        }),
        _ => Ok(()),
    }
}
