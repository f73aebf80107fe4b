//! The NetworkPolicy of an instance: nothing in and nothing out but what is stated here.
//!
//! In: its own namespace, and the namespaces of the controllers that serve its way in. Out: name resolution, and the ports of its
//! upstreams, though never the address at which clouds hand out credentials.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::{Exposure, Workload};
use mai_contract::http::PORT;

/// Where clouds hand out credentials to whoever asks.
const METADATA_SERVICE: &str = "169.254.0.0/16";

/// `entrances` are the namespaces of ingress controllers.
pub(super) fn network_policy(workload: &Workload, entrances: &BTreeSet<String>) -> Value {
    let mut from = vec![json!({"podSelector": {}})];
    let namespaces: BTreeSet<&String> = match &workload.cluster.exposure {
        None => BTreeSet::new(),
        Some(Exposure::Ingress { .. }) => entrances.iter().collect(),
        Some(Exposure::Route { namespace, .. }) => entrances.iter().chain(namespace).collect(),
    };
    if !namespaces.is_empty() {
        from.push(json!({
            "namespaceSelector": {
                "matchExpressions": [
                    {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces},
                ],
            },
        }));
    }
    let upstreams: Vec<Value> =
        workload.cluster.upstream_ports.iter().map(|port| json!({"port": port, "protocol": "TCP"})).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names::owned(&workload.id, &names::name(&workload.id)),
        "spec": {
            "podSelector": {"matchLabels": names::selector(&workload.id)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": from, "ports": [{"port": PORT, "protocol": "TCP"}]}],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {
                    "to": [
                        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [METADATA_SERVICE]}},
                        {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}},
                    ],
                    "ports": upstreams,
                },
            ],
        },
    })
}
