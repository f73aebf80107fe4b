//! Volumes of instances of a state directory whose documents are gone.

use std::path::PathBuf;

use bollard::models::Volume;
use bollard::query_parameters::{ListVolumesOptions, RemoveVolumeOptions};

use super::DockerRuntime;
use super::error::{failed, runtime_error, unless_missing};
use super::labels::{read_owner, read_state};
use super::names::Names;
use super::volumes::forget;
use crate::runtime::{RetiredData, RetiredKind, RuntimeError, UsedPlaces};

impl DockerRuntime {
    /// Returns what is retired on the engine.
    pub async fn retired(&self, used: &UsedPlaces) -> Result<Vec<RetiredData>, RuntimeError> {
        let listed = self.engine.docker.list_volumes(None::<ListVolumesOptions>).await;
        let listed = listed.map_err(|error| runtime_error("list of the volumes", "all instances".to_owned(), error))?;
        let volumes = listed.volumes.unwrap_or_default();
        Ok(volumes.iter().filter_map(|volume| self.as_retired(volume, used)).collect())
    }

    fn as_retired(&self, volume: &Volume, used: &UsedPlaces) -> Option<RetiredData> {
        let owner = read_owner(&volume.labels)?;
        if !self.engine.states.own(&owner, read_state(&volume.labels)) {
            return None;
        }
        if used.has_instance(&owner.namespace, &owner.name) || used.volumes.contains(&volume.name) {
            return None;
        }
        let names = Names::new(&owner).ok()?;
        let kind = match &volume.name {
            name if *name == names.data => RetiredKind::Data,
            name if *name == names.backups => RetiredKind::Backups,
            _ => return None,
        };
        let directory = self.engine.owns_engine_files.then(|| PathBuf::from(&volume.mountpoint));
        Some(RetiredData { owner, kind, place: volume.name.clone(), directory })
    }

    /// Removes a volume that is retired. The engine refuses that while a container uses it.
    pub async fn remove_retired(&self, retired: &RetiredData, used: &UsedPlaces) -> Result<(), RuntimeError> {
        let RetiredData { owner, place, .. } = retired;
        if !self.retired(used).await?.contains(retired) {
            return Err(RuntimeError::Unsupported(format!("volume {place} is not retired any more")));
        }
        let removed = self.engine.docker.remove_volume(place, None::<RemoveVolumeOptions>).await;
        unless_missing(removed).map_err(failed("removal of retired data", owner))?;
        let home = self.engine.home(&Names::new(owner)?);
        forget(&home, place);
        // Unless something else is kept in it.
        let _ = std::fs::remove_dir(home);
        Ok(())
    }
}
