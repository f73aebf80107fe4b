//! Volumes and directories of an instance. They outlive its containers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptions;

use super::error::{EngineError, classify, failed, is_missing, unless_missing};
use super::labels::{owner, read_owner, read_state};
use super::names::Names;
use super::orphans::ORPHANED;
use super::states::States;
use crate::core::{InstanceId, Location, Workload};
use crate::runtime::RuntimeError;
use mai_contract::files::{BACKUPS, DATA};

/// Prefix of the file, next to the secrets of an instance, that records a volume created for it.
const MADE: &str = "made-";

/// Places of the data of one instance.
pub(super) struct Volumes<'a> {
    pub(super) docker: &'a Docker,
    pub(super) id: &'a InstanceId,
    /// Directory of the instance's files.
    pub(super) home: PathBuf,
    /// Ids of state directories.
    pub(super) states: &'a States,
    /// This process sees the directories that documents name.
    pub(super) engine_sees_our_files: bool,
}

impl Volumes<'_> {
    /// Creates what is missing of a workload.
    pub(super) async fn ensure_all(&self, workload: &Workload, names: &Names) -> Result<(), RuntimeError> {
        let declared = &workload.container;
        self.ensure(workload.data_path.as_deref(), declared.data_volume.as_deref(), &names.data).await?;
        self.ensure(workload.backups_path.as_deref(), declared.backups_volume.as_deref(), &names.backups).await
    }

    /// Creates a place if it is missing. A declared volume has to exist; a volume of our name has to
    /// be ours.
    pub(super) async fn ensure(
        &self,
        path: Option<&Path>,
        volume: Option<&str>,
        own: &str,
    ) -> Result<(), RuntimeError> {
        let id = self.id;
        match (path, volume) {
            (Some(path), _) if self.engine_sees_our_files => std::fs::create_dir_all(path).map_err(|source| {
                RuntimeError::NotWritable { instance: id.to_string(), path: path.display().to_string(), source }
            }),
            (Some(_), _) => Ok(()),
            (None, Some(name)) => match find(self.docker, id, name).await? {
                Some(_) => Ok(()),
                None => Err(RuntimeError::Unsupported(format!(
                    "volume {name} of {id} does not exist; create it (docker volume create {name}) or remove volumeName from spec.storage"
                ))),
            },
            (None, None) => self.ensure_own(own).await,
        }
    }

    /// Returns where a place is on the engine's machine; `None` if it does not exist.
    pub(super) async fn place(&self, declared: &Location, own: &str) -> Result<Option<PathBuf>, RuntimeError> {
        if let Some(path) = &declared.path {
            let exists = !self.engine_sees_our_files || path.is_dir();
            return Ok(exists.then(|| path.clone()));
        }
        let found = match &declared.volume {
            Some(name) => find(self.docker, self.id, name).await?,
            None => find(self.docker, self.id, own).await?.filter(|volume| is_of(volume, self.id, self.states)),
        };
        Ok(found.map(|volume| PathBuf::from(volume.mountpoint)))
    }

    async fn ensure_own(&self, name: &str) -> Result<(), RuntimeError> {
        let Self { docker, id, home, states, .. } = self;
        let taken =
            |whose: &str| RuntimeError::NameTaken { instance: id.to_string(), what: format!("volume {name}{whose}") };
        let own = |volume: &Volume| match is_of(volume, id, states) {
            true => Ok(()),
            false if has_name_of(volume, id) => Err(taken(ORPHANED)),
            false => Err(taken("")),
        };
        let mark = home.join(format!("{MADE}{name}"));
        if mark.exists() {
            if let Some(volume) = find(docker, id, name).await? {
                return own(&volume);
            }
            // An administrator who misses data has to know that somebody else removed the volume.
            tracing::warn!(instance = %id, "volume {name} did not exist any more and was created again, empty; to get the data back, stop {id} and restore a backup");
        }
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            labels: Some(owner(id, &states.own).into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        // Engines return an existing volume of that name, and refuse only one that differs.
        let volume = docker.create_volume(request).await.map_err(|error| match classify(&error) {
            EngineError::Conflict => taken(""),
            _ => failed("creation of a volume", id)(error),
        })?;
        own(&volume)?;
        // Without the record, only the warning above is lost.
        let _ = std::fs::create_dir_all(home).and_then(|()| std::fs::write(mark, ""));
        Ok(())
    }
}

/// Returns whether a volume belongs to an instance. It outlives its document, and a later document
/// of the same name, with another uid, uses it again.
fn is_of(volume: &Volume, id: &InstanceId, states: &States) -> bool {
    has_name_of(volume, id) && states.own(id, read_state(&volume.labels))
}

fn has_name_of(volume: &Volume, id: &InstanceId) -> bool {
    read_owner(&volume.labels).is_some_and(|owner| owner.is_namesake(id))
}

async fn find(docker: &Docker, id: &InstanceId, name: &str) -> Result<Option<Volume>, RuntimeError> {
    match docker.inspect_volume(name).await {
        Ok(volume) => Ok(Some(volume)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(failed("look-up of a volume", id)(error)),
    }
}

/// Removes volumes of these names that were created for the instance. Directories and volumes that a
/// document names are kept.
pub(super) async fn remove(
    docker: &Docker,
    id: &InstanceId,
    names: &[&String],
    home: &Path,
    states: &States,
) -> Result<(), RuntimeError> {
    for name in names {
        if find(docker, id, name).await?.is_some_and(|volume| is_of(&volume, id, states)) {
            let removed = docker.remove_volume(name, None::<RemoveVolumeOptions>).await;
            unless_missing(removed).map_err(failed("removal of a volume", id))?;
        }
        forget(home, name);
    }
    Ok(())
}

/// Forgets that a volume was created, so that nobody misses it.
pub(super) fn forget(home: &Path, name: &str) {
    let _ = std::fs::remove_file(home.join(format!("{MADE}{name}")));
}

/// Returns the places of data other than our own volumes.
pub(super) fn elsewhere(mounts: &[bollard::models::MountPoint], names: &Names) -> Vec<String> {
    let of_server: HashMap<&str, &String> = HashMap::from([(DATA, &names.data), (BACKUPS, &names.backups)]);
    mounts
        .iter()
        .filter_map(|mount| {
            let own = of_server.get(mount.destination.as_deref()?)?;
            (mount.name.as_ref() != Some(*own)).then(|| mount.name.clone().or_else(|| mount.source.clone()))?
        })
        .collect()
}
