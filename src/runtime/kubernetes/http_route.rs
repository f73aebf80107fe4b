//! The HTTPRoute of an instance, where a Gateway is declared.

use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::{Exposure, Workload};
use mai_contract::http::PORT;

pub(super) fn http_route(workload: &Workload) -> Option<Value> {
    let Some(Exposure::Route { host, gateway, namespace, section }) = &workload.cluster.exposure else { return None };
    let name = names::object_name(&workload.id);
    let mut parent = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway});
    if let Some(namespace) = namespace {
        parent["namespace"] = json!(namespace);
    }
    if let Some(section) = section {
        parent["sectionName"] = json!(section);
    }
    Some(json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": names::owned_metadata(&workload.id, &name),
        "spec": {
            "parentRefs": [parent],
            "hostnames": [host],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"group": "", "kind": "Service", "name": name, "port": PORT, "weight": 1}],
            }],
        },
    }))
}
