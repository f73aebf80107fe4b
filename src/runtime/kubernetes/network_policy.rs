//! The NetworkPolicy of an instance: nothing in and nothing out but what is stated here.
//!
//! In: from its own namespace, from the namespaces of the controllers that serve its Ingress or
//! route, and from the operator, which asks the server for its version. Out: name resolution, and
//! the ports of its upstreams, but never the address at which clouds hand out credentials.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::{Exposure, Workload};
use mai_contract::http::PORT;

/// Addresses at which clouds hand out credentials.
const METADATA_SERVICE: &str = "169.254.0.0/16";

/// Label of the operator's pods, in every way to install it.
const OPERATOR_LABEL: (&str, &str) = ("app.kubernetes.io/part-of", "mai");
/// Label of a namespace that has its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Namespaces whose pods may connect to instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peers {
    /// Namespaces of the controllers that serve Ingresses and Gateways.
    pub(super) ingress_namespaces: BTreeSet<String>,
    /// Namespace of the operator; none where it runs outside the cluster.
    pub(super) operator_namespace: Option<String>,
}

/// Returns the namespace from which a live policy admits the operator.
pub(super) fn admitted_operator_namespace(policy: &Value) -> Option<String> {
    let peers = policy["spec"]["ingress"][0]["from"].as_array()?;
    let (label, value) = OPERATOR_LABEL;
    let peer = peers.iter().find(|peer| peer["podSelector"]["matchLabels"][label] == value)?;
    peer["namespaceSelector"]["matchLabels"][NAMESPACE_NAME].as_str().map(str::to_owned)
}

pub(super) fn network_policy(workload: &Workload, peers: &Peers) -> Value {
    let mut from = vec![json!({"podSelector": {}})];
    let ingress_namespaces = &peers.ingress_namespaces;
    let namespaces: BTreeSet<&String> = match &workload.cluster.exposure {
        None => BTreeSet::new(),
        Some(Exposure::Ingress { .. }) => ingress_namespaces.iter().collect(),
        Some(Exposure::Route { namespace, .. }) => ingress_namespaces.iter().chain(namespace).collect(),
    };
    if !namespaces.is_empty() {
        from.push(json!({
            "namespaceSelector": {
                "matchExpressions": [
                    {"key": NAMESPACE_NAME, "operator": "In", "values": namespaces},
                ],
            },
        }));
    }
    if let Some(namespace) = &peers.operator_namespace {
        let (label, value) = OPERATOR_LABEL;
        from.push(json!({
            "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: namespace}},
            "podSelector": {"matchLabels": {label: value}},
        }));
    }
    let upstreams: Vec<Value> =
        workload.cluster.upstream_ports.iter().map(|port| json!({"port": port, "protocol": "TCP"})).collect();
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names::owned_metadata(&workload.id, &names::object_name(&workload.id)),
        "spec": {
            "podSelector": {"matchLabels": names::pod_selector(&workload.id)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": from, "ports": [{"port": PORT, "protocol": "TCP"}]}],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {"to": internet(), "ports": upstreams},
            ],
        },
    })
}

/// Returns every address but that at which clouds hand out credentials.
pub(super) fn internet() -> Value {
    json!([
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": [METADATA_SERVICE]}},
        {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}},
    ])
}
