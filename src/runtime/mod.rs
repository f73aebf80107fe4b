//! Observes what runs for an instance and applies actions to it: on child processes, a Docker
//! engine or a cluster. Schedules, back-off and upgrades are decided elsewhere.
//!
//! A runtime gets a [`Workload`] and an [`Action`] and reports what is there as [`Observed`]; it
//! never reads a document. What differs between platforms is a value ([`Platform`]).

mod boxed;
pub(crate) mod changes;
pub mod docker;
mod error;
mod job_files;
mod key_rotation_file;
pub mod kubernetes;
mod log_tail;
mod maintenance;
mod manual;
mod port;
pub(crate) mod probe;
pub mod process;
mod readiness;
mod request_file;
mod retired;

use std::future::Future;
use std::net::SocketAddr;

use futures::stream::BoxStream;

pub use boxed::{BoxedObserver, BoxedRuntime};
pub use error::{BoxError, RuntimeError};
pub use key_rotation_file::KeyRotationFile;
pub use maintenance::MaintenanceLock;
pub use manual::{
    Directories, Exec, ExecCommand, Manual, ManualFuture, NewPlace, Output, OutputStream, RemoteCommand, RemoteControl,
    TakenDown, Target,
};
pub use request_file::{JobRequestFile, Request, RequestFile, RestoreRequestFile};
pub use retired::{RetiredData, RetiredKind, UsedPlaces};

use mai_contract::job::Outcome;

use crate::api::RestoreStatus;
use crate::core::{Action, InstanceId, Job, Observed, Platform, Probe, Workload};

/// Reads what is there. What `mai plan` uses, so that it cannot change anything.
pub trait Observe: Send + Sync + 'static {
    /// Returns the properties of the platform.
    fn platform(&self) -> Platform;

    /// Observes an instance. `workload` is what should run, if that is known: what runs is compared
    /// with it, and its port and image are checked.
    fn observe(
        &self,
        id: &InstanceId,
        workload: Option<&Workload>,
    ) -> impl Future<Output = Result<Observed, RuntimeError>> + Send;

    /// Returns the address at which the reconciler reaches the server of an instance that was observed
    /// to be ready; nothing while that is not known.
    fn server_address(&self, _id: &InstanceId, workload: &Workload) -> Option<SocketAddr> {
        Some(workload.listen)
    }
}

/// Applies actions. Every call may be repeated after a crash at any point, and continues from what
/// it finds.
pub trait Apply: Observe {
    /// Applies an action to an instance. `workload` is what should run; actions that only concern
    /// what already exists do without. Returns when the action is done, for a start before the
    /// server is ready.
    fn apply(
        &self,
        id: &InstanceId,
        action: &Action,
        workload: Option<&Workload>,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Starts a job of an instance, which goes on when this program ends. Does nothing when a job of
    /// that name exists.
    fn start_job(&self, id: &InstanceId, job: &Job) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Ends the job of that name and removes all of it, but not what it stored. A request of that
    /// name is answered with `outcome`. Does nothing when there is neither.
    fn remove_job(
        &self,
        id: &InstanceId,
        name: &str,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Answers the request for the restore that has the id of `end`. Does nothing when there is none.
    fn answer_restore(
        &self,
        id: &InstanceId,
        end: &RestoreStatus,
    ) -> impl Future<Output = Result<(), RuntimeError>> + Send;

    /// Returns the instances of which something may have changed: an exit, a probe with another
    /// result, a job that ended, a job or a restore that was requested. Lossy and coalescing; may be called once.
    fn changes(&self) -> BoxStream<'static, InstanceId>;

    /// Stops the servers that must not outlive this program, all at once. Called last; most
    /// platforms have none.
    fn shutdown(&self) -> impl Future<Output = Result<(), RuntimeError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Returns the workload of an action that cannot do without.
fn required<'a>(action: &Action, workload: Option<&'a Workload>) -> Result<&'a Workload, RuntimeError> {
    workload.ok_or_else(|| RuntimeError::Unsupported(format!("there is no workload to {action}")))
}

/// Returns whether a server answers its probe now.
pub async fn answers(listen: SocketAddr, probe: &Probe) -> bool {
    matches!(probe::ask(listen, probe).await, probe::Answer::Ready { .. })
}
