//! Creates a copy of a data directory: databases consistently, everything else as it is, then the
//! manifest. The copy is read back.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mai_contract::files::LOCK;
use rustix::fs::{OFlags, statvfs};
use sha2::{Digest, Sha256};

use super::manifest::{FILE, FORMAT, FileEntry, LinkEntry, Manifest, Subject};
use super::snapshot::{SIDECARS, inspect, is_database, snapshot};
use super::{BackupError, verify};
use mai_ownership::chown_tree;

/// Bytes to leave free on the volume of the backups.
const RESERVE: u64 = 16 << 20;
const MIB: u64 = 1 << 20;

/// A verified copy.
#[derive(Debug)]
pub struct CheckedCopy {
    /// Its directory.
    pub path: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
}

/// Copies `data` into a new directory `PREFIX-TIME` of `backups` and verifies the copy. Leaves
/// nothing behind when it fails.
pub async fn create_copy(
    subject: Subject,
    data: &Path,
    backups: &Path,
    prefix: &str,
    reason: String,
) -> Result<CheckedCopy, BackupError> {
    let taken_at = Timestamp::now();
    let name = format!("{prefix}-{}", taken_at.strftime("%Y%m%dT%H%M%SZ"));
    let (unfinished, path) = (backups.join(format!("{name}.partial")), backups.join(&name));
    check_free_space(data, backups)?;
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(BackupError::io("made", &unfinished))?;
    let manifest = Manifest {
        format: FORMAT,
        instance: subject,
        reason,
        taken_at,
        mai_version: env!("CARGO_PKG_VERSION").to_owned(),
        files: Vec::new(),
        links: Vec::new(),
    };
    match fill(manifest, data, &unfinished, backups, &path).await {
        Ok(manifest) => Ok(CheckedCopy { path, manifest }),
        Err(error) => {
            // The first error is the one to tell.
            let _ = std::fs::remove_dir_all(&unfinished);
            Err(error)
        }
    }
}

async fn fill(
    mut manifest: Manifest,
    data: &Path,
    unfinished: &Path,
    backups: &Path,
    finished: &Path,
) -> Result<Manifest, BackupError> {
    let found = Contents::read(data)?;
    let target = unfinished.join("data");
    DirBuilder::new().mode(0o700).create(&target).map_err(BackupError::io("made", &target))?;
    for directory in &found.directories {
        let path = target.join(directory);
        DirBuilder::new().mode(0o700).create(&path).map_err(BackupError::io("made", &path))?;
    }
    for path in found.files {
        manifest.files.push(copy(data, &target, path).await?);
    }
    for path in found.links {
        let (from, to) = (data.join(&path), target.join(&path));
        let pointed = std::fs::read_link(&from).map_err(BackupError::io("read", &from))?;
        std::os::unix::fs::symlink(&pointed, &to).map_err(BackupError::io("written", &to))?;
        manifest.links.push(LinkEntry { path, target: pointed });
    }
    write_manifest(&manifest, &unfinished.join(FILE))?;
    // The backups belong to the server's user; this may be root.
    let owner = backups.metadata().map_err(BackupError::io("read", backups))?;
    chown_tree(unfinished, owner.uid(), owner.gid())
        .map_err(BackupError::io("given to the owner of the backups", unfinished))?;
    let read_back = verify(unfinished).await?;
    if read_back != manifest {
        let what = "its manifest is not the one that was written".to_owned();
        return Err(BackupError::Unverified { path: unfinished.to_owned(), what });
    }
    std::fs::rename(unfinished, finished).map_err(BackupError::io("named", finished))?;
    File::open(backups).and_then(|directory| directory.sync_all()).map_err(BackupError::io("written", backups))?;
    Ok(manifest)
}

/// Contents of a data directory, by path in it.
#[derive(Default)]
struct Contents {
    directories: Vec<PathBuf>,
    files: Vec<PathBuf>,
    links: Vec<PathBuf>,
}

impl Contents {
    fn read(data: &Path) -> Result<Self, BackupError> {
        let mut found = Self::default();
        found.add(data, Path::new("")).map_err(BackupError::io("read", data))?;
        let Self { files, .. } = &found;
        let is_sidecar = |path: &Path| {
            let name = path.as_os_str().to_string_lossy();
            SIDECARS
                .iter()
                .any(|end| name.strip_suffix(end).is_some_and(|of| files.iter().any(|file| file == Path::new(of))))
        };
        let files = files.iter().filter(|path| !is_sidecar(path)).cloned().collect();
        Ok(Self { files, ..found })
    }

    fn add(&mut self, data: &Path, below: &Path) -> io::Result<()> {
        let mut entries = std::fs::read_dir(data.join(below))?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (kind, path) = (entry.file_type()?, below.join(entry.file_name()));
            if kind.is_dir() {
                self.directories.push(path.clone());
                self.add(data, &path)?;
            } else if kind.is_symlink() {
                self.links.push(path);
            } else if kind.is_file() && path != Path::new(LOCK) {
                self.files.push(path);
            }
        }
        Ok(())
    }
}

/// Copies one file and returns its entry, computed from the bytes that were written.
async fn copy(data: &Path, target: &Path, path: PathBuf) -> Result<FileEntry, BackupError> {
    let (from, to) = (data.join(&path), target.join(&path));
    if is_database(&from).map_err(BackupError::io("read", &from))? {
        snapshot(&from, &to).await?;
        let (size, sha256) = digest(&to)?;
        return Ok(FileEntry { path, size, sha256, database: Some(inspect(&to).await?) });
    }
    let unreadable = BackupError::io("read", &from);
    let unwritten = BackupError::io("written", &to);
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    let mut source = OpenOptions::new().read(true).custom_flags(nofollow).open(&from).map_err(&unreadable)?;
    let mode = source.metadata().map_err(&unreadable)?.permissions().mode() & 0o777;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to).map_err(&unwritten)?;
    let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        let count = source.read(&mut buffer).map_err(&unreadable)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        size += count as u64;
        file.write_all(&buffer[..count]).map_err(&unwritten)?;
    }
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(&unwritten)?;
    file.sync_all().map_err(&unwritten)?;
    Ok(FileEntry { path, size, sha256: hex::encode(hasher.finalize()), database: None })
}

/// Returns size and SHA-256 of a file.
pub(super) fn digest(path: &Path) -> Result<(u64, String), BackupError> {
    let mut hasher = Sha256::new();
    let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hasher));
    let size = read.map_err(BackupError::io("read back", path))?;
    Ok((size, hex::encode(hasher.finalize())))
}

fn write_manifest(manifest: &Manifest, path: &Path) -> Result<(), BackupError> {
    let failed = BackupError::io("written", path);
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| failed(error.into()))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(&failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(&failed)
}

fn check_free_space(data: &Path, backups: &Path) -> Result<(), BackupError> {
    let needed = size(data).map_err(BackupError::io("read", data))? + RESERVE;
    let volume = statvfs(backups).map_err(|errno| BackupError::io("read", backups)(errno.into()))?;
    let free = volume.f_bavail.saturating_mul(volume.f_frsize);
    if free < needed {
        let (free_mib, needed_mib) = (free / MIB, needed.div_ceil(MIB));
        return Err(BackupError::Full { path: backups.to_owned(), free_mib, needed_mib });
    }
    Ok(())
}

fn size(directory: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        total += if kind.is_dir() {
            size(&entry.path())?
        } else if kind.is_file() {
            entry.metadata()?.len()
        } else {
            0
        };
    }
    Ok(total)
}
