//! `status.backup`: the backups of an instance. The same type is the memory of the reconciler, so
//! that it survives wherever the status does.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::DrillStatus;

/// Backups of an instance. Nothing in it changes while none is made.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// Due time or request that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub last_due: Option<Timestamp>,

    /// The newest backup, also while it is made and if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastBackup>,

    /// End of the last backup that was verified, or read back as far as the declared identity allows,
    /// in each destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub last_success: Option<Timestamp>,

    /// Moment of the data in the newest backup that was verified in any destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub last_verified: Option<Timestamp>,

    /// Bytes of the newest archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,

    /// Bytes of the files in the newest archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<i64>,

    /// Seconds that the newest archive took, verification included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,

    /// Time of the next one: the next due time, or the next attempt after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub next: Option<Timestamp>,

    /// Id of the last backup of an instance whose document was removed, as `deletionPolicy: Snapshot`
    /// demands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_deletion: Option<String>,

    /// Failures in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i32,

    /// The destinations of the newest archive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]))]
    pub destinations: Vec<DestinationStatus>,

    /// Drills, which bring a backup back and start a server on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<Box<DrillStatus>>,
}

/// The newest backup.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastBackup {
    /// Its id.
    pub id: String,

    /// Time at which it was started.
    #[schemars(schema_with = "super::time_schema::time")]
    pub started_at: Timestamp,

    /// Time at which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub ended_at: Option<Timestamp>,

    /// Its result.
    pub result: BackupResult,

    /// Reason of the backup while it is made, then what came of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Result of a backup.
#[derive(Serialize, Deserialize, schemars::JsonSchema, strum::Display, Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupResult {
    /// It is being made.
    Running,
    /// It was read back from each destination, unpacked and checked.
    Verified,
    /// It was read back from each destination and is what was stored; no identity is declared that
    /// opens it to check its content.
    Intact,
    /// It was made, and is not verified in each destination.
    Unverified,
    /// Nothing was made.
    Failed,
}

/// One destination of the newest archive.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DestinationStatus {
    /// Its name; `backups` is the backups volume.
    pub name: String,

    /// Moment of the data in the newest verified backup there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub last_verified: Option<Timestamp>,

    /// Result of the newest archive there.
    pub result: DestinationResult,

    /// The problem, if there is one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// Number of backups that are kept there.
    #[serde(default)]
    pub kept: i32,
}

/// Result of storing an archive in one destination.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestinationResult {
    /// It was read back from there, unpacked and checked.
    Verified,
    /// It is there, and was checked in part.
    Stored,
    /// It is not there.
    Failed,
}

impl BackupStatus {
    /// Returns the backup that was started and has not ended.
    pub fn running(&self) -> Option<&LastBackup> {
        self.last.as_ref().filter(|last| last.ended_at.is_none())
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}
