//! `spec.upgrade`: behaviour when the image changes.

use std::time::Duration;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{MaintenanceWindow, parse_duration};

/// Time that a new image has to be ready without a break, unless declared.
const SETTLE: &str = "2m";

/// Behaviour when the image changes. Absent fields have the same defaults as an absent section.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// Makes a verified backup before the new image gets the data, in the backups volume. Absent
    /// means true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_first: Option<bool>,

    /// Returns the former image, and the data of the backup, if the new one does not become ready or
    /// does not stay so; it is not tried again until the document changes. Absent means true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<bool>,

    /// Time that the new image has to be ready without a break until the upgrade is completed, such
    /// as 10m; up to 24h. Absent means 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([0-9]+(ms|s|m|h))+$') && duration(self) <= duration('24h')").message("upgrade.settle must be a duration of up to 24h such as 10m"))]
    #[schemars(length(max = 32))]
    pub settle: Option<String>,

    /// The only time in which a running server gets another image. Absent means any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<MaintenanceWindow>,
}

impl Upgrade {
    /// Returns whether a backup is made first.
    pub fn backs_up_first(&self) -> bool {
        self.backup_first.unwrap_or(true)
    }

    /// Returns whether a failed upgrade is undone.
    pub fn rolls_back(&self) -> bool {
        self.rollback.unwrap_or(true)
    }

    /// Returns the time that the new image has to be ready without a break.
    pub fn settle(&self) -> Duration {
        parse_duration(self.settle_text()).unwrap_or(Duration::from_secs(120))
    }

    /// Returns the same as it is declared.
    pub fn settle_text(&self) -> &str {
        self.settle.as_deref().unwrap_or(SETTLE)
    }
}
