//! What a person asks of the container of one instance: its log, a restart. Documents play no part in it.

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::{
    LogsOptions, LogsOptionsBuilder, RestartContainerOptions, RestartContainerOptionsBuilder,
};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};

use super::cast::{Cast, Part};
use super::names::Names;
use super::problem::{engine, no_container};
use super::{DockerOptions, ask, connect};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

/// The container of one instance, told by its labels.
#[derive(Debug)]
pub struct ByHand {
    pub(super) docker: Docker,
    pub(super) id: InstanceId,
    pub(super) container: Part,
}

impl ByHand {
    /// Finds the container that serves the instance; nothing that is not labelled as its own is ever touched.
    pub async fn find(options: &DockerOptions, id: &InstanceId) -> Result<Self, RuntimeError> {
        let docker = connect::connect(options.host.as_deref()).await?;
        let names = Names::of(id)?;
        let all = ask::containers(&docker).await.map_err(engine("look at the containers", id))?;
        let container = Cast::of(id, &names, &all).active.ok_or_else(|| no_container(id))?;
        Ok(Self { docker, id: id.clone(), container })
    }

    /// Name of the container.
    pub fn container(&self) -> &str {
        &self.container.name
    }

    /// The last `lines` lines of its log and, with `follow`, what it writes until it ends. True is for standard error.
    pub fn logs(&self, lines: usize, follow: bool) -> BoxStream<'static, Result<(bool, Bytes), RuntimeError>> {
        let options: LogsOptions =
            LogsOptionsBuilder::new().stdout(true).stderr(true).follow(follow).tail(&lines.to_string()).build();
        let failed = engine("reading of its log", &self.id);
        self.docker.logs(&self.container.id, Some(options)).map(move |output| output.map(told).map_err(&failed)).boxed()
    }

    /// Stops it, forcibly once `grace` is over, and starts it again as it is.
    pub async fn restart(&self, grace: Duration) -> Result<(), RuntimeError> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options: RestartContainerOptions = RestartContainerOptionsBuilder::new().t(seconds).build();
        self.docker.restart_container(&self.container.id, Some(options)).await.map_err(engine("restart", &self.id))
    }
}

pub(super) fn told(output: LogOutput) -> (bool, Bytes) {
    let is_error = matches!(output, LogOutput::StdErr { .. });
    (is_error, output.into_bytes())
}
