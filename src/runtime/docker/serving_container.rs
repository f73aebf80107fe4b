//! The container that serves an instance, for commands of an administrator: logs, restart. No
//! document is involved.

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::{
    LogsOptions, LogsOptionsBuilder, RestartContainerOptions, RestartContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};

use super::containers::{ContainerRef, InstanceContainers};
use super::error::{failed, no_container};
use super::names::Names;
use super::{DockerOptions, connect, inspect};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// The container that serves an instance, found by its labels.
#[derive(Debug)]
pub struct ServingContainer {
    pub(super) docker: Docker,
    pub(super) id: InstanceId,
    pub(super) container: ContainerRef,
}

impl ServingContainer {
    /// Returns the container that serves the instance. A container without its labels is never
    /// used.
    pub async fn find(options: &DockerOptions, id: &InstanceId) -> Result<Self, RuntimeError> {
        let docker = connect::connect(options.host.as_deref()).await?;
        let names = Names::new(id)?;
        let all = inspect::list_containers(&docker).await.map_err(failed("list of the containers", id))?;
        let container = InstanceContainers::from_list(id, &names, &all).active.ok_or_else(|| no_container(id))?;
        Ok(Self { docker, id: id.clone(), container })
    }

    /// Returns the last `lines` lines of its log and, with `follow`, what it writes until it ends.
    /// True stands for standard error.
    pub fn logs(&self, lines: usize, follow: bool) -> BoxStream<'static, Result<(bool, Bytes), RuntimeError>> {
        let options: LogsOptions =
            LogsOptionsBuilder::new().stdout(true).stderr(true).follow(follow).tail(&lines.to_string()).build();
        let failed = failed("reading of its log", &self.id);
        self.docker
            .logs(&self.container.id, Some(options))
            .map(move |output| output.map(into_piece).map_err(&failed))
            .boxed()
    }

    /// Stops the container, with a kill after `grace`, and starts it again as it is.
    pub async fn restart(&self, grace: Duration) -> Result<(), RuntimeError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options: RestartContainerOptions = RestartContainerOptionsBuilder::new().t(seconds).build();
        self.docker.restart_container(&self.container.id, Some(options)).await.map_err(failed("restart", &self.id))
    }
}

/// Returns a piece of output and whether it was written to standard error.
pub(super) fn into_piece(output: LogOutput) -> (bool, Bytes) {
    let is_error = matches!(output, LogOutput::StdErr { .. });
    (is_error, output.into_bytes())
}
