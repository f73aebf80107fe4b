//! `spec.upgrade`: behaviour when the image changes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Behaviour when the image changes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// Takes a verified backup before the new version touches the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_first: Option<bool>,

    /// Restores image and data if the new version does not become ready, and does not retry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<bool>,

    /// The only time in which versions change. Absent: any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<MaintenanceWindow>,
}

/// A weekly maintenance window.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MaintenanceWindow {
    /// Days on which it opens; empty means every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub days: Vec<Weekday>,

    /// Local time at which it opens, such as "22:00".
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')").message("upgrade.window.start must be a time in quotes such as \"22:00\""))]
    #[schemars(length(max = 5))]
    pub start: String,

    /// Time it stays open, such as 4h.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^([0-9]+(s|m|h))+$') && !self.matches('^(0+(s|m|h))+$')").message("upgrade.window.duration must be a duration above 0 such as 4h"))]
    #[schemars(length(max = 32))]
    pub duration: String,

    /// IANA time zone of start.
    #[serde(default = "default_time_zone")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[A-Za-z]+([_+-][A-Za-z0-9]+)*(/[A-Za-z0-9_+-]+)*$')").message("upgrade.window.timeZone must be an IANA name such as Europe/Warsaw"))]
    #[schemars(length(max = 64))]
    pub time_zone: String,
}

/// Days of the week.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of the days say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

fn default_time_zone() -> String {
    "UTC".to_owned()
}
