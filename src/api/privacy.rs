//! `spec.privacy`: what the upstream may do with what people write.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use strum::AsRefStr;

/// Rules for each call of OpenRouter. They hold for pages and API, and no request can weaken them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Privacy {
    /// Uses only model providers that keep nothing of a request (zero data retention).
    #[serde(default)]
    pub zdr: bool,

    /// Uses only model providers that do not train on requests.
    #[serde(default)]
    pub no_training: bool,

    /// Region in which requests are processed, by a host of OpenRouter of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// A region of OpenRouter; as text, the value of `MAI_REGION`.
#[derive(AsRefStr, Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The European Union.
    EU,
}
