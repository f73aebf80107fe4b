//! Output of a job: its progress, and what came of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup_id::BackupId;
use crate::job::BACKUPS_VOLUME;

/// Longest outcome in bytes, which has to fit in the termination message of a container.
pub const MAX_OUTCOME_BYTES: usize = 4000;

/// A line of the program's output.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Message {
    /// It goes on.
    Progress(Progress),
    /// It ended.
    Outcome(Outcome),
}

/// Progress of a job.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The step it is in.
    pub step: Step,
    /// Bytes done in this step.
    pub done: u64,
    /// Bytes of this step; at least `done`.
    pub total: u64,
}

/// Step of a job.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Databases are copied.
    Snapshot,
    /// The archive is written to its destinations.
    Store,
    /// The archive is read back from a destination and checked.
    Verify,
    /// Old backups are removed.
    Prune,
    /// A backup is read and unpacked.
    Unpack,
    /// Unpacked data and present data are exchanged, or removed.
    Swap,
    /// A throw-away server is started on unpacked data.
    Start,
}

/// End of a job.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The archive was made; each destination has its own result.
    Backup(BackupReport),
    /// A backup is unpacked next to the data.
    Restored(RestoreReport),
    /// There was data already, which is kept.
    DataKept,
    /// The step of a swap is done.
    Swapped,
    /// A throw-away server answered on the data of a backup.
    Drilled(Box<DrillReport>),
    /// Nothing was made.
    Failed {
        /// The problem and its remedy.
        message: String,
    },
}

/// Problem of a job that ended with the result of work that it was not given.
pub const OTHER_WORK: &str = "its job did other work than it was asked for";

impl Outcome {
    /// Returns the outcome of a job that ended with the result of work that it was not given.
    pub fn of_other_work() -> Self {
        Self::Failed { message: OTHER_WORK.to_owned() }
    }
}

/// A backup that was made.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupReport {
    /// Its id.
    pub id: BackupId,
    /// Moment of the data in it.
    pub taken_at: Timestamp,
    /// Bytes of all files in it.
    pub data_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Number of files in it.
    pub files: u64,
    /// Number of databases among them.
    pub databases: u64,
    /// Results by destination.
    pub destinations: Vec<DestinationReport>,
    /// Files that were left out or changed while they were read, as sentences; at most a few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// Data that was unpacked and checked.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// Id of the restore.
    pub id: BackupId,
    /// The backup; absent for an archive that mai did not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupId>,
    /// Moment of its data, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// Bytes of all files.
    pub data_bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Number of databases among them, each of which was checked.
    pub databases: u64,
    /// There is data in the place of the data, which a swap replaces: it is backed up first.
    pub replaces_data: bool,
    /// Extent of the check and what was left out, as sentences; at most a few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A drill that was passed: a backup was unpacked, all of it was checked, and a throw-away server
/// answered on it where one could be started.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DrillReport {
    /// Id of the drill.
    pub id: BackupId,
    /// The backup.
    pub backup: BackupId,
    /// Name of the destination that it was read from.
    pub destination: String,
    /// Moment of its data.
    pub taken_at: Timestamp,
    /// The archive is encrypted, and was opened with the identity.
    pub is_encrypted: bool,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of all files.
    pub data_bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Number of databases among them.
    pub databases: u64,
    /// Number of rows in all of their tables.
    pub rows: u64,
    /// Number of accounts, where the database is one of a known server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<u64>,
    /// Number of stored chats, where the database is one of a known server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chats: Option<u64>,
    /// Milliseconds to find, read, unpack and check it.
    pub restore_millis: u64,
    /// The server that was started on it; absent where the server is not ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerReport>,
}

/// A throw-away server that answered. An account that was made for it signed in and was told the
/// number of accounts.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServerReport {
    /// Its version.
    pub version: String,
    /// Milliseconds until it was ready.
    pub start_millis: u64,
    /// Number of accounts that it listed, without the one that was made for it.
    pub people: u64,
}

impl BackupReport {
    /// Returns why the backups volume holds no verified copy, without which the data may not be
    /// replaced.
    pub fn safety_problem(&self) -> Option<String> {
        match self.destinations.iter().find(|one| one.name == BACKUPS_VOLUME).map(|one| &one.result) {
            Some(StoreResult::Verified) => None,
            Some(StoreResult::Intact(problem) | StoreResult::Stored(problem) | StoreResult::Failed(problem)) => {
                Some(problem.clone())
            }
            None => Some("it was stored nowhere".to_owned()),
        }
    }
}

/// Result of a backup in one destination.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DestinationReport {
    /// Name of the destination.
    pub name: String,
    /// Result of this backup.
    pub result: StoreResult,
    /// Backups of the instance that are there.
    #[serde(default)]
    pub kept: u32,
    /// Backups that were removed.
    #[serde(default)]
    pub removed: u32,
    /// Time of the newest verified backup there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_verified: Option<Timestamp>,
    /// Problem of the removal of old backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_problem: Option<String>,
}

/// Result of storing one backup in one destination.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum StoreResult {
    /// It was read back from there, unpacked and checked.
    Verified,
    /// It was read back from there and is what was stored. Its content was not checked, for the
    /// reason in this sentence: nothing here opens it.
    Intact(String),
    /// It is there and was checked only as far as this sentence says.
    Stored(String),
    /// It is not there, or is not what was stored.
    Failed(String),
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_round_trip_in_one_line() {
        let outcome = Message::Outcome(Outcome::Failed { message: "two\nlines".to_owned() });
        let line = serde_json::to_string(&outcome).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), outcome);
    }
}
