//! Data and backups of instances of a state directory whose documents are gone.

use std::io;
use std::path::Path;

use super::discovery::{running_jobs, running_servers};
use super::paths::{self, InstancePaths};
use super::servers::failed;
use crate::core::InstanceId;
use crate::runtime::job_files::JobFiles;
use crate::runtime::{RetiredData, RuntimeError, UsedPlaces};

const REMOVAL: &str = "removal of retired data";

/// Returns what is retired below a state directory.
pub(super) fn list(state_dir: &Path, used: &UsedPlaces) -> io::Result<Vec<RetiredData>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(state_dir.join("instances")) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Some(owner) = entry.file_name().to_str().and_then(paths::owner_of) else { continue };
        if !entry.file_type()?.is_dir() || used.has_instance(&owner.namespace, &owner.name) {
            continue;
        }
        let Ok(key) = paths::key(&owner) else { continue };
        let (uid, places) = InstancePaths::new(state_dir, &key, None).made()?;
        let owner = InstanceId { uid, ..owner };
        for (kind, path) in places {
            if path.is_dir() && !used.has_directory(&path) {
                found.push(RetiredData {
                    owner: owner.clone(),
                    kind,
                    place: path.display().to_string(),
                    directory: Some(path),
                });
            }
        }
    }
    Ok(found)
}

/// Removes something that is retired. Refused while a server or a job of its instance runs.
pub(super) fn remove(state_dir: &Path, retired: &RetiredData, used: &UsedPlaces) -> Result<(), RuntimeError> {
    let RetiredData { owner, place, .. } = retired;
    let not_removed = |source| failed(REMOVAL, owner, source);
    let busy = |what: String| not_removed(io::Error::new(io::ErrorKind::ResourceBusy, what));
    if !list(state_dir, used).map_err(not_removed)?.contains(retired) {
        return Err(busy(format!("{place} is not retired any more")));
    }
    let is_of = |id: &InstanceId| (&id.namespace, &id.name) == (&owner.namespace, &owner.name);
    let servers = running_servers(state_dir).map_err(not_removed)?;
    if let Some(server) = servers.iter().find(|server| is_of(&server.labels.id)) {
        return Err(busy(format!("process {} still runs for it; stop it with `mai down`", server.pid)));
    }
    let jobs = running_jobs(state_dir).map_err(not_removed)?;
    let paths = InstancePaths::new(state_dir, &paths::key(owner)?, None);
    if jobs.iter().any(|job| is_of(&job.labels.id)) || JobFiles::new(&paths.home).directory.exists() {
        return Err(busy("a job works on it".to_owned()));
    }
    paths.remove_made(Path::new(place), state_dir).map_err(not_removed)
}
