//! The server that is to run for an instance: plain data, the same for every runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mai_contract::environment;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::{InstanceId, RegistryLogins};

/// The server that is to run for an instance.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The instance.
    pub id: InstanceId,
    /// Container image, where the runtime uses one.
    pub image: String,
    /// The whole environment of the server.
    pub env: BTreeMap<String, EnvValue>,
    /// Address it listens on (process), is published at (Docker), or listens on inside its pod
    /// (Kubernetes).
    pub listen: SocketAddr,
    /// Directory of the data, when the spec names one.
    pub data_path: Option<PathBuf>,
    /// Directory of the backups, when the spec names one.
    pub backups_path: Option<PathBuf>,
    /// Resource limits.
    pub limits: Limits,
    /// Readiness probe.
    pub probe: Probe,
    /// Time it may take to end after SIGTERM.
    pub stop_grace: Duration,
    /// Settings of a container.
    pub container: Container,
    /// Settings of a cluster.
    pub cluster: Cluster,
    /// Registry credentials, used to pull the image and never by the server.
    pub registries: RegistryLogins,
    /// SHA-256, in hex, of everything that cannot change while it runs, secret values included.
    pub hash: String,
}

impl Workload {
    /// Returns the SHA-256, in hex, of all that decides whether it becomes ready: the workload, its
    /// probe, and the time it has.
    pub fn rollout_hash(&self) -> String {
        let Probe { path, interval, timeout } = &self.probe;
        let patience = (self.container.start_period, self.cluster.retries);
        // The field had another name once; rejections that were stored then must still match.
        let cluster = format!("{:?}", self.cluster).replacen(" exposure: ", " entry: ", 1);
        let text = format!("{} {path:?} {interval:?} {timeout:?} {patience:?} {cluster}", self.hash);
        hex::encode(Sha256::digest(text))
    }

    /// Returns the key that signs the sessions of its server.
    pub fn session_key(&self) -> Option<SecretString> {
        self.env.get(environment::WEBUI_SECRET_KEY).map(|value| match value {
            EnvValue::Plain(text) => SecretString::from(text.as_str()),
            EnvValue::Secret(secret) => secret.clone(),
        })
    }

    /// Returns the secret values of its environment, by variable.
    pub fn secret_values(&self) -> BTreeMap<&str, &SecretString> {
        self.env
            .iter()
            .filter_map(|(name, value)| match value {
                EnvValue::Secret(secret) => Some((name.as_str(), secret)),
                EnvValue::Plain(_) => None,
            })
            .collect()
    }
}

/// Settings of a container, which a process ignores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Delivery of secret values.
    pub secrets: SecretDelivery,
    /// The image is known to run as another user than root, without capabilities and with nothing
    /// writable but its volumes.
    pub confined: bool,
    /// Pull policy.
    pub pull: Pull,
    /// Existing volume of the engine that holds the data; one is created for it when there is none.
    pub data_volume: Option<String>,
    /// Existing volume of the engine that holds the backups.
    pub backups_volume: Option<String>,
    /// Existing networks it joins in addition to the shared one.
    pub networks: Vec<String>,
    /// Labels for reverse proxies.
    pub labels: BTreeMap<String, String>,
    /// Reserved resources.
    pub reserved: Limits,
    /// Time it may take to become ready.
    pub start_period: Duration,
}

/// Settings of a cluster, which a single server ignores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Claim of the data.
    pub data: Claim,
    /// Claim of the backups.
    pub backups: Claim,
    /// Route from outside the cluster.
    pub exposure: Option<Exposure>,
    /// Names of Secrets with registry credentials.
    pub pull_secrets: Vec<String>,
    /// Failed probes in a row until it counts as unhealthy.
    pub retries: u32,
    /// TCP ports of the upstreams it has to reach.
    pub upstream_ports: BTreeSet<u16>,
}

/// A volume that is claimed from a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Size, as a quantity.
    pub size: String,
    /// Storage class; the cluster's default when absent.
    pub class: Option<String>,
    /// Name of an existing claim to use instead of creating one.
    pub existing: Option<String>,
}

/// Route from outside the cluster to one host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of spec.expose")]
pub enum Exposure {
    /// An Ingress.
    Ingress {
        host: String,
        class: Option<String>,
        tls_secret: Option<String>,
        cluster_issuer: Option<String>,
        annotations: BTreeMap<String, String>,
    },
    /// An HTTPRoute to a Gateway.
    Route { host: String, gateway: String, namespace: Option<String>, section: Option<String> },
}

/// Delivery of secret values to a server in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretDelivery {
    /// In a mounted file ([`mai_contract::secrets_file`]): they do not show when the container is
    /// inspected.
    File,
    /// In its environment, for images that do not read such a file.
    #[default]
    Environment,
}

/// Pull policy of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// If the engine does not have it.
    #[default]
    IfNotPresent,
    /// Before every start, and at an interval, so that a moving tag is followed.
    Always,
    /// Never.
    Never,
}

/// Value of an environment variable. `Debug` never shows a secret one.
#[derive(Clone, Debug)]
pub enum EnvValue {
    /// Not secret.
    Plain(String),
    /// Secret.
    Secret(SecretString),
}

/// Amounts of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

/// Readiness probe of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Path that answers 200.
    pub path: String,
    /// Interval between probes of a ready server.
    pub interval: Duration,
    /// Time a probe may take.
    pub timeout: Duration,
}
