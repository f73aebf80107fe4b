//! Commands of an administrator on servers that are containers.

use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use tokio::sync::OnceCell;

use super::exec::Exec as ContainerExec;
use super::names::Names;
use super::serving_container::ServingContainer;
use super::{DockerOptions, DockerRuntime};
use crate::api::ServerKind;
use crate::core::{Action, InstanceId, Storage};
use crate::runtime::{
    Apply, Directories, Exec, ExecCommand, MaintenanceLock, Manual, ManualFuture, NewPlace, Output, OutputStream,
    RemoteCommand, RemoteControl, RetiredData, RuntimeError, TakenDown, Target, UsedPlaces,
};
use mai_contract::files::USER;
use mai_ownership::OwnershipChange;

/// Runs an administrator's commands on the containers of a state directory. Connects to the engine
/// with the first of them.
#[derive(Debug)]
pub struct DockerManual {
    options: DockerOptions,
    runtime: OnceCell<DockerRuntime>,
}

impl DockerManual {
    /// Returns the commands for a state directory and an engine.
    pub fn new(options: DockerOptions) -> Self {
        Self { options, runtime: OnceCell::new() }
    }

    async fn runtime(&self) -> Result<&DockerRuntime, RuntimeError> {
        self.runtime.get_or_try_init(|| DockerRuntime::open(self.options.clone())).await
    }
}

impl Manual for DockerManual {
    fn instances(&self) -> ManualFuture<'_, Vec<InstanceId>> {
        Box::pin(async { self.runtime().await?.instances().await })
    }

    fn names(&self, ids: &[InstanceId]) -> Result<Vec<String>, RuntimeError> {
        Ok(ids.iter().map(|id| Names::new(id).map(|names| names.active).unwrap_or_default()).collect())
    }

    fn home(&self, id: &InstanceId) -> Result<PathBuf, RuntimeError> {
        Ok(self.options.state_dir.join("instances").join(Names::new(id)?.key))
    }

    fn logs<'a>(&'a self, id: &'a InstanceId, lines: usize, follow: bool) -> ManualFuture<'a, OutputStream> {
        Box::pin(async move {
            let container = ServingContainer::find(&self.options, id).await?;
            Ok(container.logs(lines, follow).map_ok(output).boxed_local())
        })
    }

    fn exec<'a>(&'a self, target: &'a Target, command: &'a ExecCommand) -> ManualFuture<'a, Exec> {
        Box::pin(async {
            let container = ServingContainer::find(&self.options, &target.id).await?;
            let words: Vec<String> = std::iter::once(&command.program).chain(&command.arguments).cloned().collect();
            let mut exec = container.exec(&words, command.stdin, command.terminal).await?;
            let input = exec.input.take();
            let output_of = std::mem::replace(&mut exec.output, futures::stream::empty().boxed());
            let output = output_of.map_ok(output).boxed_local();
            Ok(Exec::Remote(RemoteCommand { output, input, control: Box::new(exec) }))
        })
    }

    fn restart<'a>(&'a self, target: &'a Target, grace: Duration) -> ManualFuture<'a, ()> {
        Box::pin(async move { ServingContainer::find(&self.options, &target.id).await?.restart(grace).await })
    }

    fn is_running<'a>(&'a self, id: &'a InstanceId) -> ManualFuture<'a, bool> {
        Box::pin(async { self.runtime().await?.runs(id).await })
    }

    fn stop<'a>(&'a self, target: &'a Target, _grace: Duration) -> ManualFuture<'a, bool> {
        Box::pin(async {
            let runtime = self.runtime().await?;
            // It reads the data, on which a command is about to work.
            let stopped_job = runtime.stop_job(&target.id).await?;
            if !runtime.runs(&target.id).await? {
                return Ok(stopped_job);
            }
            runtime.apply(&target.id, &Action::Stop("a command works on its data".to_owned()), None).await?;
            Ok(true)
        })
    }

    fn resume<'a>(&'a self, id: &'a InstanceId, lock: MaintenanceLock) -> ManualFuture<'a, ()> {
        Box::pin(async {
            let resumed = self.runtime().await?.apply(id, &Action::Resume, None).await;
            // Only now, so that a reconciler does not resume it at the same time.
            drop(lock);
            resumed
        })
    }

    fn directories<'a>(&'a self, target: &'a Target) -> ManualFuture<'a, Directories> {
        Box::pin(async {
            let (data, backups) = self.runtime().await?.places(&target.id).await?;
            Ok(Directories { data, backups })
        })
    }

    fn make_places<'a>(
        &'a self,
        id: &'a InstanceId,
        storage: &'a Storage,
        server: ServerKind,
    ) -> ManualFuture<'a, NewPlace> {
        Box::pin(async move {
            let data = self.runtime().await?.make_places(id, storage).await?;
            // Our image has its own user; Open WebUI's runs as root.
            let owner = if server == ServerKind::Mai { (USER, USER) } else { (0, 0) };
            Ok(NewPlace { data, owner })
        })
    }

    fn fix_ownership<'a>(&'a self, target: &'a Target) -> ManualFuture<'a, Vec<OwnershipChange>> {
        Box::pin(async { self.runtime().await?.fix_ownership(&target.id).await })
    }

    fn take_down<'a>(&'a self, id: &'a InstanceId, _grace: Duration) -> ManualFuture<'a, TakenDown> {
        Box::pin(async {
            self.runtime().await?.take_down(id).await?;
            Ok(TakenDown::Removed)
        })
    }

    fn retired<'a>(&'a self, used: &'a UsedPlaces) -> ManualFuture<'a, Vec<RetiredData>> {
        Box::pin(async { self.runtime().await?.retired(used).await })
    }

    fn remove_retired<'a>(&'a self, retired: &'a RetiredData, used: &'a UsedPlaces) -> ManualFuture<'a, ()> {
        Box::pin(async { self.runtime().await?.remove_retired(retired, used).await })
    }
}

impl RemoteControl for ContainerExec {
    fn resize(&self, columns: u16, rows: u16) -> ManualFuture<'_, ()> {
        Box::pin(self.resize(columns, rows))
    }

    fn exit_code(&self) -> ManualFuture<'_, i64> {
        Box::pin(self.exit_code())
    }
}

fn output((is_error, bytes): (bool, bytes::Bytes)) -> Output {
    Output { is_error, bytes }
}
