//! Holders of a port, among all containers and all listeners of the machine, found before anything
//! is stopped for it.

use std::net::{IpAddr, SocketAddr};

use bollard::models::{ContainerInspectResponse, ContainerSummary};

use super::containers::{self, InstanceContainers};
use super::labels::read_owner;
use super::orphans::ORPHANED;
use super::spec::container_port;
use crate::core::InstanceId;
use crate::runtime::port;

/// Returns the address at which a container of ours publishes its server.
pub(super) fn published(container: &ContainerInspectResponse) -> Option<SocketAddr> {
    let bindings = container.host_config.as_ref()?.port_bindings.as_ref()?.get(&container_port())?.as_ref()?;
    let binding = bindings.first()?;
    let ip = binding.host_ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0");
    Some(SocketAddr::new(ip.parse().ok()?, binding.host_port.as_deref()?.parse().ok()?))
}

/// Returns what else listens on `wanted`. `own` is the address at which the instance publishes its
/// server now, which becomes free before `wanted` is needed.
pub(super) async fn holder(
    id: &InstanceId,
    wanted: SocketAddr,
    own: Option<SocketAddr>,
    containers: &InstanceContainers,
    all: &[ContainerSummary],
) -> Option<String> {
    let ours =
        |container: &&ContainerSummary| containers.all().any(|reference| Some(&reference.id) == container.id.as_ref());
    let container =
        all.iter().filter(|container| containers::is_running(container) && !ours(container)).find(|container| {
            container.ports.iter().flatten().any(|port| {
                let ip = port.ip.as_deref().and_then(|ip| ip.parse().ok()).unwrap_or(IpAddr::from([0, 0, 0, 0]));
                port.public_port.is_some_and(|public| overlap(SocketAddr::new(ip, public), wanted))
            })
        });
    if let Some(container) = container {
        let owner = container.labels.as_ref().and_then(read_owner);
        let is_orphan = owner.is_some_and(|owner| owner.is_namesake(id));
        let whose = if is_orphan { ORPHANED } else { "" };
        return Some(format!("container {}{whose}", containers::name(container).unwrap_or("without a name")));
    }
    if own.is_some_and(|own| overlap(own, wanted)) {
        return None;
    }
    // An address that this machine does not have is free; the start reports why it fails.
    if port::is_free(wanted).unwrap_or(true) {
        return None;
    }
    Some(listener(wanted).await)
}

/// Returns the name of the program that listens there.
pub(super) async fn listener(wanted: SocketAddr) -> String {
    let listeners = tokio::task::spawn_blocking(move || port::listeners(wanted)).await.unwrap_or_default();
    // A forwarder of no container is left from an engine that was killed during a start, and ends
    // only with a restart of the engine.
    let forwarder = |pid: u32| {
        let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        (program.trim_end() == "docker-proxy")
            .then(|| "the engine itself, for a container that no longer exists; restart the engine".to_owned())
    };
    port::name(&listeners, forwarder)
}

fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && (any(a.ip()) || any(b.ip()) || a.ip().to_canonical() == b.ip().to_canonical())
}
