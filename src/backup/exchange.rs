//! Exchanges the present data of a directory for restored data inside it, so that data stays where
//! it is declared, a mount point or not.
//!
//! A mark names the data that the entries at the top belong to; everything else of both is in the
//! directory of the restore. So each step may be interrupted, and whichever way the next run goes,
//! it knows what belongs where:
//!
//! | mark | at the top | in `new` | in `former` |
//! |---|---|---|---|
//! | none, before | all present data | all restored data | |
//! | `swap.former` | present data | all restored data | the rest of the present data |
//! | `swap.restored` | restored data | the rest of it | all former data |
//! | none, after | all restored data | | all former data |
//!
//! All entries move, so the journal of a database never ends beside another one.

use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use mai_contract::files::LOCK;
use mai_contract::job::{BackupId, Step, SwapOrder, SwapStep};
use mai_contract::restores::{self, Present};
use mai_contract::{LockError, LockFile};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::restore_directory::{RestoreDirectory, State, exists, remove_tree, sync};
use crate::swap::mount_points;
use crate::{BackupError, Places, Progress};

/// Entries at the top that belong to the place and not to the data.
const OF_THE_PLACE: [&str; 3] = [LOCK, restores::DIRECTORY, "lost+found"];

/// Does the step of a swap. May be repeated after an interruption, and once it is done.
pub(crate) fn swap(order: &SwapOrder, places: &Places, progress: &Progress) -> Result<(), BackupError> {
    progress.begin(Step::Swap, 0);
    let exchange = Exchange::new(&places.data, &order.restore);
    match order.step {
        SwapStep::Forward => {
            let _lock = lock(&places.data)?;
            expect_exchangeable(places)?;
            exchange.forward().map_err(|error| exchange.give_up(error))
        }
        SwapStep::Back => {
            let _lock = lock(&places.data)?;
            exchange.back()
        }
        SwapStep::Discard => exchange.discard(),
    }
}

/// Removes the directory of a restore, with what it unpacked and what it replaced. Nothing else may
/// work on the data meanwhile.
pub fn discard_restore(data: &Path, restore: &BackupId) -> Result<(), BackupError> {
    Exchange::new(data, restore).discard()
}

/// Fails unless all data below a directory can be moved within it.
pub(crate) fn expect_exchangeable(places: &Places) -> Result<(), BackupError> {
    let real = |path: &Path| path.canonicalize().map_err(BackupError::io("read", path));
    let (data, backups) = (real(&places.data)?, real(&places.backups)?);
    if backups.starts_with(&data) {
        return Err(BackupError::NotExchangeable {
            path: places.data.clone(),
            cause: format!("holds the backups in {}", backups.display()),
            remedy: "declare another directory in spec.storage.backups and move them there",
        });
    }
    if let Some(inner) = mount_points()?.into_iter().find(|mount| *mount != data && mount.starts_with(&data)) {
        return Err(BackupError::NotExchangeable {
            path: places.data.clone(),
            cause: format!("has {} mounted in it", inner.display()),
            remedy: "unmount it, or restore by hand as docs/restore-by-hand.md says",
        });
    }
    Ok(())
}

/// Returns whether a data directory holds data.
pub(crate) fn holds_data(data: &Path) -> Result<bool, BackupError> {
    let failed = BackupError::io("read", data);
    for entry in std::fs::read_dir(data).map_err(&failed)? {
        let name = entry.map_err(&failed)?.file_name();
        if !OF_THE_PLACE.iter().any(|own| name == *own) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Takes the lock of a server on the data.
fn lock(data: &Path) -> Result<LockFile, BackupError> {
    let path = data.join(LOCK);
    let failed = BackupError::io("locked", &path);
    let lock = LockFile::acquire(&path, 0o666, &std::process::id().to_string()).map_err(|error| match error {
        LockError::Locked { holder } => BackupError::DataInUse { path: data.to_owned(), holder },
        LockError::Io(error) => failed(error),
    })?;
    // Owned by root it would block the server forever.
    if geteuid().is_root() {
        let owner = data.metadata().map_err(&failed)?;
        lchown(&path, Some(owner.uid()), Some(owner.gid())).map_err(&failed)?;
    }
    Ok(lock)
}

/// Returns the mark of an exchange that is in the middle, and the restore that it names.
pub(crate) fn unfinished(data: &Path) -> Result<Option<(Present, BackupId)>, BackupError> {
    for present in Present::ALL {
        let path = data.join(restores::DIRECTORY).join(present.mark());
        let failed = BackupError::io("read", &path);
        match std::fs::read_to_string(&path) {
            Ok(id) => match id.trim().parse() {
                Ok(id) => return Ok(Some((present, id))),
                Err(error) => return Err(failed(io::Error::new(io::ErrorKind::InvalidData, error))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(None)
}

/// The exchange of one restore.
struct Exchange {
    directory: RestoreDirectory,
    #[cfg(test)]
    interruption: tests::Interruption,
}

impl Exchange {
    fn new(data: &Path, id: &BackupId) -> Self {
        Self {
            directory: RestoreDirectory::new(data, id),
            #[cfg(test)]
            interruption: tests::Interruption::default(),
        }
    }

    /// Returns the data at the top if this exchange is in the middle. Fails if another one is.
    fn present(&self) -> Result<Option<Present>, BackupError> {
        match unfinished(&self.directory.data)? {
            Some((_, id)) if id != self.directory.id => {
                Err(BackupError::SwapUnfinished { path: self.directory.data.clone(), id })
            }
            found => Ok(found.map(|(present, _)| present)),
        }
    }

    fn forward(&self) -> Result<(), BackupError> {
        let (new, former) = (self.directory.unpacked(), self.directory.former());
        let mut present = self.present()?;
        if present.is_none() {
            match self.directory.state()? {
                State::Swapped => return Ok(()),
                State::Unpacked => present = Some(self.begin(Present::Former)?),
                state => return Err(self.not_there(state)),
            }
        }
        if present == Some(Present::Former) {
            if !exists(&new) {
                return Err(self.not_there(State::TakenBack));
            }
            self.step()?;
            self.directory.make(&former)?;
            self.move_all(&self.directory.data, &former)?;
            self.turn(Present::Former, Present::Restored)?;
        }
        if exists(&new) {
            self.move_all(&new, &self.directory.data)?;
            self.remove_new()?;
        }
        self.end(Present::Restored)
    }

    fn back(&self) -> Result<(), BackupError> {
        if self.present()?.is_none() {
            match self.directory.state()? {
                State::Swapped => {
                    self.expect_newest()?;
                    self.begin(Present::Restored)?;
                }
                State::Unpacked => return self.remove_new().map(|()| self.clean_up()),
                // Somebody may have removed all of it. A server waits for this to succeed, and no other
                // data is there than the present.
                State::TakenBack | State::Absent | State::Unfinished => return Ok(()),
            }
        }
        self.put_former_up()?;
        self.remove_new()?;
        self.end(Present::Former)
    }

    fn discard(&self) -> Result<(), BackupError> {
        match unfinished(&self.directory.data)? {
            Some((_, id)) if id == self.directory.id => {
                Err(BackupError::SwapUnfinished { path: self.directory.data.clone(), id })
            }
            _ => self.directory.remove(),
        }
    }

    /// Puts the former data up after a failure, so that the server can be started on it, and returns
    /// the failure.
    fn give_up(&self, error: BackupError) -> BackupError {
        let put_back = || match self.present()? {
            Some(_) => self.put_former_up().and_then(|()| self.end(Present::Former)),
            None => Ok(()),
        };
        match put_back() {
            Ok(()) => BackupError::NotSwapped { source: Box::new(error) },
            Err(second) => BackupError::HalfSwapped {
                path: self.directory.data.clone(),
                source: Box::new(error),
                second: Box::new(second),
            },
        }
    }

    /// Moves the restored data out and the former data up, wherever the exchange stands.
    fn put_former_up(&self) -> Result<(), BackupError> {
        let (new, former) = (self.directory.unpacked(), self.directory.former());
        if self.present()? == Some(Present::Restored) {
            self.step()?;
            self.directory.make(&new)?;
            self.move_all(&self.directory.data, &new)?;
            self.turn(Present::Restored, Present::Former)?;
        }
        if exists(&former) {
            self.move_all(&former, &self.directory.data)?;
            self.step()?;
            std::fs::remove_dir(&former).map_err(BackupError::io("removed", &former))?;
        }
        Ok(())
    }

    /// Fails if the data of a later restore is the present data.
    fn expect_newest(&self) -> Result<(), BackupError> {
        for other in RestoreDirectory::all(&self.directory.data)? {
            if other.id > self.directory.id && other.state()? == State::Swapped {
                let (id, later) = (self.directory.id.clone(), other.id);
                return Err(BackupError::LaterRestore { id, later });
            }
        }
        Ok(())
    }

    fn mark(&self, present: Present) -> PathBuf {
        self.directory.top.join(present.mark())
    }

    /// Writes the mark, by which the exchange is in the middle.
    fn begin(&self, present: Present) -> Result<Present, BackupError> {
        self.step()?;
        self.directory.write(&self.mark(present), self.directory.id.as_str().as_bytes())?;
        Ok(present)
    }

    /// Changes the mark. A rename needs no room on a full volume.
    fn turn(&self, from: Present, to: Present) -> Result<(), BackupError> {
        self.step()?;
        let (from, to) = (self.mark(from), self.mark(to));
        std::fs::rename(&from, &to).map_err(BackupError::io("renamed", &from))?;
        sync(&self.directory.top)
    }

    /// Removes the mark, by which the exchange is done.
    fn end(&self, present: Present) -> Result<(), BackupError> {
        self.step()?;
        let mark = self.mark(present);
        std::fs::remove_file(&mark).map_err(BackupError::io("removed", &mark))?;
        sync(&self.directory.top)?;
        self.clean_up();
        Ok(())
    }

    /// Takes `new` out of the exchange in one step.
    fn remove_new(&self) -> Result<(), BackupError> {
        let (new, removed) = (self.directory.unpacked(), self.directory.removed());
        self.step()?;
        if exists(&new) {
            remove_tree(&removed)?;
            std::fs::rename(&new, &removed).map_err(BackupError::io("removed", &new))?;
        }
        Ok(())
    }

    /// Removes what was taken out. What cannot be removed goes when the restore is discarded.
    fn clean_up(&self) {
        let _ = remove_tree(&self.directory.removed());
    }

    /// Moves every entry of a directory that belongs to data into another one, and waits until that
    /// is on the disk.
    fn move_all(&self, from: &Path, to: &Path) -> Result<(), BackupError> {
        let failed = BackupError::io("read", from);
        for entry in std::fs::read_dir(from).map_err(&failed)?.collect::<Vec<_>>() {
            let name = entry.map_err(&failed)?.file_name();
            if OF_THE_PLACE.iter().any(|own| name == *own) {
                continue;
            }
            self.step()?;
            let (from, to) = (from.join(&name), to.join(&name));
            rename_to_new(&from, &to).map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => BackupError::InTheWay { path: to.clone() },
                _ => BackupError::io("moved", &from)(error),
            })?;
        }
        sync(from)?;
        sync(to)
    }

    fn not_there(&self, state: State) -> BackupError {
        let cause = match state {
            State::TakenBack => "was taken back, and its data was removed",
            State::Unfinished => "was not unpacked to the end",
            State::Absent | State::Unpacked | State::Swapped => "has nothing in the data directory",
        };
        BackupError::NothingToSwap { id: self.directory.id.clone(), cause }
    }

    /// Marks a point at which a test may interrupt.
    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    fn step(&self) -> Result<(), BackupError> {
        #[cfg(test)]
        self.interruption.pass()?;
        Ok(())
    }
}

/// Renames an entry to a name that must be free.
fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // The file system does not know the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if exists(to) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => std::fs::rename(from, to),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
#[path = "exchange_tests.rs"]
mod tests;
