//! `spec.resources`: CPU and memory.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// CPU and memory: reserved and maximal amounts.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || !isQuantity(self.requests.memory) || !isQuantity(self.limits.memory) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0")
        .message("resources.requests.memory may not exceed resources.limits.memory"),
    validation = kube::core::Rule::new("!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || !isQuantity(self.requests.cpu) || !isQuantity(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0")
        .message("resources.requests.cpu may not exceed resources.limits.cpu")
)]
pub struct Resources {
    /// Reserved amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,

    /// Maximal amounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Cores, such as "1" or 500m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message("cpu must be a quantity above 0 such as \"1\" or 500m"))]
    #[schemars(length(max = 32))]
    pub cpu: Option<String>,

    /// Memory, such as 2Gi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('32Mi')) >= 0").message("memory must be a quantity of at least 32Mi such as 2Gi"))]
    #[schemars(length(max = 32))]
    pub memory: Option<String>,
}
