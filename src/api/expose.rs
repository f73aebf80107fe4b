//! `spec.expose`: how the instance is reached.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Where the instance can be reached.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!(has(self.ingress) && has(self.gateway))").message("expose.ingress and expose.gateway exclude each other: keep the one your cluster has"),
    validation = kube::core::Rule::new("!(has(self.ingress) || has(self.gateway)) || has(self.host)").message("expose.host is needed for an ingress or a gateway route")
)]
pub struct Expose {
    /// Host name people use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')").message("expose.host must be a host name such as abc.example.com"))]
    #[schemars(length(max = 253))]
    pub host: Option<String>,

    /// Port on the server (Docker and process runtimes). Each instance needs its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self >= 1 && self <= 65535").message("expose.port must be 1 to 65535"))]
    pub port: Option<i32>,

    /// Address the port is bound to: 127.0.0.1 behind a reverse proxy, 0.0.0.0 for everyone who
    /// reaches the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("isIP(self)").message("expose.address must be an IP address such as 127.0.0.1 or 0.0.0.0"))]
    #[schemars(length(max = 45))]
    pub address: Option<String>,

    /// Existing networks the container joins in addition to the shared one (Docker).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 128)))]
    pub networks: Vec<String>,

    /// Labels of the container or Service, as reverse proxies read them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = kube::core::Rule::new("self.all(k, !k.startsWith('mai.dev/'))").message("expose.labels may not begin with mai.dev/, which is reserved"))]
    #[schemars(extend("maxProperties" = 64))]
    pub labels: BTreeMap<String, String>,

    /// An Ingress (Kubernetes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// An HTTPRoute to an existing Gateway (Kubernetes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
}

/// An Ingress for the host.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Class of the controller that serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub class_name: Option<String>,

    /// Secret with the certificate; absent means no TLS at the ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub tls_secret_name: Option<String>,

    /// cert-manager ClusterIssuer that fills tlsSecretName.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub cluster_issuer: Option<String>,

    /// Further annotations for the controller.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub annotations: BTreeMap<String, String>,
}

/// A route to an existing Gateway.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Name of the Gateway.
    #[schemars(length(max = 253))]
    pub name: String,

    /// Its namespace; absent means the instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,

    /// Its listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub section_name: Option<String>,
}
