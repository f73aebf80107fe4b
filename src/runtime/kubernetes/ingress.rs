//! The Ingress of an instance, where one is declared.

use serde_json::{Value, json};

use crate::cluster::names;
use crate::core::{Exposure, Workload};
use mai_contract::http::PORT;

/// Annotation by which cert-manager issues a certificate.
const CLUSTER_ISSUER: &str = "cert-manager.io/cluster-issuer";

pub(super) fn ingress(workload: &Workload) -> Option<Value> {
    let Some(Exposure::Ingress { host, class, tls_secret, cluster_issuer, annotations }) = &workload.cluster.exposure
    else {
        return None;
    };
    let name = names::object_name(&workload.id);
    let mut metadata = names::owned_metadata(&workload.id, &name);
    let mut all = json!(annotations);
    if let Some(issuer) = cluster_issuer {
        all[CLUSTER_ISSUER] = json!(issuer);
    }
    metadata["annotations"] = all;
    let mut spec = json!({
        "rules": [{
            "host": host,
            "http": {"paths": [{
                "path": "/",
                "pathType": "Prefix",
                "backend": {"service": {"name": name, "port": {"number": PORT}}},
            }]},
        }],
    });
    if let Some(class) = class {
        spec["ingressClassName"] = json!(class);
    }
    if let Some(secret) = tls_secret {
        spec["tls"] = json!([{"hosts": [host], "secretName": secret}]);
    }
    Some(json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}))
}
