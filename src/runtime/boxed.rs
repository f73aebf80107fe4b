//! Runtimes behind a pointer, for callers that choose one while they run.

use std::net::SocketAddr;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use mai_contract::job::Outcome;

use super::{Apply, Observe, RuntimeError};
use crate::api::RestoreStatus;
use crate::core::{Action, InstanceId, Job, Observed, Platform, Workload};

/// An observer of any platform.
pub struct BoxedObserver(Box<dyn DynObserve>);

/// A runtime of any platform.
pub struct BoxedRuntime(Box<dyn DynApply>);

impl BoxedObserver {
    /// Boxes an observer.
    pub fn new(observer: impl Observe) -> Self {
        Self(Box::new(observer))
    }
}

impl BoxedRuntime {
    /// Boxes a runtime.
    pub fn new(runtime: impl Apply) -> Self {
        Self(Box::new(runtime))
    }
}

trait DynObserve: Send + Sync + 'static {
    fn dyn_platform(&self) -> Platform;

    fn dyn_observe<'a>(
        &'a self,
        id: &'a InstanceId,
        workload: Option<&'a Workload>,
    ) -> BoxFuture<'a, Result<Observed, RuntimeError>>;

    fn dyn_server_address(&self, id: &InstanceId, workload: &Workload) -> Option<SocketAddr>;
}

trait DynApply: DynObserve {
    fn dyn_apply<'a>(
        &'a self,
        id: &'a InstanceId,
        action: &'a Action,
        workload: Option<&'a Workload>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;

    fn dyn_start_job<'a>(&'a self, id: &'a InstanceId, job: &'a Job) -> BoxFuture<'a, Result<(), RuntimeError>>;

    fn dyn_remove_job<'a>(
        &'a self,
        id: &'a InstanceId,
        name: &'a str,
        outcome: &'a Outcome,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;

    fn dyn_answer_restore<'a>(
        &'a self,
        id: &'a InstanceId,
        end: &'a RestoreStatus,
    ) -> BoxFuture<'a, Result<(), RuntimeError>>;

    fn dyn_changes(&self) -> BoxStream<'static, InstanceId>;

    fn dyn_shutdown(&self) -> BoxFuture<'_, Result<(), RuntimeError>>;
}

impl<T: Observe> DynObserve for T {
    fn dyn_platform(&self) -> Platform {
        self.platform()
    }

    fn dyn_observe<'a>(
        &'a self,
        id: &'a InstanceId,
        workload: Option<&'a Workload>,
    ) -> BoxFuture<'a, Result<Observed, RuntimeError>> {
        Box::pin(self.observe(id, workload))
    }

    fn dyn_server_address(&self, id: &InstanceId, workload: &Workload) -> Option<SocketAddr> {
        self.server_address(id, workload)
    }
}

impl<T: Apply> DynApply for T {
    fn dyn_apply<'a>(
        &'a self,
        id: &'a InstanceId,
        action: &'a Action,
        workload: Option<&'a Workload>,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.apply(id, action, workload))
    }

    fn dyn_start_job<'a>(&'a self, id: &'a InstanceId, job: &'a Job) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.start_job(id, job))
    }

    fn dyn_remove_job<'a>(
        &'a self,
        id: &'a InstanceId,
        name: &'a str,
        outcome: &'a Outcome,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.remove_job(id, name, outcome))
    }

    fn dyn_answer_restore<'a>(
        &'a self,
        id: &'a InstanceId,
        end: &'a RestoreStatus,
    ) -> BoxFuture<'a, Result<(), RuntimeError>> {
        Box::pin(self.answer_restore(id, end))
    }

    fn dyn_changes(&self) -> BoxStream<'static, InstanceId> {
        self.changes()
    }

    fn dyn_shutdown(&self) -> BoxFuture<'_, Result<(), RuntimeError>> {
        Box::pin(self.shutdown())
    }
}

impl Observe for BoxedObserver {
    fn platform(&self) -> Platform {
        self.0.dyn_platform()
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.0.dyn_observe(id, workload).await
    }

    fn server_address(&self, id: &InstanceId, workload: &Workload) -> Option<SocketAddr> {
        self.0.dyn_server_address(id, workload)
    }
}

impl Observe for BoxedRuntime {
    fn platform(&self) -> Platform {
        self.0.dyn_platform()
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.0.dyn_observe(id, workload).await
    }

    fn server_address(&self, id: &InstanceId, workload: &Workload) -> Option<SocketAddr> {
        self.0.dyn_server_address(id, workload)
    }
}

impl Apply for BoxedRuntime {
    async fn apply(&self, id: &InstanceId, action: &Action, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        self.0.dyn_apply(id, action, workload).await
    }

    async fn start_job(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        self.0.dyn_start_job(id, job).await
    }

    async fn remove_job(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        self.0.dyn_remove_job(id, name, outcome).await
    }

    async fn answer_restore(&self, id: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        self.0.dyn_answer_restore(id, end).await
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        self.0.dyn_changes()
    }

    async fn shutdown(&self) -> Result<(), RuntimeError> {
        self.0.dyn_shutdown().await
    }
}
