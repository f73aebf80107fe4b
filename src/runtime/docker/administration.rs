//! Operations of administrators on a whole state directory or on the files of one instance.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bollard::models::ContainerInspectResponse;

use super::containers::InstanceContainers;
use super::error::{failed, no_container, runtime_error};
use super::names::Names;
use super::replacement::Goal;
use super::{DockerRuntime, labels, owner};
use crate::core::{InstanceId, Storage};
use crate::runtime::RuntimeError;
use mai_contract::files::{BACKUPS, DATA};
use mai_ownership::OwnershipChange;

impl DockerRuntime {
    /// Returns the instances of this state directory that have containers.
    pub async fn instances(&self) -> Result<Vec<InstanceId>, RuntimeError> {
        let all = self
            .engine
            .cache
            .containers(&self.engine.docker)
            .await
            .map_err(|error| runtime_error("list of the containers", "all instances".to_owned(), error))?;
        let labelled = all.iter().filter_map(|container| container.labels.as_ref());
        let owners = labelled.filter_map(|labels| Some((labels::read_owner(labels)?, labels::read_state(labels))));
        let ours = owners.filter(|(owner, state)| self.engine.states.own(owner, *state)).map(|(owner, _)| owner);
        Ok(ours.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Stops and removes the containers of an instance and its job; its volumes and their labels stay.
    pub async fn take_down(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.engine.remove_any_job(id).await?;
        self.engine.reach(Goal::Stop, id).await?;
        self.engine.remove_containers(id).await
    }

    /// Stops the job of an instance, whose end the reconciler finds. Returns false when none runs.
    pub async fn stop_job(&self, id: &InstanceId) -> Result<bool, RuntimeError> {
        self.engine.stop_job(id).await
    }

    /// Changes the owner of data and backups of an instance to the user of its server; returns what
    /// that changed.
    pub async fn fix_ownership(&self, id: &InstanceId) -> Result<Vec<OwnershipChange>, RuntimeError> {
        let container = self.serving(id).await?;
        let engine = &self.engine;
        owner::give_all(&engine.docker, id, &container, engine.owns_engine_files).await
    }

    /// Returns the directories of data and backups of an instance on this machine, if they are
    /// accessible from here.
    pub async fn places(&self, id: &InstanceId) -> Result<(PathBuf, PathBuf), RuntimeError> {
        self.require_reach(id)?;
        let mounts = self.serving(id).await?.mounts.unwrap_or_default();
        let place = |path: &str| {
            let mount = mounts.iter().find(|mount| mount.destination.as_deref() == Some(path));
            mount.and_then(|mount| mount.source.clone()).map(PathBuf::from).ok_or_else(|| {
                RuntimeError::Unsupported(format!("the container of {id} has nothing mounted at {path}"))
            })
        };
        Ok((place(DATA)?, place(BACKUPS)?))
    }

    fn require_reach(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        if self.engine.owns_engine_files {
            return Ok(());
        }
        Err(RuntimeError::Unsupported(format!(
            "the volumes of {id} cannot be reached from here; run this as root on the server of the engine, outside of any container"
        )))
    }

    /// Makes the volumes of an instance that has no container yet; returns the directory of its data
    /// on this machine.
    pub async fn make_places(&self, id: &InstanceId, storage: &Storage) -> Result<PathBuf, RuntimeError> {
        self.require_reach(id)?;
        let names = Names::new(id)?;
        let volumes = self.engine.volumes(id, &names);
        let Storage { data, backups, .. } = storage;
        volumes.ensure(data.path.as_deref(), data.volume.as_deref(), &names.data).await?;
        volumes.ensure(backups.path.as_deref(), backups.volume.as_deref(), &names.backups).await?;
        volumes.place(data, &names.data).await?.ok_or_else(|| {
            RuntimeError::Unsupported(format!("the volume of the data of {id} was removed again; repeat the command"))
        })
    }

    /// Returns whether any container of an instance runs.
    pub async fn runs(&self, id: &InstanceId) -> Result<bool, RuntimeError> {
        Ok(self.containers(id).await?.all().any(|part| part.is_running))
    }

    async fn containers(&self, id: &InstanceId) -> Result<InstanceContainers, RuntimeError> {
        self.engine.cache.forget();
        let all = self.engine.cache.containers(&self.engine.docker).await;
        Ok(InstanceContainers::from_list(id, &Names::new(id)?, &all.map_err(failed("list of the containers", id))?))
    }

    /// Returns the container that serves an instance.
    async fn serving(&self, id: &InstanceId) -> Result<ContainerInspectResponse, RuntimeError> {
        let missing = || no_container(id);
        let part = self.containers(id).await?.active.ok_or_else(missing)?;
        self.engine.inspect(id, &part).await?.ok_or_else(missing)
    }
}
