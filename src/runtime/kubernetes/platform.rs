//! Properties of a cluster.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mai_contract::http::PORT;

use crate::api::{MaiInstance, PlatformKind, Reason};
use crate::core::{Blocked, DefaultMemory, Platform, host_address};

/// Properties of a cluster: it restarts what ends, pulls images on its nodes, and collects the
/// objects of a deleted document.
pub const PLATFORM: Platform = Platform {
    kind: PlatformKind::Kubernetes,
    shares_ports: false,
    pulls_images: false,
    recreates_slowly: false,
    concurrent_jobs: 4,
    concurrent_upgrades: 8,
    restore_command: |name, backup| format!("kubectl mai restore {name} --backup {backup}"),
    // A thousand instances may be blocked at once, and each check is a request.
    blocked_interval: Duration::from_secs(15),
    teardown_timeout: Some(Duration::from_secs(600)),
    default_memory: DefaultMemory {
        limit: Some(DefaultMemory::CONTAINER_LIMIT),
        // Above what an idle server takes, and a sixteenth of the limit: nodes hold many.
        reserved: Some(32 << 20),
    },
    listen: listen_in_pod,
    address: address_in_cluster,
};

/// Returns the address inside the pod. A pod may be moved to any node, so nothing of it may depend
/// on one.
fn listen_in_pod(instance: &MaiInstance) -> Result<SocketAddr, Blocked> {
    let storage = &instance.spec.storage;
    for (field, volume) in [("data", &storage.data), ("backups", &storage.backups)] {
        if volume.host_path.is_some() {
            return Err(Blocked::new(
                Reason::UnsupportedByRuntime,
                format!(
                    "storage.{field}.hostPath is a directory of one server; in a cluster leave it out, or name an existing claim in storage.{field}.volumeName"
                ),
            ));
        }
    }
    Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT))
}

fn address_in_cluster(instance: &MaiInstance) -> Option<String> {
    // An Ingress without a Secret for TLS serves plain HTTP; a Gateway is expected to serve TLS.
    let plain = instance.spec.expose.ingress.as_ref().is_some_and(|ingress| ingress.tls_secret_name.is_none());
    if let Some(address) = host_address(instance, !plain) {
        return Some(address);
    }
    let (name, namespace) = (instance.metadata.name.as_ref()?, instance.metadata.namespace.as_ref()?);
    Some(format!("http://mai-{name}.{namespace}:{PORT}"))
}
