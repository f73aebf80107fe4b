//! A foreign container under the name that an instance needs. It is stopped and renamed, never
//! removed.

use bollard::Docker;
use bollard::query_parameters::{RenameContainerOptions, RenameContainerOptionsBuilder, StopContainerOptions};

use super::error::{is_missing, runtime_error};
use super::{connect, inspect, labels};
use crate::runtime::RuntimeError;

/// Suffix of its new name.
pub const RENAMED_SUFFIX: &str = "-before-mai";

/// A container that is not ours.
#[derive(Debug)]
pub struct ForeignContainer {
    docker: Docker,
    name: String,
    /// It runs.
    pub runs: bool,
}

impl ForeignContainer {
    /// Returns the container of a name, if it exists and is not ours.
    pub async fn find(host: Option<&str>, name: &str) -> Result<Option<Self>, RuntimeError> {
        let docker = connect::connect(host).await?;
        let container = match inspect::inspect_container(&docker, name).await {
            Ok(container) => container,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(failed("inspection of the container", name, error)),
        };
        let labelled = container.config.and_then(|config| config.labels).unwrap_or_default();
        let runs = container.state.and_then(|state| state.running) == Some(true);
        Ok(labels::read_owner(&labelled).is_none().then(|| Self { docker, name: name.to_owned(), runs }))
    }

    /// Stops and renames it, and returns its new name. Its volumes and directories stay as they
    /// are.
    pub async fn stop_and_rename(&self) -> Result<String, RuntimeError> {
        let stopped = self.docker.stop_container(&self.name, None::<StopContainerOptions>).await;
        stopped.map_err(|error| failed("stop", &self.name, error))?;
        let aside = format!("{}{RENAMED_SUFFIX}", self.name);
        let options: RenameContainerOptions = RenameContainerOptionsBuilder::new().name(&aside).build();
        let renamed = self.docker.rename_container(&self.name, options).await;
        renamed.map_err(|error| failed("renaming", &self.name, error))?;
        Ok(aside)
    }
}

fn failed(action: &'static str, name: &str, error: bollard::errors::Error) -> RuntimeError {
    runtime_error(action, format!("container {name}"), error)
}
