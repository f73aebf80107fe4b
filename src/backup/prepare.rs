//! Prepares an archive: copies the databases into the staging directory, and then lists everything
//! else, so that a file that a database names is there if it still exists.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mai_contract::job::{BackupOrder, Step, Store};
use rustix::fs::OFlags;

use crate::exchange::unfinished;
use crate::free_space::check_free_space;
use crate::manifest::DatabaseInfo;
use crate::sidecars::{SIDECARS, hostile_sidecar, sidecars};
use crate::snapshot::{complaints, inspect, is_database, open_copy, snapshot};
use crate::staging::Staging;
use crate::tree::{Attributes, FileId, Kind, Listing, Tree, identity};
use crate::{BackupError, Places, Progress};

/// Size below which nothing is an SQLite database: that of the smallest page.
const SMALLEST_DATABASE: u64 = 512;
/// Estimated part that compression leaves of a database.
const DATABASE_RATIO: u64 = 2;
/// Estimated bytes of an entry in archive and manifest beside its content.
const ENTRY_BYTES: u64 = 2048;

/// The data of an instance, ready to be archived.
pub(crate) struct Prepared {
    pub(crate) tree: Tree,
    pub(crate) staging: Staging,
    /// Moment the copying began.
    pub(crate) taken_at: Timestamp,
    /// Snapshots by the path of their database below the data.
    pub(crate) snapshots: BTreeMap<PathBuf, Snapshot>,
    /// Files that look like databases and are none, by path, with the error of SQLite.
    pub(crate) no_databases: BTreeMap<PathBuf, String>,
    pub(crate) listing: Listing,
}

/// The copy of a database.
pub(crate) struct Snapshot {
    /// The copy.
    pub(crate) staged: PathBuf,
    /// Its identity since it was made.
    pub(crate) id: FileId,
    /// Attributes of the database, and the size of the copy.
    pub(crate) attributes: Attributes,
    pub(crate) info: DatabaseInfo,
}

/// A database in the data.
struct Database {
    path: PathBuf,
    attributes: Attributes,
    /// Bytes of it and of its write-ahead log, which bound those of its snapshot.
    bytes: u64,
    /// It is what an instance cannot be without: at the top of its data, or in use.
    is_essential: bool,
}

/// Fails while a restore has replaced only a part of the data.
fn expect_whole(data: &Path) -> Result<(), BackupError> {
    match unfinished(data)? {
        Some((_, id)) => Err(BackupError::SwapUnfinished { path: data.to_owned(), id }),
        None => Ok(()),
    }
}

impl Prepared {
    /// Copies the databases and lists the data. `verifiable` is false where nobody will be able to
    /// read the archive back, so that its databases have to be checked here.
    pub(crate) fn new(
        order: &BackupOrder,
        places: &Places,
        verifiable: bool,
        progress: &Progress,
    ) -> Result<Self, BackupError> {
        expect_whole(&places.data)?;
        let tree = Tree::open(&places.data)?;
        let backups = identity(&places.backups).map_err(BackupError::io("read", &places.backups))?;
        let listing = tree.list(Some(backups))?;
        let databases = databases(&tree, &listing)?;
        let bytes = Sizes::new(&listing, &databases);
        check_room(order, places, &bytes)?;
        let staging = Staging::create(places, &order.id)?;
        check_free_space(staging.path(), bytes.databases)?;
        progress.begin(Step::Snapshot, bytes.databases);
        let mut prepared = Self {
            tree,
            staging,
            taken_at: Timestamp::now(),
            snapshots: BTreeMap::new(),
            no_databases: BTreeMap::new(),
            listing: Listing::default(),
        };
        for database in databases {
            prepared.copy(database, verifiable, progress)?;
        }
        prepared.listing = prepared.tree.list(Some(backups))?;
        expect_whole(&places.data)?;
        for database in self::databases(&prepared.tree, &prepared.listing)? {
            // Made in the meantime.
            if !prepared.snapshots.contains_key(&database.path) && !prepared.no_databases.contains_key(&database.path) {
                prepared.copy(database, verifiable, progress)?;
            }
        }
        Ok(prepared)
    }

    fn copy(&mut self, database: Database, verifiable: bool, progress: &Progress) -> Result<(), BackupError> {
        let number = self.snapshots.len() + self.no_databases.len();
        let staged = self.staging.path().join(format!("{number}.db"));
        let from = self.tree.absolute(&database.path);
        match copy(&from, &staged, database.is_essential, verifiable, progress) {
            Ok(Ok((id, info))) => {
                let copy = open_copied(&staged, id).and_then(|file| file.metadata());
                let size = copy.map_err(BackupError::io("read", &staged))?.len();
                let attributes = Attributes { size, ..database.attributes };
                self.snapshots.insert(database.path, Snapshot { staged, id, attributes, info });
            }
            Ok(Err(problem)) => {
                // It may not even have been begun.
                let _ = std::fs::remove_file(&staged);
                self.no_databases.insert(database.path, problem);
            }
            // Removed in the meantime.
            Err(_) if !from.exists() => drop(std::fs::remove_file(&staged)),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Returns true for a file beside a database whose content the snapshot has.
    pub(crate) fn is_sidecar(&self, path: &Path) -> bool {
        let name = path.as_os_str().as_encoded_bytes();
        SIDECARS.iter().any(|end| {
            name.strip_suffix(end.as_bytes()).is_some_and(|of| {
                use std::os::unix::ffi::OsStrExt;
                self.snapshots.contains_key(Path::new(std::ffi::OsStr::from_bytes(of)))
            })
        })
    }

    /// Returns bytes of content to be read for the archive, and the most that the archive may have.
    pub(crate) fn sizes(&self) -> (u64, u64) {
        let files = self.listing.entries.iter().map(|entry| match entry.kind {
            Kind::File if !self.is_sidecar(&entry.path) && !self.snapshots.contains_key(&entry.path) => {
                entry.attributes.size
            }
            _ => 0,
        });
        let databases = self.snapshots.values().map(|snapshot| snapshot.attributes.size);
        let content: u64 = files.chain(databases).sum();
        // What does not compress grows a little in each layer.
        (content, content + content / 500 + (self.listing.entries.len() as u64 + 16) * ENTRY_BYTES)
    }

    /// Returns the estimated bytes of the archive.
    pub(crate) fn estimate(&self) -> u64 {
        let (content, _) = self.sizes();
        let databases: u64 = self.snapshots.values().map(|snapshot| snapshot.attributes.size).sum();
        content - databases + databases / DATABASE_RATIO
    }
}

/// Copies a database. Returns the identity of the copy and its properties; or, where nothing has it open and it is not one that
/// has to be there, why it is no database. So nobody can prevent backups by uploading a damaged one.
fn copy(
    from: &Path,
    staged: &Path,
    is_essential: bool,
    verifiable: bool,
    progress: &Progress,
) -> Result<Result<(FileId, DatabaseInfo), String>, BackupError> {
    let copied = (|| {
        let id = snapshot(from, staged, progress)?;
        let connection = open_copy(staged, Some(progress))?;
        let failed = BackupError::database("copied", from);
        if !is_essential || !verifiable {
            let found = complaints(&connection).map_err(&failed)?;
            if !found.is_empty() {
                return Err(BackupError::Damaged { path: from.to_owned(), complaints: found.join("; ") });
            }
        }
        Ok((id, inspect(&connection).map_err(&failed)?))
    })();
    if copied.is_err() {
        // A stop interrupts SQLite too, and is no problem of the database.
        progress.check()?;
    }
    keep_as_file(copied, is_essential)
}

/// Returns the result of a copy, in which the problem of a database that is not essential is none of
/// the backup.
fn keep_as_file<T>(copied: Result<T, BackupError>, is_essential: bool) -> Result<Result<T, String>, BackupError> {
    match copied {
        Ok(copied) => Ok(Ok(copied)),
        Err(error) if is_essential => Err(error),
        Err(BackupError::Damaged { complaints: problem, .. } | BackupError::Sidecar { problem, .. }) => {
            Ok(Err(problem))
        }
        Err(BackupError::Database { source, .. } | BackupError::DatabaseDirectory { source, .. }) => {
            Ok(Err(source.to_string()))
        }
        Err(error @ BackupError::DatabaseBusy { .. }) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Returns the databases among the files.
fn databases(tree: &Tree, listing: &Listing) -> Result<Vec<Database>, BackupError> {
    let mut found = Vec::new();
    for entry in &listing.entries {
        if !matches!(entry.kind, Kind::File) || entry.attributes.size < SMALLEST_DATABASE {
            continue;
        }
        // What cannot be read is told when it is to be archived.
        let Ok((file, attributes)) = tree.open_file(&entry.path) else { continue };
        if is_database(&file).unwrap_or(false) {
            let is_at_top = entry.path.components().count() == 1;
            let beside = sidecars(&tree.absolute(&entry.path)).map(|path| path.symlink_metadata().ok());
            let beside: Vec<u64> = beside.flatten().map(|metadata| metadata.len()).collect();
            let bytes = attributes.size + beside.iter().sum::<u64>();
            // A sidecar that no server makes does not prove that one has the database in use.
            let is_in_use = !beside.is_empty() && hostile_sidecar(&tree.absolute(&entry.path)).is_none();
            let is_essential = is_at_top || is_in_use;
            found.push(Database { path: entry.path.clone(), attributes, bytes, is_essential });
        }
    }
    Ok(found)
}

/// Bytes of the data before it is copied.
struct Sizes {
    databases: u64,
    others: u64,
}

impl Sizes {
    fn new(listing: &Listing, databases: &[Database]) -> Self {
        let files = listing.entries.iter().filter(|entry| matches!(entry.kind, Kind::File));
        let all: u64 = files.map(|entry| entry.attributes.size).sum();
        let databases: u64 = databases.iter().map(|database| database.bytes).sum();
        Self { databases, others: all.saturating_sub(databases) }
    }
}

/// Fails where the backups volume is the only destination and cannot take the archive and what is
/// staged for it. Among several each has a result of its own.
fn check_room(order: &BackupOrder, places: &Places, bytes: &Sizes) -> Result<(), BackupError> {
    if order.destinations.iter().any(|destination| destination.store != Store::Volume) {
        return Ok(());
    }
    let staged = if is_same_volume(places) { bytes.databases } else { 0 };
    check_free_space(&places.backups, staged + bytes.databases / DATABASE_RATIO + bytes.others)
}

fn is_same_volume(places: &Places) -> bool {
    let place = if places.staging.exists() { Some(places.staging.as_path()) } else { places.staging.parent() };
    let device = |path: &Path| identity(path).ok().map(|(device, _)| device);
    place.and_then(device) == device(&places.backups)
}

/// Opens a staged copy.
pub(crate) fn open_staged(snapshot: &Snapshot) -> Result<File, BackupError> {
    open_copied(&snapshot.staged, snapshot.id).map_err(BackupError::io("read", &snapshot.staged))
}

/// Opens a staged copy, unless another file took its place: a server that may write to the backups
/// volume must not get a file of the job, such as a secret, into the archive.
fn open_copied(staged: &Path, id: FileId) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(staged)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.nlink() == 1 && (metadata.dev(), metadata.ino()) == id {
        return Ok(file);
    }
    Err(io::Error::other(
        "another program replaced it or made a link to it; let nothing else write to the staging directory",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn problem_of_an_upload_does_not_end_the_backup() {
        let path = || PathBuf::from("data/uploads/a.db");
        let problems: [fn(PathBuf) -> BackupError; 5] = [
            |path| BackupError::Damaged { path, complaints: String::new() },
            |path| BackupError::Sidecar { path, problem: String::new() },
            |path| BackupError::Database { action: "copied", path, source: rusqlite::Error::QueryReturnedNoRows },
            |path| BackupError::DatabaseDirectory { path, source: rusqlite::Error::QueryReturnedNoRows },
            |path| BackupError::DatabaseBusy { path, seconds: 60 },
        ];
        for problem in problems {
            assert!(matches!(keep_as_file::<()>(Err(problem(path())), false), Ok(Err(_))));
            assert!(keep_as_file::<()>(Err(problem(path())), true).is_err());
        }
        assert!(matches!(keep_as_file::<()>(Err(BackupError::Stopped), false), Err(BackupError::Stopped)));
    }

    #[test]
    fn staged_copy_that_was_replaced_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        let (staged, secret) = (place("0.db"), place("secret"));
        std::fs::write(&secret, "s3cret").unwrap();
        std::fs::write(&staged, "copy").unwrap();
        let id = identity(&staged).unwrap();
        assert!(open_copied(&staged, id).is_ok());
        std::fs::hard_link(&staged, place("second")).unwrap();
        assert!(open_copied(&staged, id).is_err(), "a second name");
        std::fs::rename(&staged, place("moved")).unwrap();
        std::fs::remove_file(place("second")).unwrap();
        std::os::unix::fs::symlink(&secret, &staged).unwrap();
        assert!(open_copied(&staged, id).is_err(), "a link to another file");
        std::fs::remove_file(&staged).unwrap();
        std::os::unix::fs::symlink(place("moved"), &staged).unwrap();
        assert!(open_copied(&staged, id).is_err(), "a link to the copy");
        std::fs::remove_file(&staged).unwrap();
        std::fs::rename(&secret, &staged).unwrap();
        assert!(open_copied(&staged, id).is_err(), "another file");
    }
}
