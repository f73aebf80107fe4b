//! The hands behind one trait: they observe and apply, and know nothing of schedules, upgrades or back-off.

mod changes;
pub mod docker;
mod hold;
pub mod kubernetes;
mod log_tail;
mod observed;
mod ownership;
mod port;
pub(crate) mod probe;
pub mod process;
mod readiness;
mod registry;
mod workload;

use std::future::Future;

use futures::stream::BoxStream;

pub use hold::Hold;
pub use observed::{Cause, Change, Drift, Exit, Former, Observed, Part, PartKind, Presence, Readiness, Trouble};
pub(crate) use ownership::give_tree;
pub use ownership::{Given, Tally};
pub use registry::{DOCKER_CONFIG, RegistryLogin, RegistryLogins};
pub use workload::{
    Claim, Cluster, Container, Entry, EnvValue, Ground, InstanceId, Limits, Probe, Pull, SecretDelivery, Workload,
    in_logs,
};

/// What a runtime can do for the brain. Every call is safe to repeat after a crash at any point, and goes on from what it finds.
pub trait Runtime: Send + Sync + 'static {
    /// What its instances run on.
    fn ground(&self) -> Ground {
        Ground::Server
    }

    /// Looks at what is there for an instance. `workload` is what should run, when that is known: what runs is compared with it, and its
    /// port and image are looked at.
    fn observe(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
    ) -> impl Future<Output = Result<Observed, RuntimeError>> + Send;

    /// Gets what a start needs and may take long to get (an image), while what runs goes on.
    fn prepare(&self, workload: &Workload) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Makes and starts what is declared, where nothing is there. Returns when it was started, not when it is ready.
    fn start(&self, workload: &Workload) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Starts what is there and does not run, as it is.
    fn resume(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Changes what can change without a restart, and starts nothing. Where what runs is not what is declared it stays, and what is
    /// beside it is put right.
    fn update(&self, workload: &Workload) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Puts what is declared in the place of what runs, and keeps that where the runtime can until [`Runtime::commit`] or
    /// [`Runtime::roll_back`]. Where it cannot, this is a stop and a start.
    fn replace(&self, workload: &Workload) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// The replacement answers: lets go of what it replaced.
    fn commit(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// The replacement does not answer: removes it and starts what it replaced.
    fn roll_back(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Stops what runs for the instance, forcibly once its grace period is over. Returns when nothing runs any more.
    fn stop(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes everything of a stopped instance but its volumes.
    fn remove(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes data and backups of an instance that does not run.
    fn remove_data(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Names instances of which something may have changed: an exit, a probe with another outcome. Lossy and coalescing;
    /// may be taken once.
    fn changes(&self) -> BoxStream<'static, InstanceId>;

    /// This program ends: attached servers are stopped, all at once; what outlives it goes on. To be called last.
    fn shutdown(&self) -> impl Future<Output = Result<(), RuntimeError>> + Send;
}

/// Eyes without hands: what `mai plan` looks with, so that it cannot change anything.
pub trait Eyes: Send + Sync + 'static {
    /// What its instances run on.
    fn ground(&self) -> Ground {
        Ground::Server
    }

    /// As [`Runtime::observe`].
    fn look(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
    ) -> impl Future<Output = Result<Observed, RuntimeError>> + Send;
}

impl<R: Runtime> Eyes for R {
    fn ground(&self) -> Ground {
        Runtime::ground(self)
    }

    fn look(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
    ) -> impl Future<Output = Result<Observed, RuntimeError>> + Send {
        self.observe(id, workload)
    }
}

/// Whether a server answers its probe now.
pub async fn answers(listen: std::net::SocketAddr, probe: &Probe) -> bool {
    matches!(probe::ask(listen, probe).await, probe::Answer::Ready { .. })
}

/// What makes a directory writable.
fn mend(refused: &std::io::Error) -> &'static str {
    match refused.kind() {
        // Most often not the disk but what systemd lets a unit see of it.
        std::io::ErrorKind::ReadOnlyFilesystem => "name it in ReadWritePaths of mai.service, if systemd runs mai",
        _ => "make it writable for the user that runs mai",
    }
}

/// Why a runtime could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A directory of the instance cannot be written.
    #[error(
        "{path} of {instance} cannot be written ({source}); {}, or set spec.storage to another place",
        mend(source)
    )]
    NotWritable {
        /// The instance.
        instance: String,
        /// The directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another program listens on the declared port.
    #[error("port {port} of {instance} is taken by {holder}; stop that program or declare another expose.port")]
    PortTaken {
        /// The instance.
        instance: String,
        /// The port.
        port: u16,
        /// Who listens, as far as it can be told.
        holder: String,
    },
    /// The declared thing is not possible on this runtime.
    #[error("{0}")]
    Unsupported(String),
    /// The image cannot be had.
    #[error("image {image} of {instance} cannot be had: {said}; build or pull it on this server, or mend spec.image")]
    Image {
        /// The instance.
        instance: String,
        /// The image.
        image: String,
        /// What the engine said.
        said: String,
    },
    /// Something of that name is there and is not ours.
    #[error("{what} is there and does not belong to {instance}; rename or remove it, or rename the instance")]
    NameTaken {
        /// The instance.
        instance: String,
        /// The thing, such as "container mai-abc".
        what: String,
    },
    /// The engine does not answer or answers with an error.
    #[error("{action} of {instance}: the engine says: {said}")]
    Engine {
        /// What was tried, as a noun.
        action: &'static str,
        /// The instance.
        instance: String,
        /// Its own words.
        said: String,
    },
    /// Anything else the system refused.
    #[error("{action} of {instance} failed: {source}")]
    Failed {
        /// What was tried, as a noun: "start", "stop".
        action: &'static str,
        /// The instance.
        instance: String,
        /// What the system said.
        source: std::io::Error,
    },
}
