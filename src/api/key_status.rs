//! `status.openRouterKey`: the key of the client that mai made at the upstream.

use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The key of an instance that was made with a management key. Its value is nowhere in the status.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OpenRouterKeyStatus {
    /// Hash by which the upstream names it.
    pub hash: String,

    /// Time at which it was made.
    #[schemars(schema_with = "super::time_schema::time")]
    pub created_at: Timestamp,
}
