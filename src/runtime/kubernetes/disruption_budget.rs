//! The PodDisruptionBudget of an instance: it never delays a drain, and shows that one would move
//! the server.

use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::Workload;

pub(super) fn disruption_budget(workload: &Workload) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names::owned_metadata(&workload.id, &names::object_name(&workload.id)),
        "spec": {
            // With a single replica anything stricter would keep every drain waiting for ever.
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names::pod_selector(&workload.id)},
        },
    })
}
