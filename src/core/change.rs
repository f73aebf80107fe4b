//! A difference between what is declared and what was observed.

use std::fmt;

use serde::{Serialize, Serializer};

/// One field that differs. A secret's value is never shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The field.
    pub field: Field,
    /// Effect of bringing it to the declared value.
    #[serde(skip)]
    pub effect: Effect,
    /// The observed value.
    pub from: String,
    /// The declared value.
    pub to: String,
}

/// Effect of a change on the running server, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Concerns an object next to the server, or the name or state of its container. Applied
    /// whether the server runs, is suspended or was rolled back.
    Auxiliary,
    /// Changes the server while it runs.
    InPlace,
    /// Needs another server.
    Recreate,
}

/// A field of a workload, in the words of its platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the engine's and the cluster's")]
pub enum Field {
    Image,
    User,
    Command,
    HealthCheck,
    StopTimeout,
    Memory,
    MemoryReservation,
    MemorySwap,
    Cpus,
    CpuShares,
    CpuSet,
    MemoryNodes,
    CpuRealtime,
    PidsLimit,
    BlkioWeight,
    RestartPolicy,
    Init,
    Privileged,
    ReadOnlyRoot,
    CapabilitiesDropped,
    CapabilitiesAdded,
    SecurityOptions,
    ExtraHosts,
    Tmpfs,
    LogDriver,
    Env(String),
    Label(String),
    Mount(String),
    Port(String),
    Network(String),
    /// Names and addresses of a container in a network.
    Endpoint(String),
    /// Another setting of a container that the engine's host configuration has, by its name there.
    HostSetting(String),
    /// Name of the container.
    Name,
    /// The container is paused.
    Paused,
    /// A container that nothing needs any more.
    LeftOver,
    /// The file with its secret values is missing.
    SecretsFile,
    /// Secret values differ, and which is not known.
    Secrets,
    /// Address a process listens on.
    Listen,
    /// Data directory of a process.
    Data,
    /// Uid of the instance that a process was started for.
    Uid,
    /// Something else that a process was started with.
    Workload,
    /// A Kubernetes object as a whole: its kind and name.
    Object {
        kind: &'static str,
        name: String,
    },
    /// A field of a Kubernetes object, by its path.
    ObjectField {
        kind: &'static str,
        path: String,
    },
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Image => "image",
            Self::User => "user",
            Self::Command => "command",
            Self::HealthCheck => "health check",
            Self::StopTimeout => "stop timeout",
            Self::Memory => "memory",
            Self::MemoryReservation => "memory reserved",
            Self::MemorySwap => "memory swap",
            Self::Cpus => "cpus",
            Self::CpuShares => "cpu weight",
            Self::CpuSet => "cpu set",
            Self::MemoryNodes => "memory nodes",
            Self::CpuRealtime => "cpu realtime",
            Self::PidsLimit => "pids limit",
            Self::BlkioWeight => "block I/O weight",
            Self::RestartPolicy => "restart",
            Self::Init => "init",
            Self::Privileged => "privileged",
            Self::ReadOnlyRoot => "read-only root",
            Self::CapabilitiesDropped => "capabilities dropped",
            Self::CapabilitiesAdded => "capabilities added",
            Self::SecurityOptions => "security",
            Self::ExtraHosts => "extra hosts",
            Self::Tmpfs => "tmpfs",
            Self::LogDriver => "log",
            Self::Name => "name",
            Self::Paused => "paused",
            Self::LeftOver => "left over",
            Self::SecretsFile => "secrets file",
            Self::Secrets => "secrets",
            Self::Listen => "listen",
            Self::Data => "data",
            Self::Uid => "uid",
            Self::Workload => "workload",
            Self::Env(name) => return write!(f, "env.{name}"),
            Self::Label(name) => return write!(f, "label.{name}"),
            Self::Mount(target) => return write!(f, "mount.{target}"),
            Self::Port(port) => return write!(f, "port.{port}"),
            Self::Network(name) => return write!(f, "network.{name}"),
            Self::Endpoint(name) => return write!(f, "network.{name} as"),
            Self::HostSetting(name) => return write!(f, "host.{name}"),
            Self::Object { kind, name } => return write!(f, "{kind} {name}"),
            Self::ObjectField { kind, path } => return write!(f, "{kind}{path}"),
        };
        f.write_str(name)
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.field, self.from, self.to)
    }
}
