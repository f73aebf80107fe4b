//! Properties of what instances run on, so that neither a decision nor a verb asks which it is.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::Blocked;
use crate::api::{MaiInstance, PlatformKind, Reason};

/// Address an instance of a single server listens on when its document does not say: behind a
/// reverse proxy on the same machine.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1";

/// Properties of what instances run on.
#[derive(Clone, Copy, Debug)]
pub struct Platform {
    /// Its kind.
    pub kind: PlatformKind,
    /// All instances share the ports of one machine, so two documents may compete for one.
    pub shares_ports: bool,
    /// The reconciler pulls images and needs the registry credentials for it.
    pub pulls_images: bool,
    /// Recreation and preparation take long enough to be shown in the status before they begin.
    pub recreates_slowly: bool,
    /// Most jobs that run at the same time, of all instances.
    pub concurrent_jobs: usize,
    /// Most instances that get the same image at the same time, once one of them has proved it.
    pub concurrent_upgrades: usize,
    /// Command that restores a backup of an instance, by the name of the instance and the id.
    pub restore_command: fn(&str, &str) -> String,
    /// Interval between checks of a blocked instance.
    pub blocked_interval: Duration,
    /// Time after which a deleted document is let go even though its teardown has not ended, where
    /// something else collects what is left.
    pub teardown_timeout: Option<Duration>,
    /// Memory of a server of our own image whose document declares no limit of it.
    pub default_memory: DefaultMemory,
    /// Returns where the server of an instance listens, or why it cannot run on this platform.
    pub listen: fn(&MaiInstance) -> Result<SocketAddr, Blocked>,
    /// Returns the URL people open.
    pub address: fn(&MaiInstance) -> Option<String>,
}

/// Memory of a server of our own image, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultMemory {
    /// Limit, unless the document declares one.
    pub limit: Option<u64>,
    /// Reservation, unless the document declares one. Without any, a cluster reserves the limit.
    pub reserved: Option<u64>,
}

impl DefaultMemory {
    /// Limit of a server in a container. A busy one takes a tenth of it; what a person or an
    /// upstream sends ends the server of one client and not the machine of all of them.
    pub const CONTAINER_LIMIT: u64 = 512 << 20;
}

impl Platform {
    /// Child processes of the reconciler.
    pub const PROCESS: Self = Self::single_server(PlatformKind::Process);
    /// Containers of an engine.
    pub const DOCKER: Self = Self {
        default_memory: DefaultMemory { limit: Some(DefaultMemory::CONTAINER_LIMIT), reserved: None },
        ..Self::single_server(PlatformKind::Docker)
    };

    const fn single_server(kind: PlatformKind) -> Self {
        Self {
            kind,
            shares_ports: true,
            pulls_images: true,
            recreates_slowly: true,
            concurrent_jobs: 1,
            concurrent_upgrades: 2,
            restore_command: |name, backup| format!("mai restore DIR {name} --from {backup}"),
            blocked_interval: Duration::from_secs(3),
            teardown_timeout: None,
            default_memory: DefaultMemory { limit: None, reserved: None },
            listen: listen_on_server,
            address: address_on_server,
        }
    }
}

/// Returns the URL of a declared host.
pub(crate) fn host_address(instance: &MaiInstance, tls: bool) -> Option<String> {
    let host = instance.spec.expose.host.as_ref()?;
    let scheme = if tls { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}

fn listen_on_server(instance: &MaiInstance) -> Result<SocketAddr, Blocked> {
    let expose = &instance.spec.expose;
    let port = expose.port.and_then(|port| u16::try_from(port).ok()).ok_or_else(|| {
        Blocked::new(
            Reason::UnsupportedByRuntime,
            "expose.port is missing; on a server without a cluster each instance needs a port of its own",
        )
    })?;
    let address = expose.address.as_deref().unwrap_or(DEFAULT_ADDRESS);
    let address: IpAddr = address.parse().map_err(|_| {
        Blocked::new(Reason::UnsupportedByRuntime, format!("expose.address {address:?} is not an IP address"))
    })?;
    Ok(SocketAddr::new(address, port))
}

fn address_on_server(instance: &MaiInstance) -> Option<String> {
    // A reverse proxy in front of the server is expected to speak TLS.
    if let Some(address) = host_address(instance, true) {
        return Some(address);
    }
    let port = instance.spec.expose.port?;
    Some(match instance.spec.expose.address.as_deref().unwrap_or(DEFAULT_ADDRESS) {
        "0.0.0.0" | "::" => format!("http://localhost:{port}"),
        address if address.contains(':') => format!("http://[{address}]:{port}"),
        address => format!("http://{address}:{port}"),
    })
}

/// Returns whether two listeners on one port of one machine would collide, as the kernel decides
/// it.
pub fn addresses_overlap(one: IpAddr, other: IpAddr) -> bool {
    one.is_unspecified() || other.is_unspecified() || one.to_canonical() == other.to_canonical()
}
