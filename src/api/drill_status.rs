//! `status.backup.drill`: the drills of an instance, which bring one of its backups back and start a
//! server on it. The same type is the memory of the reconciler.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Drills of an instance. Nothing in it changes while none runs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DrillStatus {
    /// Due time or request that was handled last; at first the time of the first verified backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub last_due: Option<Timestamp>,

    /// Beginning of the value of the annotation mai.dev/drill-requested that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_request: Option<String>,

    /// The newest drill, also while it runs and if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastDrill>,

    /// The newest drill that was passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<PassedDrill>,

    /// Time of the next one: the next due time, or the next attempt after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub next: Option<Timestamp>,

    /// Failures in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i32,
}

/// The newest drill.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastDrill {
    /// Its id.
    pub id: String,

    /// Time at which it was started.
    #[schemars(schema_with = "time")]
    pub started_at: Timestamp,

    /// Time at which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub ended_at: Option<Timestamp>,

    /// Its result.
    pub result: DrillResult,

    /// Reason of the drill while it runs, then the problem, if there was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Result of a drill.
#[derive(Serialize, Deserialize, schemars::JsonSchema, strum::Display, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrillResult {
    /// It runs.
    Running,
    /// The backup was brought back and checked, and a server of ours answered on it.
    Passed,
    /// The backup could not be brought back, or no server answered on it.
    Failed,
}

/// A drill that was passed: what was brought back, and what was checked.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PassedDrill {
    /// Its id.
    pub id: String,

    /// Time at which it ended.
    #[schemars(schema_with = "time")]
    pub at: Timestamp,

    /// Id of the backup.
    pub backup: String,

    /// Name of the destination that it was read from; backups is the backups volume.
    pub destination: String,

    /// Moment of the data in the backup.
    #[schemars(schema_with = "time")]
    pub taken_at: Timestamp,

    /// The archive is encrypted, and was opened with the identity.
    #[serde(default)]
    pub encrypted: bool,

    /// Bytes of the archive.
    pub bytes: i64,

    /// Bytes of the files in it, the size and hash of each of which was compared.
    pub data_bytes: i64,

    /// Number of files in it.
    pub files: i64,

    /// Number of databases among them, each of which was checked.
    pub databases: i64,

    /// Number of rows in their tables, which was compared.
    pub rows: i64,

    /// Number of accounts, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<i64>,

    /// Number of chats, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chats: Option<i64>,

    /// Version of the throw-away server that answered and was signed in to; absent where none was
    /// started, as the program of the image is not mai.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,

    /// Seconds from the choice of the backup until all of it was there and checked, and the server
    /// was ready.
    pub recovery_seconds: i64,
}

impl DrillStatus {
    /// Returns the drill that was started and has not ended.
    pub fn running(&self) -> Option<&LastDrill> {
        self.last.as_ref().filter(|last| last.ended_at.is_none())
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Returns the schema of a time.
fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
