//! The entries of a data directory. No link below it is followed, so that nobody who may write in
//! it can lead a job, which may be root, to files elsewhere.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use mai_contract::restores;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::BackupError;
use crate::manifest::{Cause, DATA, Exception};

/// Longest path, since the system's calls and so `tar` know no longer one.
const MAX_PATH: usize = 4000;

/// A directory whose entries are read.
#[derive(Debug)]
pub(crate) struct Tree {
    top: PathBuf,
    directory: OwnedFd,
}

/// Its contents.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Entries by path below the top, in an order that depends on nothing but names; a directory
    /// comes before what is in it.
    pub(crate) entries: Vec<Entry>,
    /// Entries that are left out.
    pub(crate) exceptions: Vec<Exception>,
}

/// An entry.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its path below the top.
    pub(crate) path: PathBuf,
    /// Its kind.
    pub(crate) kind: Kind,
    /// Its attributes.
    pub(crate) attributes: Attributes,
}

/// Kind of an entry.
#[derive(Debug)]
pub(crate) enum Kind {
    Directory,
    File,
    Link(PathBuf),
}

/// Attributes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since 1970.
    pub(crate) modified: u64,
}

impl From<&Stat> for Attributes {
    fn from(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: u64::try_from(stat.st_mtime).unwrap_or(0),
        }
    }
}

/// Identity of a file or directory, whatever its path.
pub(crate) type FileId = (u64, u64);

/// Returns the identity of a directory.
pub(crate) fn identity(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Tree {
    /// Opens a directory. It may itself be a link.
    pub(crate) fn open(top: &Path) -> Result<Self, BackupError> {
        let failed = BackupError::io("read", top);
        let top = top.canonicalize().map_err(&failed)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(CWD, &top, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        Ok(Self { top, directory })
    }

    /// Returns the absolute path of an entry.
    pub(crate) fn absolute(&self, path: &Path) -> PathBuf {
        self.top.join(path)
    }

    /// Returns the attributes of the directory itself.
    pub(crate) fn attributes(&self) -> Result<Attributes, BackupError> {
        match fstat(&self.directory) {
            Ok(stat) => Ok(Attributes::from(&stat)),
            Err(errno) => Err(BackupError::io("read", &self.top)(errno.into())),
        }
    }

    /// Opens a regular file.
    pub(crate) fn open_file(&self, path: &Path) -> io::Result<(File, Attributes)> {
        // Without NONBLOCK a pipe that took the place of a file would wait for its writer.
        let file = File::from(self.open_below(path, OFlags::RDONLY | OFlags::NONBLOCK)?);
        let stat = fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((file, Attributes::from(&stat))),
            _ => Err(io::Error::other("it is no regular file any more")),
        }
    }

    /// Opens an entry component by component, which has no limit on the length of a path.
    fn open_below(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut parent: Option<OwnedFd> = None;
        let mut components = path.components().peekable();
        while let Some(component) = components.next() {
            let Component::Normal(name) = component else { return Err(Errno::INVAL) };
            let is_last = components.peek().is_none();
            let flags =
                if is_last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC };
            let within = parent.as_ref().map_or(self.directory.as_fd(), AsFd::as_fd);
            let opened = openat(within, name, flags, Mode::empty())?;
            if is_last {
                return Ok(opened);
            }
            parent = Some(opened);
        }
        openat(&self.directory, ".", flags, Mode::empty())
    }

    /// Lists all entries except what restores keep and the directory `without`. What cannot be listed is an exception; only
    /// the top itself has to be readable.
    pub(crate) fn list(&self, without: Option<FileId>) -> Result<Listing, BackupError> {
        let mut listing = Listing::default();
        let mut pending = vec![PathBuf::new()];
        while let Some(path) = pending.pop() {
            match self.list_directory(&path, without, &mut listing) {
                // The first is popped first.
                Ok(directories) => pending.extend(directories.into_iter().rev()),
                Err(errno) if path.as_os_str().is_empty() => {
                    return Err(BackupError::io("read", &self.top)(errno.into()));
                }
                Err(errno) => listing.exceptions.push(exception(&path, cause(errno.into()))),
            }
        }
        Ok(listing)
    }

    fn list_directory(
        &self,
        path: &Path,
        without: Option<FileId>,
        listing: &mut Listing,
    ) -> Result<Vec<PathBuf>, Errno> {
        let directory = self.open_below(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let name = entry?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(name);
            }
        }
        names.sort_unstable();
        let mut directories = Vec::new();
        for name in names {
            if path.as_os_str().is_empty() && name.to_bytes() == restores::DIRECTORY.as_bytes() {
                continue;
            }
            let path = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            let mut leave_out = |cause| listing.exceptions.push(exception(&path, cause));
            let stat = match statat(&directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(errno) => {
                    leave_out(cause(errno.into()));
                    continue;
                }
            };
            if path.as_os_str().len() > MAX_PATH {
                leave_out(Cause::Unreadable(format!("its path is longer than {MAX_PATH} bytes")));
                continue;
            }
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if without == Some((stat.st_dev, stat.st_ino)) => {
                    leave_out(Cause::Backups);
                    continue;
                }
                FileType::Directory => {
                    directories.push(path.clone());
                    Kind::Directory
                }
                FileType::RegularFile => Kind::File,
                FileType::Symlink => match readlinkat(&directory, &name, Vec::new()) {
                    Ok(target) => Kind::Link(PathBuf::from(std::ffi::OsStr::from_bytes(target.to_bytes()))),
                    Err(errno) => {
                        leave_out(cause(errno.into()));
                        continue;
                    }
                },
                other => {
                    leave_out(Cause::Special(word(other).to_owned()));
                    continue;
                }
            };
            listing.entries.push(Entry { path, kind, attributes: Attributes::from(&stat) });
        }
        Ok(directories)
    }
}

/// Returns an exception for an entry by its path below the data.
pub(crate) fn exception(path: &Path, cause: Cause) -> Exception {
    Exception { path: Path::new(DATA).join(path).into(), cause }
}

/// Returns the cause behind an error of a file operation.
pub(crate) fn cause(error: io::Error) -> Cause {
    match error.kind() {
        io::ErrorKind::NotFound => Cause::Vanished,
        _ => Cause::Unreadable(error.to_string()),
    }
}

fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::Socket => "socket",
        FileType::Fifo => "named pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn paths(listing: &Listing) -> Vec<String> {
        listing.entries.iter().map(|entry| entry.path.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn entries_are_listed_in_the_order_of_their_names() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path();
        std::fs::create_dir_all(top.join("b/deep")).unwrap();
        std::fs::create_dir_all(top.join("backups/old")).unwrap();
        for name in ["z", "a\nb", "b/1", "b/deep/2"] {
            std::fs::write(top.join(name), name).unwrap();
        }
        std::fs::write(top.join(OsStr::from_bytes(b"\xff")), "").unwrap();
        symlink("/etc", top.join("link")).unwrap();
        let _socket = UnixListener::bind(top.join("socket")).unwrap();
        let tree = Tree::open(top).unwrap();
        let listing = tree.list(Some(identity(&top.join("backups")).unwrap())).unwrap();
        assert_eq!(paths(&listing), ["a\nb", "b", "link", "z", "\u{fffd}", "b/1", "b/deep", "b/deep/2"]);
        assert!(listing.entries.iter().any(|entry| matches!(&entry.kind, Kind::Link(to) if to == Path::new("/etc"))));
        let left_out: Vec<_> = listing.exceptions.iter().map(ToString::to_string).collect();
        assert_eq!(left_out.len(), 2, "{left_out:?}");
        assert!(left_out[0].contains("data/backups holds the backups"), "{left_out:?}");
        assert!(left_out[1].contains("data/socket is a socket"), "{left_out:?}");
    }

    #[test]
    fn links_are_not_followed_on_the_way_to_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let (top, outside) = (directory.path().join("top"), directory.path().join("outside"));
        std::fs::create_dir_all(&top).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("file"), "secret").unwrap();
        symlink(&outside, top.join("directory")).unwrap();
        symlink(outside.join("file"), top.join("file")).unwrap();
        let tree = Tree::open(&top).unwrap();
        for path in ["file", "directory/file", "../outside/file"] {
            assert!(tree.open_file(Path::new(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn path_too_long_for_tar_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::open(directory.path()).unwrap();
        let mut parent = tree.open_below(Path::new(""), OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
        let name = "n".repeat(250);
        for _ in 0..20 {
            rustix::fs::mkdirat(&parent, &name, Mode::RWXU).unwrap();
            parent = openat(&parent, &name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        let listing = tree.list(None).unwrap();
        assert_eq!((listing.entries.len(), listing.exceptions.len()), (15, 1));
    }
}
