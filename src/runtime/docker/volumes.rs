//! Volumes and directories of an instance: made when missing, given to the server's user, kept when containers go.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{
    DownloadFromContainerOptions, DownloadFromContainerOptionsBuilder, RemoveVolumeOptions, UploadToContainerOptions,
    UploadToContainerOptionsBuilder,
};
use futures::StreamExt;

use super::labels::{owner, read_owner, read_state};
use super::names::Names;
use super::problem::{engine, is_missing, unless_missing};
use super::spec::{BACKUPS, DATA, USER};
use crate::runtime::{InstanceId, RuntimeError, Workload};

/// Makes what is missing. A declared volume has to be there; a volume of our name has to be ours.
pub(super) async fn ensure(docker: &Docker, workload: &Workload, names: &Names, state: &str, engine_sees_our_files: bool) -> Result<(), RuntimeError> {
    let id = &workload.id;
    let declared = &workload.container;
    let volumes = [
        (&workload.data_path, &declared.data_volume, &names.data),
        (&workload.backups_path, &declared.backups_volume, &names.backups),
    ];
    for (path, volume, own) in volumes {
        match (path, volume) {
            (Some(path), _) if engine_sees_our_files => {
                std::fs::create_dir_all(path).map_err(|source| RuntimeError::NotWritable {
                    instance: id.to_string(),
                    path: path.display().to_string(),
                    source,
                })?;
            }
            (Some(_), _) => {}
            (None, Some(name)) => {
                if find(docker, id, name).await?.is_none() {
                    return Err(RuntimeError::Unsupported(format!(
                        "volume {name} of {id} is not there; create it (docker volume create {name}) or take volumeName out of spec.storage"
                    )));
                }
            }
            (None, None) => ensure_own(docker, id, own, state).await?,
        }
    }
    Ok(())
}

async fn ensure_own(docker: &Docker, id: &InstanceId, name: &str, state: &str) -> Result<(), RuntimeError> {
    match find(docker, id, name).await? {
        Some(volume) if is_of(&volume, id, state) => Ok(()),
        Some(_) => Err(RuntimeError::NameTaken { instance: id.to_string(), what: format!("volume {name}") }),
        None => {
            let request = VolumeCreateRequest {
                name: Some(name.to_owned()),
                labels: Some(owner(id, state).into_iter().collect()),
                ..VolumeCreateRequest::default()
            };
            docker.create_volume(request).await.map(drop).map_err(engine("creation of a volume", id))
        }
    }
}

/// A volume outlives the document it was made for, and a later document of the same name takes it up: the uid may be another.
fn is_of(volume: &Volume, id: &InstanceId, state: &str) -> bool {
    let owner = read_owner(&volume.labels);
    let same_name = owner.is_some_and(|owner| owner.name == id.name && owner.namespace == id.namespace);
    same_name && read_state(&volume.labels) == Some(state)
}

async fn find(docker: &Docker, id: &InstanceId, name: &str) -> Result<Option<Volume>, RuntimeError> {
    match docker.inspect_volume(name).await {
        Ok(volume) => Ok(Some(volume)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(engine("look-up of a volume", id)(error)),
    }
}

/// Removes the volumes that were made for the instance. Directories and volumes that a document named are not ours to remove.
pub(super) async fn remove(docker: &Docker, id: &InstanceId, names: &Names, state: &str) -> Result<(), RuntimeError> {
    for name in [&names.data, &names.backups] {
        if find(docker, id, name).await?.is_some_and(|volume| is_of(&volume, id, state)) {
            let removed = docker.remove_volume(name, None::<RemoveVolumeOptions>).await;
            unless_missing(removed).map_err(engine("removal of a volume", id))?;
        }
    }
    Ok(())
}

/// Gives the volumes of a container that has not been started yet to the user that its server runs as. The engine itself does it, so
/// neither the image needs a tool for it nor do we need to be root. Only the top is looked at and given: what is below belongs to
/// whoever wrote it.
pub(super) async fn give(docker: &Docker, id: &InstanceId, container: &str) -> Result<(), RuntimeError> {
    for target in [DATA, BACKUPS] {
        let Some(found) = top(docker, container, target).await.map_err(engine("look at the owner of a volume", id))? else { continue };
        if found.owner == Some(USER) {
            continue;
        }
        tracing::info!(instance = %id, volume = target, "the volume is given to user {USER}");
        let options: UploadToContainerOptions = UploadToContainerOptionsBuilder::new().path(target).build();
        let archive = bollard::body_full(directory_of_user(USER, found.mode).into());
        docker.upload_to_container(container, Some(options), archive).await.map_err(engine("giving of a volume to the server's user", id))?;
    }
    Ok(())
}

struct Top {
    owner: Option<u32>,
    mode: u32,
}

/// Owner and mode of a directory inside a container, from the first block of its archive; the rest is not read.
async fn top(docker: &Docker, container: &str, path: &str) -> Result<Option<Top>, bollard::errors::Error> {
    let options: DownloadFromContainerOptions = DownloadFromContainerOptionsBuilder::new().path(path).build();
    let mut archive = Box::pin(docker.download_from_container(container, Some(options)));
    let mut block = Vec::new();
    while block.len() < 512 {
        match archive.next().await {
            Some(Ok(bytes)) => block.extend_from_slice(&bytes),
            Some(Err(error)) if is_missing(&error) => return Ok(None),
            Some(Err(error)) => return Err(error),
            None => return Ok(None),
        }
    }
    let octal = |range: std::ops::Range<usize>| {
        let text = block.get(range).map(String::from_utf8_lossy).unwrap_or_default();
        u32::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
    };
    Ok(Some(Top { owner: octal(108..116), mode: octal(100..108).unwrap_or(0o755) & 0o7777 }))
}

/// An archive of one entry: the directory it is unpacked in, with its owner.
fn directory_of_user(user: u32, mode: u32) -> Vec<u8> {
    let mut header = [0u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    // Nobody else on the machine has business in there.
    let mode = mode & 0o7770 | 0o700;
    put(0, "./");
    put(100, &format!("{mode:07o}"));
    put(108, &format!("{user:07o}"));
    put(116, &format!("{user:07o}"));
    put(124, &format!("{:011o}", 0));
    put(136, &format!("{:011o}", jiff::Timestamp::now().as_second()));
    put(148, "        ");
    put(156, "5");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.resize(512 * 3, 0);
    archive
}

/// Where data is when it is not in a volume of ours, for a sentence.
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
