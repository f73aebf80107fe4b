//! The backup that a restore brings back, and the state of a restore.

use jiff::Timestamp;
use kube::KubeSchema;
use mai_contract::job::BackupId;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// A backup to bring back: the newest verified one, unless one of backup, time and file says
/// another.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("[has(self.backup), has(self.time), has(self.file)].filter(set, set).size() <= 1").message("a restore takes at most one of backup, time and file"),
    validation = kube::core::Rule::new("!has(self.instance) || self.destination != 'backups'").message("the backups volume of another instance cannot be read; name a destination that both instances have"),
    validation = kube::core::Rule::new("!has(self.instance) || !has(self.file)").message("a file is named by its path below the destination, whatever instance it is of: remove instance")
)]
pub struct RestoreSource {
    /// Destination that has it: one of spec.backup.destinations, or backups, the backups volume.
    #[serde(default = "default_destination")]
    #[schemars(length(max = 40))]
    pub destination: String,

    /// Another instance whose backup it is, in the same namespace. Its backups volume cannot be
    /// read; a destination that both share can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("instance must be the name of a MaiInstance"))]
    #[schemars(length(max = 40))]
    pub instance: Option<String>,

    /// Its id, such as 20261130-020000-1f2e3d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[0-9]{8}-[0-9]{6}-[0-9a-f]{6}$')").message("backup must be the id of a backup such as 20261130-020000-1f2e3d"))]
    #[schemars(length(max = 22))]
    pub backup: Option<String>,

    /// The newest that was taken at this time or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub time: Option<Timestamp>,

    /// A file of the destination, by its path below it: an archive of mai, or a data directory that
    /// was packed with tar, such as Open WebUI's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("!self.startsWith('/') && !self.matches('(^|/)[.][.](/|$)')").message("file must be a path below the destination, without .."))]
    #[schemars(length(max = 1024))]
    pub file: Option<String>,

    /// The identity (secret key of age) that opens it. Absent: that of spec.backup.encryption.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_secret_ref: Option<SecretRef>,
}

impl Default for RestoreSource {
    fn default() -> Self {
        Self {
            destination: default_destination(),
            instance: None,
            backup: None,
            time: None,
            file: None,
            identity_secret_ref: None,
        }
    }
}

/// The newest restore of an instance. The same type is the memory of the reconciler, so that it
/// survives wherever the status does.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// Its id. The former data is kept in a directory of this name.
    pub id: String,

    /// Cause of the restore.
    pub cause: RestoreCause,

    /// The step it is in, or its end.
    pub step: RestoreStep,

    /// The backup that is wanted.
    #[schemars(schema_with = "recorded_source")]
    pub source: RestoreSource,

    /// Job of the present step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,

    /// Id of the backup that is restored, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,

    /// Moment of its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub taken_at: Option<Timestamp>,

    /// Id of the backup of the data that was there before, in the backups volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_backup: Option<String>,

    /// Time at which it was begun.
    #[schemars(schema_with = "super::time_schema::time")]
    pub started_at: Timestamp,

    /// Time at which the present step, or the newest attempt at it, began.
    #[schemars(schema_with = "super::time_schema::time")]
    pub step_since: Timestamp,

    /// Attempts at the present step that failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i32,

    /// Cause of the last of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,

    /// Time at which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub ended_at: Option<Timestamp>,

    /// Time until which the data before it is kept in the data volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::time_schema::time")]
    pub kept_until: Option<Timestamp>,

    /// Data that earlier restores replaced and that is still kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<KeptData>,

    /// Reason while it runs, then what came of it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Data that a restore replaced.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeptData {
    /// Id of the restore.
    pub restore: String,

    /// Time until which it is kept.
    #[schemars(schema_with = "super::time_schema::time")]
    pub until: Timestamp,
}

/// Cause of a restore.
#[derive(Serialize, Deserialize, schemars::JsonSchema, strum::Display, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreCause {
    /// A person asked for it.
    Request,
    /// The document of a new instance names a backup.
    NewInstance,
    /// A new image did not work on the data.
    Upgrade,
}

/// Step of a restore.
#[derive(Serialize, Deserialize, schemars::JsonSchema, strum::Display, Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreStep {
    /// The backup is unpacked next to the data and checked; the server runs.
    Unpacking,
    /// The server is stopped.
    Stopping,
    /// The present data is backed up.
    BackingUp,
    /// The restored data takes its place.
    Swapping,
    /// The server is started on it and has to become ready.
    Starting,
    /// It did not become ready: the server is stopped.
    StoppingAgain,
    /// The former data takes its place again.
    Returning,
    /// The unpacked data is removed.
    Discarding,
    /// The restored data is in its place.
    Completed,
    /// There was data already, which is kept.
    Skipped,
    /// The data is what it was before.
    Failed,
}

impl RestoreStatus {
    /// Makes that of a restore that begins. `message` is its reason.
    pub fn begun(
        id: &BackupId,
        cause: RestoreCause,
        source: RestoreSource,
        message: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        // Whole seconds, as the API server has times.
        let now = Timestamp::from_second(now.as_second()).unwrap_or_default();
        Self {
            id: id.to_string(),
            cause,
            step: RestoreStep::Unpacking,
            source,
            job: None,
            backup: None,
            taken_at: None,
            safety_backup: None,
            started_at: now,
            step_since: now,
            failures: 0,
            problem: String::new(),
            ended_at: None,
            kept_until: None,
            earlier: Vec::new(),
            message: message.into(),
        }
    }
}

impl RestoreStep {
    /// Returns the step as a sentence for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Unpacking => "the backup is unpacked next to the data and checked; the server runs",
            Self::Stopping => "the server is stopped",
            Self::BackingUp => "the present data is backed up",
            Self::Swapping => "the restored data takes its place",
            Self::Starting => "the server is started on the restored data",
            Self::StoppingAgain => "the server did not become ready on the restored data and is stopped",
            Self::Returning => "the former data takes its place again",
            Self::Discarding => "what was unpacked is removed",
            Self::Completed => "the restored data is in its place",
            Self::Skipped => "data was there already and is kept",
            Self::Failed => "the data is what it was before",
        }
    }

    /// Returns whether the restore has ended.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::Skipped | Self::Failed)
    }
}

fn default_destination() -> String {
    mai_contract::job::BACKUPS_VOLUME.to_owned()
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Returns the schema of a source in a status, which nobody writes by hand: fields without their
/// meaning and rules.
fn recorded_source(_: &mut SchemaGenerator) -> Schema {
    let text = json_schema!({"type": "string"});
    json_schema!({
        "type": "object",
        "properties": {
            "destination": text,
            "instance": text,
            "backup": text,
            "time": {"type": "string", "format": "date-time"},
            "file": text,
            "identitySecretRef": {"type": "object", "properties": {"name": text, "key": text}},
        },
    })
}
