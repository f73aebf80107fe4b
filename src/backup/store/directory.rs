//! A directory as a store. Files are written under another name, synced and renamed. No link below
//! the directory is followed, because the server may write in its backups volume, and this may run
//! as root.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use jiff::Timestamp;
use mai_contract::job::Subject;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, fchown, flock, fstat, fsync, mkdirat, openat, renameat,
    statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{ObjectStream, Removal, StoreError, StoredObject, segments};

/// End of the name of a file that is being written.
const PARTIAL: &str = ".partial";
const READ_BYTES: usize = 256 << 10;
/// Bytes after which what was written is synced. Little is left for the end then, whose time is
/// limited, however large the archive and slow the disk.
const SYNC_BYTES: u64 = 64 << 20;

/// A directory. Clones share one handle.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    handle: Arc<OwnedFd>,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory as it is.
    pub(super) async fn open_root(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        blocking(move || Self::open(&path)).await
    }

    /// Opens `NAMESPACE/NAME` below a directory and makes them where needed.
    pub(super) async fn open_below(path: &Path, subject: &Subject) -> Result<Self, StoreError> {
        let segments = segments(subject, &place(path))?.map(str::to_owned);
        let path = path.to_owned();
        blocking(move || segments.iter().try_fold(Self::open(&path)?, |directory, segment| directory.enter(segment)))
            .await
    }

    /// Opens a directory below another one as it is.
    pub(super) async fn open_existing(path: &Path, below: &[&str]) -> Result<Self, StoreError> {
        let (path, below) = (path.to_owned(), below.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        blocking(move || {
            below.iter().try_fold(Self::open(&path)?, |directory, segment| {
                let handle = openat(&*directory.handle, segment, directory_flags(), Mode::empty());
                let below = directory.path.join(segment);
                let handle = handle.map_err(|error| match error {
                    Errno::NOENT => StoreError::NotFound { object: segment.clone(), place: place(&directory.path) },
                    other => StoreError::io("opened", &below)(other),
                })?;
                Ok(Self { handle: Arc::new(handle), path: below })
            })
        })
        .await
    }

    /// Returns the names of the folders in the folders of a directory.
    pub(super) async fn folders(path: &Path) -> Result<Vec<(String, String)>, StoreError> {
        let path = path.to_owned();
        blocking(move || {
            let top = Self::open(&path)?;
            let mut found = Vec::new();
            for namespace in top.subdirectories()? {
                for name in top.clone().enter(&namespace)?.subdirectories()? {
                    found.push((namespace.clone(), name));
                }
            }
            Ok(found)
        })
        .await
    }

    /// Returns the names of the directories in this one that are not hidden. A link is none.
    fn subdirectories(&self) -> Result<Vec<String>, StoreError> {
        let failed = StoreError::io("read", &self.path);
        let mut names = Vec::new();
        for entry in Dir::read_from(&*self.handle).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let is_directory = statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            if is_directory && super::is_plain(name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = openat(CWD, path, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => {
                StoreError::Missing { place: place(path), remedy: "create it, or mount the volume that holds it" }
            }
            other => StoreError::io("opened", path)(other),
        })?;
        Ok(Self { handle: Arc::new(handle), path: path.to_owned() })
    }

    /// Opens a directory in this one, and makes it for the owner of this one if it is not there.
    fn enter(self, segment: &str) -> Result<Self, StoreError> {
        let path = self.path.join(segment);
        let is_new = match mkdirat(&*self.handle, segment, Mode::RWXU) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(StoreError::io("made", &path)(error)),
        };
        let handle = openat(&*self.handle, segment, directory_flags(), Mode::empty())
            .map_err(StoreError::io("opened", &path))?;
        if is_new {
            self.give_to_owner(&handle).map_err(StoreError::io("given to the owner of the directory", &path))?;
            fsync(&*self.handle).map_err(StoreError::io("written", &self.path))?;
        }
        Ok(Self { handle: Arc::new(handle), path })
    }

    /// Gives a new entry to the owner of this directory, which root alone has to and can do.
    fn give_to_owner(&self, entry: impl AsFd) -> Result<(), Errno> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let owner = fstat(&*self.handle)?;
        let (user, group) = (rustix::fs::Uid::from_raw(owner.st_uid), rustix::fs::Gid::from_raw(owner.st_gid));
        fchown(entry, Some(user), Some(group))
    }

    pub(super) async fn create(&self, object: &str) -> Result<PartialFile, StoreError> {
        let (directory, object) = (self.clone(), object.to_owned());
        blocking(move || {
            // Their room may be needed for this one.
            directory.remove_partial()?;
            directory.create_partial(object)
        })
        .await
    }

    fn create_partial(&self, object: String) -> Result<PartialFile, StoreError> {
        let partial = format!("{object}{PARTIAL}");
        let path = self.path.join(&partial);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = openat(&*self.handle, &partial, flags, Mode::RUSR | Mode::WUSR)
            .map_err(StoreError::io("created", &path))?;
        let guard = PartialName { directory: self.clone(), partial, is_finished: false };
        // Held as long as the file is open, so that a file without it is known to be abandoned.
        match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
            // A file system without locks; an abandoned file is left there then.
            Ok(()) | Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(StoreError::io("locked", &path)(error)),
        }
        self.give_to_owner(&handle).map_err(StoreError::io("given to the owner of the directory", &path))?;
        let file = tokio::fs::File::from_std(File::from(handle));
        Ok(PartialFile { file, object, name: guard, bytes: 0, unsynced: 0 })
    }

    /// Returns the content of a file, and its size.
    pub(super) async fn read(&self, object: &str) -> Result<(ObjectStream, u64), StoreError> {
        let (directory, object) = (self.clone(), object.to_owned());
        let path = self.path.join(&object);
        let (file, bytes) = blocking(move || directory.open_file(&object)).await?;
        let stream = futures::stream::try_unfold((tokio::fs::File::from_std(file), path), |(mut file, path)| async {
            let mut chunk = BytesMut::with_capacity(READ_BYTES);
            match file.read_buf(&mut chunk).await {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some((chunk.freeze(), (file, path)))),
                Err(error) => Err(StoreError::io("read", &path)(error)),
            }
        });
        Ok((stream.boxed(), bytes))
    }

    fn open_file(&self, object: &str) -> Result<(File, u64), StoreError> {
        let path = self.path.join(object);
        // Not blocking, so that a pipe of this name does not hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let handle = openat(&*self.handle, object, flags, Mode::empty()).map_err(|error| match error {
            Errno::NOENT => StoreError::NotFound { object: object.to_owned(), place: place(&self.path) },
            other => StoreError::io("read", &path)(other),
        })?;
        let stat = fstat(&handle).map_err(StoreError::io("read", &path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            let problem = format!("{object} is not a plain file; move it away");
            return Err(StoreError::Invalid { place: place(&self.path), problem });
        }
        Ok((File::from(handle), u64::try_from(stat.st_size).unwrap_or_default()))
    }

    pub(super) async fn list(&self) -> Result<Vec<StoredObject>, StoreError> {
        let directory = self.clone();
        blocking(move || Ok(directory.files()?.into_iter().filter(|file| !file.name.ends_with(PARTIAL)).collect()))
            .await
    }

    /// Returns all plain files that are not hidden.
    fn files(&self) -> Result<Vec<StoredObject>, StoreError> {
        let failed = StoreError::io("read", &self.path);
        let mut files = Vec::new();
        for entry in Dir::read_from(&*self.handle).map_err(&failed)? {
            let entry = entry.map_err(&failed)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !super::is_plain(name) {
                continue;
            }
            let stat = match statat(&*self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(StoreError::io("read", &self.path.join(name))(error)),
            };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                let modified = Timestamp::from_second(stat.st_mtime).unwrap_or(Timestamp::UNIX_EPOCH);
                let bytes = u64::try_from(stat.st_size).unwrap_or_default();
                files.push(StoredObject { name: name.to_owned(), bytes, modified });
            }
        }
        Ok(files)
    }

    pub(super) async fn remove(&self, object: &str) -> Result<Removal, StoreError> {
        let (directory, object) = (self.clone(), object.to_owned());
        blocking(move || match unlinkat(&*directory.handle, &object, AtFlags::empty()) {
            Ok(()) => {
                fsync(&*directory.handle).map_err(StoreError::io("written", &directory.path))?;
                Ok(Removal::Removed)
            }
            Err(Errno::NOENT) => Ok(Removal::Removed),
            // The file or the directory is immutable or may only grow.
            Err(Errno::PERM) => Ok(Removal::KeptByStore),
            Err(error) => Err(StoreError::io("removed", &directory.path.join(&object))(error)),
        })
        .await
    }

    pub(super) async fn remove_interrupted(&self) -> Result<u32, StoreError> {
        let directory = self.clone();
        blocking(move || directory.remove_partial()).await
    }

    /// Removes the files that nobody writes any more.
    fn remove_partial(&self) -> Result<u32, StoreError> {
        let mut removed = 0;
        for file in self.files()?.into_iter().filter(|file| is_ours(&file.name)) {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(handle) = openat(&*self.handle, &file.name, flags, Mode::empty()) else { continue };
            if flock(&handle, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            match unlinkat(&*self.handle, &file.name, AtFlags::empty()) {
                Ok(()) => removed += 1,
                Err(Errno::NOENT | Errno::PERM) => {}
                Err(error) => return Err(StoreError::io("removed", &self.path.join(&file.name))(error)),
            }
        }
        Ok(removed)
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct PartialFile {
    file: tokio::fs::File,
    object: String,
    name: PartialName,
    bytes: u64,
    unsynced: u64,
}

/// Name of a file that is being written, which goes with this value unless the file was finished.
#[derive(Debug)]
struct PartialName {
    directory: Directory,
    partial: String,
    is_finished: bool,
}

impl PartialFile {
    pub(super) async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.bytes += chunk.len() as u64;
        self.unsynced += chunk.len() as u64;
        self.file.write_all(&chunk).await.map_err(self.failed("written"))?;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.flush().await.map_err(self.failed("written"))?;
            self.file.sync_data().await.map_err(self.failed("written"))?;
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<(), StoreError> {
        self.file.flush().await.map_err(self.failed("written"))?;
        self.file.sync_all().await.map_err(self.failed("written"))?;
        let found = self.file.metadata().await.map_err(self.failed("read"))?.len();
        let Self { object, mut name, bytes, .. } = self;
        if found != bytes {
            let place = place(&name.directory.path);
            return Err(StoreError::NotKept { object, place, expected: bytes, found: Some(found) });
        }
        blocking(move || {
            let Directory { handle, path } = &name.directory;
            renameat(&**handle, &name.partial, &**handle, &object)
                .map_err(StoreError::io("written", &path.join(&object)))?;
            name.is_finished = true;
            let Directory { handle, path } = &name.directory;
            fsync(&**handle).map_err(StoreError::io("written", path))
        })
        .await
    }

    fn failed(&self, action: &'static str) -> impl Fn(io::Error) -> StoreError + use<> {
        StoreError::io(action, &self.name.directory.path.join(&self.object))
    }
}

impl Drop for PartialName {
    fn drop(&mut self) {
        if !self.is_finished {
            // What cannot be removed now is removed by the next backup.
            let _ = unlinkat(&*self.directory.handle, &self.partial, AtFlags::empty());
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.strip_suffix(PARTIAL).is_some_and(|object| crate::summary::ObjectKind::parse(object).is_some())
}

fn place(path: &Path) -> String {
    format!("directory {}", path.display())
}

/// Runs file operations where they may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            let problem = format!("an operation on its files was interrupted: {error}");
            Err(StoreError::Invalid { place: "the directory".to_owned(), problem })
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_file_is_synced_while_it_is_written() {
        let place = tempfile::tempdir().unwrap();
        let directory = Directory::open_root(place.path()).await.unwrap();
        let mut file = directory.create("a").await.unwrap();
        let chunk = Bytes::from(vec![7; 8 << 20]);
        let mut left = Vec::new();
        for _ in 0..17 {
            file.write(chunk.clone()).await.unwrap();
            left.push(file.unsynced >> 20);
        }
        assert_eq!(left, [8, 16, 24, 32, 40, 48, 56, 0, 8, 16, 24, 32, 40, 48, 56, 0, 8]);
        file.finish().await.unwrap();
        let written = std::fs::read(place.path().join("a")).unwrap();
        assert!(written.len() == 17 * chunk.len() && written.iter().all(|byte| *byte == 7));
    }
}
