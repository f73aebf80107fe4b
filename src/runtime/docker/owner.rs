//! Changes the owner of volumes to the user of the server, before its first start.
//!
//! Engines create volumes that belong to root. As root on the engine's machine this process changes
//! the owner directly; elsewhere the engine unpacks an archive of only the directory with its new
//! owner. Neither needs a tool inside the image.

use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    DownloadFromContainerOptions, DownloadFromContainerOptionsBuilder, UploadToContainerOptions,
    UploadToContainerOptionsBuilder,
};
use futures::StreamExt;
use tar::{EntryType, Header};

use super::error::{failed, is_missing};
use crate::core::InstanceId;
use crate::runtime::RuntimeError;
use mai_contract::files::{BACKUPS, DATA, USER};
use mai_ownership::{EntryCount, OwnershipChange, chown_tree};

/// Size of a tar header; the length of an archive is a multiple of it.
const BLOCK: usize = size_of::<Header>();

/// Returns whether the server of a container runs as our user.
pub(super) fn is_confined(container: &ContainerInspectResponse) -> bool {
    let user = container.config.as_ref().and_then(|config| config.user.as_deref());
    user.is_some_and(|user| user.split(':').next() == Some(&USER.to_string()))
}

/// Makes the volumes of a container writable for its server, before it runs. `directly` says that
/// this process may change the owner of the engine's files.
pub(super) async fn give(
    docker: &Docker,
    id: &InstanceId,
    container: &ContainerInspectResponse,
    directly: bool,
) -> Result<(), RuntimeError> {
    give_to(docker, id, container, (USER, USER), &[DATA, BACKUPS], directly).await
}

/// Makes the volumes at `paths` of a container writable for `user`, as [`give`].
pub(super) async fn give_to(
    docker: &Docker,
    id: &InstanceId,
    container: &ContainerInspectResponse,
    user: (u32, u32),
    paths: &[&str],
    directly: bool,
) -> Result<(), RuntimeError> {
    let target = container.id.as_deref().unwrap_or_default();
    for mount in container.mounts.iter().flatten() {
        let Some(path) = mount.destination.as_deref().filter(|path| paths.contains(path)) else { continue };
        let on_host = Path::new(mount.source.as_deref().unwrap_or_default());
        if directly && on_host.is_dir() {
            // Of a directory that a document names only the top is changed: it may contain other
            // data.
            let whole = mount.typ.as_deref() == Some("volume");
            give_directly(on_host, user, whole).map_err(|source| RuntimeError::NotWritable {
                instance: id.to_string(),
                path: on_host.display().to_string(),
                source,
            })?;
            continue;
        }
        let look = async || top(docker, target, path).await.map_err(failed("inspection of the owner of a volume", id));
        let Some(found) = look().await?.filter(|found| found.owner != Some(user.0)) else { continue };
        let options: UploadToContainerOptions = UploadToContainerOptionsBuilder::new().path(path).build();
        let archive = bollard::body_full(directory_of_user(path, user, found.mode).into());
        docker
            .upload_to_container(target, Some(options), archive)
            .await
            .map_err(failed("change of the owner of a volume", id))?;
        if look().await?.is_some_and(|found| found.owner != Some(user.0)) {
            return Err(RuntimeError::Unsupported(format!(
                "{} of {id} does not belong to user {uid}, which its server runs as, and cannot be given to it from here; run: chown -R {uid}:{gid} {}",
                mount.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("a directory"),
                on_host.display(),
                uid = user.0,
                gid = user.1
            )));
        }
    }
    Ok(())
}

/// Changes the owner of a directory, unless the server owns it already.
fn give_directly(path: &Path, (user, group): (u32, u32), whole: bool) -> std::io::Result<()> {
    if path.symlink_metadata()?.uid() == user {
        return Ok(());
    }
    tracing::info!("{} is given to user {user}", path.display());
    if whole {
        return chown_tree(path, user, group).map(drop);
    }
    lchown(path, Some(user), Some(group))
}

/// Changes the owner of everything in data and backups of a container to the user of its server.
/// Unlike [`give`], which runs at every start, this includes directories that a document names.
pub(super) async fn give_all(
    docker: &Docker,
    id: &InstanceId,
    container: &ContainerInspectResponse,
    directly: bool,
) -> Result<Vec<OwnershipChange>, RuntimeError> {
    let (user, group) = numbers(container).ok_or_else(|| {
        RuntimeError::Unsupported(format!(
            "the server of {id} runs as a user that its image names and does not number; set USER in the image to numbers such as 1000:1000"
        ))
    })?;
    if !directly {
        if !is_confined(container) {
            return Err(RuntimeError::Unsupported(format!(
                "the volumes of {id} cannot be reached from here; run this as root on the server of the engine, outside of any container"
            )));
        }
        give(docker, id, container, false).await?;
    }
    let mut given = Vec::new();
    for mount in container.mounts.iter().flatten() {
        let Some(DATA | BACKUPS) = mount.destination.as_deref() else { continue };
        let on_host = mount.source.clone().unwrap_or_default();
        let volume = mount.name.as_deref().filter(|name| !name.is_empty()).map(|name| format!("volume {name}"));
        let count = if directly { Some(give_place(id, Path::new(&on_host), user, group)?) } else { None };
        given.push(OwnershipChange { place: volume.unwrap_or(on_host), owner: (user, group), count });
    }
    Ok(given)
}

/// Changes the owner of a whole directory, unless other programs use it as well.
fn give_place(id: &InstanceId, path: &Path, user: u32, group: u32) -> Result<EntryCount, RuntimeError> {
    if path.components().count() < 3 {
        return Err(RuntimeError::Unsupported(format!(
            "{} of {id} is not given away: more than one program lives below it; name a directory of its own in spec.storage",
            path.display()
        )));
    }
    chown_tree(path, user, group).map_err(|source| RuntimeError::NotWritable {
        instance: id.to_string(),
        path: path.display().to_string(),
        source,
    })
}

/// Returns user and group of a container as numbers; `None` if it names them. Without any it is
/// root.
pub(super) fn numbers(container: &ContainerInspectResponse) -> Option<(u32, u32)> {
    let text = container.config.as_ref().and_then(|config| config.user.as_deref()).unwrap_or_default();
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let number = |text: &str, otherwise: u32| if text.is_empty() { Some(otherwise) } else { text.parse().ok() };
    let user = number(user, 0)?;
    Some((user, number(group, user)?))
}

/// Owner and mode of a directory.
pub(super) struct Top {
    pub(super) owner: Option<u32>,
    pub(super) group: Option<u32>,
    mode: u32,
}

/// Returns owner and mode of a directory inside a container, from the header of its archive; the
/// rest is not read.
pub(super) async fn top(docker: &Docker, container: &str, path: &str) -> Result<Option<Top>, bollard::errors::Error> {
    let options: DownloadFromContainerOptions = DownloadFromContainerOptionsBuilder::new().path(path).build();
    let mut archive = Box::pin(docker.download_from_container(container, Some(options)));
    let mut block = Vec::new();
    while block.len() < BLOCK {
        match archive.next().await {
            Some(Ok(bytes)) => block.extend_from_slice(&bytes),
            Some(Err(error)) if is_missing(&error) => return Ok(None),
            Some(Err(error)) => return Err(error),
            None => return Ok(None),
        }
    }
    Ok(block.get(..BLOCK).map(|block| {
        let header = Header::from_byte_slice(block);
        Top {
            owner: header.uid().ok().and_then(|user| user.try_into().ok()),
            group: header.gid().ok().and_then(|group| group.try_into().ok()),
            mode: header.mode().unwrap_or(0o755) & 0o7777,
        }
    }))
}

/// Returns an archive of one entry: the directory it is unpacked in, with mode and owner. Engines
/// skip an entry named `.`.
fn directory_of_user(path: &str, (user, group): (u32, u32), mode: u32) -> Vec<u8> {
    let mut header = Header::new_ustar();
    // `Header::set_path` refuses a path that leads upwards.
    let name = format!("../{}/", path.rsplit('/').next().unwrap_or_default());
    for (byte, letter) in header.as_old_mut().name.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    header.set_entry_type(EntryType::Directory);
    header.set_mode(mode | 0o700);
    header.set_uid(user.into());
    header.set_gid(group.into());
    header.set_size(0);
    header.set_mtime(jiff::Timestamp::now().as_second().try_into().unwrap_or_default());
    header.set_cksum();
    let mut archive = header.as_bytes().to_vec();
    // Two empty blocks end an archive.
    archive.resize(BLOCK * 3, 0);
    archive
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn user_is_read_only_as_numbers() {
        for (text, expected) in [
            ("", Some((0, 0))),
            ("65532:65532", Some((65532, 65532))),
            ("1000", Some((1000, 1000))),
            ("1000:1", Some((1000, 1))),
            ("www-data", None),
            ("1000:staff", None),
        ] {
            let config = bollard::models::ContainerConfig { user: Some(text.to_owned()), ..Default::default() };
            let container = ContainerInspectResponse { config: Some(config), ..Default::default() };
            assert_eq!(numbers(&container), expected, "{text:?}");
        }
    }

    #[test]
    fn directory_archive_is_read_by_tar() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), directory_of_user(DATA, (USER, USER), 0o755)).unwrap();
        let listed = Command::new("tar").args(["--numeric-owner", "-P", "-tvf"]).arg(file.path()).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.starts_with("drwxr-xr-x 65532/65532") && listed.trim_end().ends_with("../data/"), "{listed}");

        // Only the mode differs from what was asked for: the owner can always write.
        let header = &directory_of_user(DATA, (USER, USER), 0o055)[..BLOCK];
        let header = Header::from_byte_slice(header);
        assert_eq!((header.uid().unwrap(), header.mode().unwrap()), (65532, 0o755));
    }
}
