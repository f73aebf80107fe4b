//! The Service of an instance.

use mai_contract::http::PORT;
use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::Workload;

pub(super) fn service(workload: &Workload) -> Value {
    let mut metadata = names::owned_metadata(&workload.id, &names::object_name(&workload.id));
    for (label, value) in &workload.container.labels {
        metadata["labels"][label] = json!(value);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": "ClusterIP",
            "selector": names::pod_selector(&workload.id),
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP", "targetPort": "http", "appProtocol": "http"}],
        },
    })
}
