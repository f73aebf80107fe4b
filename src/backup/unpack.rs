//! Unpacks the data of an archive into a new directory. No link is followed, so that nothing in the
//! archive can lead out of it.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use mai_contract::files::LOCK;
use mai_contract::restores;
use mai_ownership::chown_tree;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    CWD, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, fchmod, futimens, mkdirat, openat, symlinkat, syncfs,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::BackupError;
use crate::archive_reader::{DatabaseCheck, NewFile, Sink};
use crate::database_check::{check_database, recover};
use crate::instance_files::{CollectedFiles, InstanceFiles};
use crate::members::Named;

/// A new directory that an archive is unpacked into. Removed again unless it is finished.
pub(crate) struct NewDirectory {
    path: PathBuf,
    top: OwnedFd,
    /// The directory that was used last, as most files are beside the one before.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Permissions of directories, set at the end.
    modes: Vec<(PathBuf, u32)>,
    current: Option<File>,
    /// Databases are as a server left them, and are checked at the end.
    plain: bool,
    databases: Vec<PathBuf>,
    unpacked: Counts,
    instance: CollectedFiles,
    is_finished: bool,
}

/// Counts of unpacked data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Number of databases among them, each of which was checked.
    pub databases: u64,
}

/// Names at the top of a data directory that belong to the place and not to the data.
const OF_THE_PLACE: [&str; 2] = [LOCK, restores::DIRECTORY];
/// Names of a data directory that `tar` packs from the outside.
const ROOTS: [&str; 2] = ["data", "_data"];

impl NewDirectory {
    /// Makes the directory. `plain` tells that databases in the archive are as a server left them.
    pub(crate) fn create(path: &Path, plain: bool) -> Result<Self, BackupError> {
        let failed = BackupError::io("made", path);
        DirBuilder::new().mode(0o700).create(path).map_err(&failed)?;
        let top = openat(CWD, path, directory_flags(), Mode::empty()).map_err(|errno| failed(errno.into()))?;
        Ok(Self {
            path: path.to_owned(),
            top,
            parent: None,
            modes: Vec::new(),
            current: None,
            plain,
            databases: Vec::new(),
            unpacked: Counts::default(),
            instance: CollectedFiles::default(),
            is_finished: false,
        })
    }

    /// Returns the document and the secrets that were in the archive.
    pub(crate) fn take_instance_files(&mut self) -> Result<InstanceFiles, BackupError> {
        std::mem::take(&mut self.instance).read()
    }

    /// Checks databases that were not checked yet, sets the permissions of directories, gives
    /// everything to `owner` and waits until it is on the disk. Returns what is in it.
    pub(crate) fn finish(mut self, owner: (u32, u32)) -> Result<Counts, BackupError> {
        self.parent = None;
        if self.plain {
            self.recover_databases()?;
        }
        for (path, mode) in std::mem::take(&mut self.modes).into_iter().rev() {
            let directory = self.open(&path, false).map_err(self.failed("opened", &path))?;
            // The server has to be able to use it.
            let mode = Mode::from_raw_mode(mode) | Mode::RWXU;
            fchmod(&directory, mode).map_err(self.failed("changed", &path))?;
        }
        if owner != (geteuid().as_raw(), getegid().as_raw()) {
            let given = chown_tree(&self.path, owner.0, owner.1);
            given.map_err(BackupError::io("given to the user of the server", &self.path))?;
        }
        syncfs(&self.top).map_err(self.failed("written", Path::new("")))?;
        self.is_finished = true;
        Ok(self.unpacked)
    }

    /// Returns whether an entry belongs to the place that it was packed from and is left out. A
    /// backup of mai has none of those; one that does is refused.
    fn is_of_the_place(&self, path: &Path) -> Result<bool, BackupError> {
        let mut names = path.components().map(Component::as_os_str).peekable();
        if self.plain {
            let _ = names.next_if(|first| ROOTS.iter().any(|root| first == root));
        }
        let is_one = names.next().is_some_and(|first| OF_THE_PLACE.iter().any(|name| first == *name));
        if is_one && !self.plain {
            let what = format!("the archive cannot be used: {} does not belong into a backup", Named(path));
            return Err(BackupError::Unverified { what });
        }
        Ok(is_one)
    }

    fn recover_databases(&self) -> Result<(), BackupError> {
        for path in &self.databases {
            let whole = self.path.join(path);
            if let Err(damage) = recover(&whole).and_then(|()| check_database(&whole).map(|_| ())) {
                let what = format!("the archive cannot be used: database {} is damaged: {damage}", path.display());
                return Err(BackupError::Unverified { what });
            }
        }
        Ok(())
    }

    /// Opens a directory below the top, component by component; with `make` the missing ones are
    /// made.
    fn open(&self, path: &Path, make: bool) -> Result<OwnedFd, Errno> {
        let mut directory = openat(&self.top, ".", directory_flags(), Mode::empty())?;
        for component in path.components() {
            let Component::Normal(name) = component else { return Err(Errno::INVAL) };
            if make {
                make_directory(directory.as_fd(), name)?;
            }
            directory = openat(&directory, name, directory_flags(), Mode::empty())?;
        }
        Ok(directory)
    }

    /// Returns the directory and the name of a new entry.
    fn place<'a>(&mut self, path: &'a Path) -> Result<(BorrowedFd<'_>, &'a OsStr), Errno> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
        if self.parent.as_ref().is_none_or(|(opened, _)| opened != parent) {
            self.parent = Some((parent.to_owned(), self.open(parent, true)?));
        }
        let (_, directory) = self.parent.as_ref().ok_or(Errno::INVAL)?;
        Ok((directory.as_fd(), name))
    }

    fn failed(&self, action: &'static str, path: &Path) -> impl Fn(Errno) -> BackupError + use<> {
        let failed = BackupError::io(action, &self.path.join(path));
        move |errno| failed(errno.into())
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn make_directory(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

impl Sink for NewDirectory {
    fn directory(&mut self, path: &Path, mode: u32) -> Result<(), BackupError> {
        if self.is_of_the_place(path)? {
            return Ok(());
        }
        if !path.as_os_str().is_empty() {
            let failed = self.failed("made", path);
            let (parent, name) = self.place(path).map_err(&failed)?;
            make_directory(parent, name).map_err(&failed)?;
        }
        self.modes.push((path.to_owned(), mode));
        Ok(())
    }

    fn link(&mut self, path: &Path, target: &Path) -> Result<(), BackupError> {
        if self.is_of_the_place(path)? {
            return Ok(());
        }
        let failed = self.failed("made", path);
        let (parent, name) = self.place(path).map_err(&failed)?;
        symlinkat(target, parent, name).map_err(failed)
    }

    fn file(&mut self, new: &NewFile<'_>) -> Result<Option<File>, BackupError> {
        if self.is_of_the_place(new.path)? {
            self.current = None;
            return Ok(None);
        }
        let failed = self.failed("written", new.path);
        let (parent, name) = self.place(new.path).map_err(&failed)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(&failed)?);
        let copy = file.try_clone().map_err(BackupError::io("written", new.path))?;
        self.current = Some(copy);
        Ok(Some(file))
    }

    fn instance_file(&mut self, path: &Path) -> Option<&mut Vec<u8>> {
        Some(self.instance.file(path))
    }

    fn complete(&mut self, new: &NewFile<'_>) -> Result<Option<DatabaseCheck>, BackupError> {
        let Some(file) = self.current.take() else { return Ok(None) };
        let failed = self.failed("written", new.path);
        fchmod(&file, Mode::from_raw_mode(new.mode) | Mode::RUSR | Mode::WUSR).map_err(&failed)?;
        let unchanged = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let modified = Timespec { tv_sec: new.modified, tv_nsec: 0 };
        futimens(&file, &Timestamps { last_access: unchanged, last_modification: modified }).map_err(&failed)?;
        self.unpacked.files += 1;
        self.unpacked.bytes += new.size;
        if !new.is_database {
            return Ok(None);
        }
        self.unpacked.databases += 1;
        self.databases.push(new.path.to_owned());
        Ok((!self.plain).then(|| check_database(&self.path.join(new.path))))
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if !self.is_finished {
            // The error that led here is the one to tell.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Returns the directory with the data in an unpacked one: itself, or the only one in it, as `tar`
/// packs a data directory from the outside.
pub(crate) fn data_root(unpacked: &Path) -> io::Result<Option<PathBuf>> {
    let entries = std::fs::read_dir(unpacked)?.collect::<io::Result<Vec<_>>>()?;
    let [entry] = entries.as_slice() else { return Ok(None) };
    let is_root = entry.file_type()?.is_dir() && ROOTS.iter().any(|name| entry.file_name() == *name);
    Ok(is_root.then(|| entry.path()))
}
