//! What a runtime is asked to run: plain data, the same for every runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::RegistryLogins;

/// Which instance. The uid tells apart what once had the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId {
    /// Namespace; `default` where documents are files.
    pub namespace: String,
    /// Name of the `MaiInstance`.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl InstanceId {
    /// As logs name it.
    pub fn in_logs(&self) -> String {
        in_logs(&self.namespace, &self.name)
    }
}

/// How logs name an instance: with its namespace, unless that is `default`, as it is of every document of a directory.
pub fn in_logs(namespace: &str, name: &str) -> String {
    match namespace {
        "default" => name.to_owned(),
        _ => format!("{namespace}/{name}"),
    }
}

impl std::fmt::Display for InstanceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

/// One declared server.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Whose it is.
    pub id: InstanceId,
    /// Container image, where the runtime uses one.
    pub image: String,
    /// The whole environment the server is told.
    pub env: BTreeMap<String, EnvValue>,
    /// Where it listens (process), is published (Docker), or listens inside its pod (Kubernetes).
    pub listen: SocketAddr,
    /// Directory of the data, when the spec names one.
    pub data_path: Option<PathBuf>,
    /// Directory of the backups, when the spec names one.
    pub backups_path: Option<PathBuf>,
    /// What it may use at most.
    pub limits: Limits,
    /// How it is asked whether it is ready.
    pub probe: Probe,
    /// How long it may take to end after SIGTERM.
    pub stop_grace: Duration,
    /// What only a container engine looks at.
    pub container: Container,
    /// What only a cluster looks at.
    pub cluster: Cluster,
    /// Logins at registries, for pulling the image; a server that runs has no use for them.
    pub registries: RegistryLogins,
    /// SHA-256, in hex, of everything that cannot change while it runs; values of secrets included.
    pub hash: String,
}

impl Workload {
    /// SHA-256, in hex, of all that decides whether it becomes ready: what it is, how it is asked, and how much time it has.
    pub fn attempt(&self) -> String {
        let Probe { path, interval, timeout } = &self.probe;
        let patience = (self.container.start_period, self.cluster.retries);
        let text = format!("{} {path:?} {interval:?} {timeout:?} {patience:?} {:?}", self.hash, self.cluster);
        hex::encode(Sha256::digest(text))
    }
}

/// What is declared for a container and means nothing to a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// How secret values reach the server.
    pub secrets: SecretDelivery,
    /// Whether the image is known to run as another user than root, without capabilities and with nothing writable but its volumes.
    pub confined: bool,
    /// When its image is pulled.
    pub pull: Pull,
    /// Existing volume of the engine that holds the data; one of its own is made when there is none.
    pub data_volume: Option<String>,
    /// Existing volume of the engine that holds the backups.
    pub backups_volume: Option<String>,
    /// Existing networks it joins beside the shared one.
    pub networks: Vec<String>,
    /// Labels for reverse proxies.
    pub labels: BTreeMap<String, String>,
    /// What is reserved for it.
    pub reserved: Limits,
    /// How long it may take to become ready.
    pub start_period: Duration,
}

/// What is declared for a cluster and means nothing on a single server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Claim of the data.
    pub data: Claim,
    /// Claim of the backups.
    pub backups: Claim,
    /// The way in from outside.
    pub entry: Option<Entry>,
    /// Names of Secrets with registry credentials.
    pub pull_secrets: Vec<String>,
    /// Failed probes in a row until it counts as unhealthy.
    pub retries: u32,
    /// TCP ports of the upstreams it has to reach.
    pub upstream_ports: BTreeSet<u16>,
}

/// A volume as a cluster is asked for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Size, as a quantity.
    pub size: String,
    /// Storage class; the cluster's default when absent.
    pub class: Option<String>,
    /// Name of an existing claim that is used instead of one of its own.
    pub existing: Option<String>,
}

/// A way in from outside the cluster, to one host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of spec.expose")]
pub enum Entry {
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

/// What instances run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// One server, whose ports and directories all instances share.
    Server,
    /// A cluster, which starts again by itself what ends, and collects what belonged to a deleted document.
    Cluster,
}

/// How secret values reach a server in a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecretDelivery {
    /// In a file that is mounted and named by `MAI_SECRETS_FILE`: they do not show when the container is inspected.
    File,
    /// In its environment, for images that know nothing of such a file.
    #[default]
    Environment,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// When the engine does not have it.
    #[default]
    IfNotPresent,
    /// Before every start, and at an interval, so that a tag that moves is followed.
    Always,
    /// Never.
    Never,
}

/// One environment value. `Debug` never shows a secret one.
#[derive(Clone, Debug)]
pub enum EnvValue {
    /// For what is not secret.
    Plain(String),
    /// For what is.
    Secret(SecretString),
}

/// What a workload may use at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

/// How a server is asked whether it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Path that answers 200.
    pub path: String,
    /// Time between two probes once it is ready.
    pub interval: Duration,
    /// Time a probe may take.
    pub timeout: Duration,
}
