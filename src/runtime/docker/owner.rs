//! Gives volumes to the user that the server runs as, before it is started on them for the first time.
//!
//! An engine makes volumes that belong to root. Where we are root beside the engine, files are given away directly; elsewhere the engine
//! is asked to unpack an archive that holds nothing but the directory and its new owner. Neither needs a tool inside the image.

use std::ops::Range;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    DownloadFromContainerOptions, DownloadFromContainerOptionsBuilder, UploadToContainerOptions,
    UploadToContainerOptionsBuilder,
};
use futures::StreamExt;

use super::problem::{engine, is_missing};
use super::spec::{BACKUPS, DATA, USER};
use crate::runtime::{InstanceId, RuntimeError};

const BLOCK: usize = 512;

/// Whether the server of a container runs as our user, whoever asked for it.
pub(super) fn is_confined(container: &ContainerInspectResponse) -> bool {
    let user = container.config.as_ref().and_then(|config| config.user.as_deref());
    user.is_some_and(|user| user.split(':').next() == Some(&USER.to_string()))
}

/// Sees to it that the server of a container that does not run yet can write. `directly` says that the engine's files are ours
/// to give away.
pub(super) async fn give(
    docker: &Docker,
    id: &InstanceId,
    container: &ContainerInspectResponse,
    directly: bool,
) -> Result<(), RuntimeError> {
    let target = container.id.as_deref().unwrap_or_default();
    for mount in container.mounts.iter().flatten() {
        let Some(path @ (DATA | BACKUPS)) = mount.destination.as_deref() else { continue };
        let on_host = Path::new(mount.source.as_deref().unwrap_or_default());
        if directly && on_host.is_dir() {
            // Of a directory that a document names only the top is ours to give: nobody knows what else lives in it.
            let whole = mount.typ.as_deref() == Some("volume");
            give_directly(on_host, whole).map_err(|source| RuntimeError::NotWritable {
                instance: id.to_string(),
                path: on_host.display().to_string(),
                source,
            })?;
            continue;
        }
        let look = async || top(docker, target, path).await.map_err(engine("look at the owner of a volume", id));
        let Some(found) = look().await?.filter(|found| found.owner != Some(USER)) else { continue };
        let options: UploadToContainerOptions = UploadToContainerOptionsBuilder::new().path(path).build();
        let archive = bollard::body_full(directory_of_user(path, found.mode).into());
        docker
            .upload_to_container(target, Some(options), archive)
            .await
            .map_err(engine("giving of a volume to the server's user", id))?;
        if look().await?.is_some_and(|found| found.owner != Some(USER)) {
            return Err(RuntimeError::Unsupported(format!(
                "{} of {id} does not belong to user {USER}, which its server runs as, and cannot be given to it from here; run: chown -R {USER}:{USER} {}",
                mount.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("a directory"),
                on_host.display()
            )));
        }
    }
    Ok(())
}

/// Once: a directory that belongs to the server is not looked into.
fn give_directly(path: &Path, whole: bool) -> std::io::Result<()> {
    if path.symlink_metadata()?.uid() == USER {
        return Ok(());
    }
    tracing::info!("{} is given to user {USER}", path.display());
    if whole {
        give_content(path)?;
    }
    // Last, so that whoever is interrupted begins anew.
    lchown(path, Some(USER), Some(USER))
}

fn give_content(directory: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            give_content(&entry.path())?;
        }
        lchown(entry.path(), Some(USER), Some(USER))?;
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
    while block.len() < BLOCK {
        match archive.next().await {
            Some(Ok(bytes)) => block.extend_from_slice(&bytes),
            Some(Err(error)) if is_missing(&error) => return Ok(None),
            Some(Err(error)) => return Err(error),
            None => return Ok(None),
        }
    }
    let octal = |range: Range<usize>| {
        let text = block.get(range).map(String::from_utf8_lossy).unwrap_or_default();
        u32::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
    };
    Ok(Some(Top { owner: octal(108..116), mode: octal(100..108).unwrap_or(0o755) & 0o7777 }))
}

/// An archive of one entry: the very directory it is unpacked in, with its owner. By the name `.` engines skip it.
fn directory_of_user(path: &str, mode: u32) -> Vec<u8> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let mut header = [0u8; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &format!("../{name}/"));
    put(100, &format!("{:07o}", mode | 0o700));
    put(108, &format!("{USER:07o}"));
    put(116, &format!("{USER:07o}"));
    put(124, &format!("{:011o}", 0));
    put(136, &format!("{:011o}", jiff::Timestamp::now().as_second()));
    put(148, "        ");
    put(156, "5");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.resize(BLOCK * 3, 0);
    archive
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_archive_is_one_that_others_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), directory_of_user(DATA, 0o755)).unwrap();
        let listed = Command::new("tar").args(["--numeric-owner", "-P", "-tvf"]).arg(file.path()).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        assert!(listed.starts_with("drwxr-xr-x 65532/65532") && listed.trim_end().ends_with("../data/"), "{listed}");
    }
}
