//! What a person asks of a whole state directory, or of the files of one instance: stopping everything, putting ownership right.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bollard::models::ContainerInspectResponse;

use super::cast::Cast;
use super::dance::Goal;
use super::names::Names;
use super::problem::{classify, engine, no_container};
use super::{DockerRuntime, labels, owner};
use crate::core::InstanceId;
use crate::ownership::Given;
use crate::runtime::RuntimeError;
use mai_contract::files::{BACKUPS, DATA};

impl DockerRuntime {
    /// The instances of this state directory of which containers are there.
    pub async fn instances(&self) -> Result<Vec<InstanceId>, RuntimeError> {
        let all = self
            .hands
            .cache
            .containers(&self.hands.docker)
            .await
            .map_err(|error| classify("look at the containers", "all instances".to_owned(), error))?;
        let labelled = all.iter().filter_map(|container| container.labels.as_ref());
        let ours = labelled.filter(|labels| labels::read_state(labels) == Some(self.hands.state_id.as_str()));
        Ok(ours.filter_map(labels::read_owner).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Stops and removes the containers of an instance; its volumes, and what makes them its own, stay.
    pub async fn take_down(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.hands.perform(Goal::Stop, id).await?;
        self.hands.remove_containers(id).await
    }

    /// Gives data and backups of an instance to the user that its server runs as, and tells what that changed.
    pub async fn fix_ownership(&self, id: &InstanceId) -> Result<Vec<Given>, RuntimeError> {
        let container = self.serving(id).await?;
        let hands = &self.hands;
        owner::give_all(&hands.docker, id, &container, hands.owns_engine_files).await
    }

    /// Where data and backups of an instance are on this machine, when its files can be reached and changed from here.
    pub async fn places(&self, id: &InstanceId) -> Result<(PathBuf, PathBuf), RuntimeError> {
        if !self.hands.owns_engine_files {
            return Err(RuntimeError::Unsupported(format!(
                "the volumes of {id} cannot be reached from here; run this as root on the server of the engine, outside of any container"
            )));
        }
        let mounts = self.serving(id).await?.mounts.unwrap_or_default();
        let place = |path: &str| {
            let mount = mounts.iter().find(|mount| mount.destination.as_deref() == Some(path));
            mount.and_then(|mount| mount.source.clone()).map(PathBuf::from).ok_or_else(|| {
                RuntimeError::Unsupported(format!("the container of {id} has nothing mounted at {path}"))
            })
        };
        Ok((place(DATA)?, place(BACKUPS)?))
    }

    /// Whether any container of an instance runs.
    pub async fn runs(&self, id: &InstanceId) -> Result<bool, RuntimeError> {
        Ok(self.cast(id).await?.parts().any(|part| part.runs))
    }

    async fn cast(&self, id: &InstanceId) -> Result<Cast, RuntimeError> {
        self.hands.cache.forget();
        let all = self.hands.cache.containers(&self.hands.docker).await;
        Ok(Cast::of(id, &Names::of(id)?, &all.map_err(engine("look at the containers", id))?))
    }

    /// The container that serves an instance.
    async fn serving(&self, id: &InstanceId) -> Result<ContainerInspectResponse, RuntimeError> {
        let missing = || no_container(id);
        let part = self.cast(id).await?.active.ok_or_else(missing)?;
        self.hands.inspect(id, &part).await?.ok_or_else(missing)
    }
}
