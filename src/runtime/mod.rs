//! The hands behind one trait: they observe and apply, and know nothing of schedules, upgrades or back-off.

mod observed;
mod probe;
pub mod process;
mod workload;

use std::future::Future;

use futures::stream::BoxStream;

pub use observed::{Exit, Observed, Presence, Readiness};
pub use workload::{EnvValue, InstanceId, Limits, Probe, Workload};

/// What a runtime can do for the brain. Every call is safe to repeat after a crash at any point.
pub trait Runtime: Send + Sync + 'static {
    /// Looks at what is there for an instance. `workload` is what should run, when that is known: its port is looked at too.
    fn observe(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
    ) -> impl Future<Output = Result<Observed, RuntimeError>> + Send;

    /// Starts what is declared; nothing of the instance may be running. Returns when it was started, not when it is ready.
    fn start(&self, workload: &Workload) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Stops what runs for the instance, forcibly once its grace period is over. Returns when nothing runs any more.
    fn stop(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Removes data and backups of an instance that does not run.
    fn remove_data(&self, id: &InstanceId) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Names instances of which something may have changed: an exit, a probe with another outcome. Lossy and coalescing;
    /// may be taken once.
    fn changes(&self) -> BoxStream<'static, InstanceId>;
}

/// Why a runtime could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A directory of the instance cannot be written.
    #[error(
        "{path} of {instance} cannot be written ({source}); make it writable for the user that runs mai, or set spec.storage to another place"
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
