//! Removes the containers, files and volumes of an instance. `replacement` decides the order of the
//! calls, and `steps` makes them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::engine::Engine;
use super::names::Names;
use super::replacement::Goal;
use super::{secrets, volumes};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;

impl Engine {
    /// Removes the containers of an instance that is stopped, and its job.
    pub(super) async fn remove_containers(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        self.remove_any_job(id).await?;
        self.log_kept_data(id).await?;
        self.reach(Goal::Remove, id).await?;
        self.remove_unused_secrets(id).await?;
        self.monitor.forget(id);
        self.forget(id);
        Ok(())
    }

    /// Removes the volume that was created for the data of an instance; with `and_backups` that of its
    /// backups, too.
    pub(super) async fn remove_data(&self, id: &InstanceId, and_backups: bool) -> Result<(), RuntimeError> {
        // It holds on to the volumes.
        self.remove_any_job(id).await?;
        let names = Names::new(id)?;
        let both = [&names.data, &names.backups];
        let doomed = if and_backups { &both[..] } else { &both[..1] };
        volumes::remove(&self.docker, id, doomed, &self.home(&names), &self.states).await?;
        // Empty by now, unless another runtime keeps something in it.
        let _ = std::fs::remove_dir(self.home(&names));
        Ok(())
    }

    /// Removes the files with secret values that no container of the instance mounts.
    pub(super) async fn remove_unused_secrets(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let names = Names::new(id)?;
        let mut used = BTreeSet::new();
        for container in self.containers(id, &names).await?.all() {
            let Some(inspected) = self.inspect(id, container).await? else { continue };
            used.extend(inspected.mounts.iter().flatten().filter_map(|mount| mount.source.clone().map(PathBuf::from)));
        }
        secrets::remove_unused(&self.home(&names), &used);
        Ok(())
    }

    /// Logs the places of data that are kept, before the containers that mount them are removed.
    async fn log_kept_data(&self, id: &InstanceId) -> Result<(), RuntimeError> {
        let names = Names::new(id)?;
        if let Some(container) = self.containers(id, &names).await?.active
            && let Some(inspected) = self.inspect(id, &container).await?
        {
            for place in volumes::elsewhere(inspected.mounts.as_deref().unwrap_or_default(), &names) {
                tracing::info!(instance = %id, "{place} stays: the document named it, so it is not removed with the instance");
            }
        }
        Ok(())
    }
}
