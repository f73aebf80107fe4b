//! `status.upgrade`: the newest change of the image. The same type is the memory of the reconciler,
//! so that it survives wherever the status does.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The newest change of the image of an instance. Nothing in it changes while the instance does not.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// Image before it, with its id where that is known.
    pub from: String,

    /// Image that is declared, in the same form.
    pub to: String,

    /// The step it is in, or its end.
    pub step: UpgradeStep,

    /// Job that makes its backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,

    /// Id of the verified backup that was made before it, in the backups volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,

    /// Time at which it began, after its turn had come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub started_at: Option<Timestamp>,

    /// Time at which the present step began.
    #[schemars(schema_with = "time")]
    pub step_since: Timestamp,

    /// Time at which it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time")]
    pub ended_at: Option<Timestamp>,

    /// Failed attempts with this image in a row. After two it is not tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i32,

    /// Failed attempts to make its backup in a row.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub backup_failures: i32,

    /// Generation of the document since which it has been held up by the failure of another
    /// instance. A newer one goes its own way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halted_generation: Option<i64>,

    /// It was begun by the annotation mai.dev/upgrade-now, which counts for one attempt.
    #[serde(default, skip_serializing_if = "is_false")]
    pub forced: bool,

    /// Cause of the wait or of the end.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,

    /// The last change of the image that was completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<CompletedUpgrade>,
}

/// A change of the image that was completed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CompletedUpgrade {
    /// Image before it.
    pub from: String,

    /// Image after it.
    pub to: String,

    /// Id of the backup that was made before it, in the backups volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,

    /// Time at which it was completed.
    #[schemars(schema_with = "time")]
    pub at: Timestamp,
}

/// Step of an upgrade.
#[derive(Serialize, Deserialize, schemars::JsonSchema, strum::Display, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpgradeStep {
    /// Other instances get the image first.
    #[default]
    WaitingForCanary,
    /// The maintenance window is not open.
    WaitingForWindow,
    /// Another instance failed with the image.
    Halted,
    /// The image failed twice here.
    BreakerOpen,
    /// The data is backed up; the former server runs.
    BackingUp,
    /// The server is replaced and has to become ready.
    Replacing,
    /// It is ready, and has to stay so for a while.
    Settling,
    /// It failed: the data of the backup is restored.
    ReturningData,
    /// The new image serves.
    Completed,
    /// It failed, and the former image serves again.
    RolledBack,
    /// It failed, and the new image stays.
    Failed,
}

impl UpgradeStep {
    /// Returns whether it waits for its turn.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::WaitingForWindow | Self::WaitingForCanary | Self::Halted | Self::BreakerOpen)
    }

    /// Returns whether it has ended.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Completed | Self::RolledBack | Self::Failed)
    }

    /// Returns whether it has begun and not ended.
    pub fn is_under_way(self) -> bool {
        !self.is_waiting() && !self.is_end()
    }

    /// Returns whether the new image has the data and is not proved yet.
    pub fn is_on_trial(self) -> bool {
        matches!(self, Self::Replacing | Self::Settling)
    }
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// Returns the schema of an optional time.
fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
