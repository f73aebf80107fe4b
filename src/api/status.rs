//! `status`: the observed state.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{BackupStatus, OpenRouterKeyStatus, RestoreStatus, UpgradeStatus, UsageStatus};

/// Observed state of an instance. Nothing in it changes while the instance does not.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MaiInstanceStatus {
    /// Generation of the spec that this status belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Reconciling and Stalled as kstatus defines them, and further ones by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "super::condition_schema::conditions")]
    #[x_kube(merge_strategy = kube::core::ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// URL people open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,

    /// Version of the server that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Number of times in a row that the server ended by itself; 0 once it has been ready for a
    /// while.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restarts: i32,

    /// Workload that was rolled back because it did not become ready. It is not tried again until
    /// something else is declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,

    /// Image of the server that was ready last, with its id where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// The newest change of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,

    /// Backups of the instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,

    /// The key that was made for it with the management key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_router_key: Option<OpenRouterKeyStatus>,

    /// The newest restore of its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,

    /// Use that the client makes of it, as its server counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageStatus>,
}

/// A workload that was rolled back.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// SHA-256 over what was declared.
    pub hash: String,

    /// Cause of the rollback.
    pub why: String,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}
