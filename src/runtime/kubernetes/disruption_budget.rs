//! The PodDisruptionBudget of an instance: a node may be drained, which moves the server, and people see what that would end.

use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::Workload;

pub(super) fn disruption_budget(workload: &Workload) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names::owned(&workload.id, &names::name(&workload.id)),
        "spec": {
            // With a single replica anything stricter would keep every drain waiting for ever.
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names::selector(&workload.id)},
        },
    })
}
