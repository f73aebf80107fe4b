//! The memory of an instance between decisions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::api::{BackupStatus, Rejected, RestoreStatus, UpgradeStatus};

/// Memory of an instance between decisions, across restarts of the reconciler.
///
/// A long operation on an instance (a backup, an upgrade) belongs here as a value, one at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Memory {
    /// Number of times in a row that the server ended by itself or was stopped for not answering.
    pub failures: u32,
    /// End of the run that was counted last, or that was asked for.
    pub counted_exit: Option<Timestamp>,
    /// Time since which it has been ready without a break.
    pub ready_since: Option<Timestamp>,
    /// Workload that was rolled back. It is not tried again until something else is declared.
    pub rejected: Option<Rejected>,
    /// Image of the server that was ready last, with its id where that is known.
    pub image: Option<String>,
    /// The newest change of the image, as it is in the status.
    pub upgrade: Option<UpgradeStatus>,
    /// The deleted instance's workload is gone.
    pub removed: bool,
    /// The deleted instance's data is gone.
    pub data_removed: bool,
    /// Backups, as they are in the status.
    pub backup: BackupStatus,
    /// The newest restore, as it is in the status.
    pub restore: Option<RestoreStatus>,
}
