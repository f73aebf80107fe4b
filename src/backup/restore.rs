//! Restores the data of a backup into a new directory: finds the backup, unpacks it, and checks all
//! of it on the way. [`crate::swap`] puts the directory in the place of the present data.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mai_contract::job::{BackupId, Step};

use crate::archive_reader::{DatabaseCheck, Layout, NewFile, Reading, Request, Sink, Survey};
use crate::catalog::CatalogEntry;
use crate::encryption::Identity;
use crate::free_space::check_free_space;
use crate::manifest::Manifest;
use crate::object_reader::{blocking, read_object};
use crate::snapshot::open_copy;
use crate::store::OpenStore;
use crate::summary::{Extent, ObjectKind, Summary};
use crate::unpack::{Counts, NewDirectory, data_root};
use crate::verify::read_back;
use crate::{BackupError, InstanceFiles, Progress};

/// Table of accounts, both of our server and of Open WebUI.
pub(crate) const ACCOUNTS: &str = "user";
/// Longest summary, in bytes.
const MAX_SUMMARY_BYTES: u64 = 1 << 20;

/// Choice among the backups of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The newest verified one, or else the newest.
    Latest,
    /// The newest that was taken at this time or before.
    At(Timestamp),
    /// The one with this id.
    Id(BackupId),
}

impl Wanted {
    /// Returns the entry of this choice in a catalog.
    pub fn find<'a>(&self, entries: &'a [CatalogEntry]) -> Option<&'a CatalogEntry> {
        let newest = |keep: &dyn Fn(&CatalogEntry) -> bool| {
            entries.iter().filter(|entry| keep(entry)).max_by_key(|entry| (entry.summary.taken_at, &entry.summary.id))
        };
        match self {
            Self::Latest => newest(&|entry| entry.verification.is_some()).or_else(|| newest(&|_| true)),
            Self::At(time) => newest(&|entry| entry.summary.taken_at <= *time),
            Self::Id(id) => newest(&|entry| entry.summary.id == *id),
        }
    }
}

/// An archive in a file of this machine.
#[derive(Clone, Debug)]
pub struct ArchiveFile {
    path: PathBuf,
    summary: Option<Summary>,
    survey: Survey,
}

/// Data that was unpacked.
#[derive(Clone, Debug)]
pub struct Unpacked {
    /// The manifest that all of it was compared with; None where the archive has none, so that only
    /// its databases could be checked.
    pub manifest: Option<Manifest>,
    /// Counts of it.
    pub counts: Counts,
    /// The document and the secrets in the archive.
    pub instance: InstanceFiles,
}

/// Opens a file as an archive: a backup of mai, with its summary beside it or without, or a data
/// directory as `tar` packs it.
pub async fn open_file(
    path: &Path,
    identity: Option<&Identity>,
    progress: &Progress,
) -> Result<ArchiveFile, BackupError> {
    let (path, identity, progress) = (path.to_owned(), identity.cloned(), progress.clone());
    blocking(move || {
        let metadata = path.metadata().map_err(BackupError::io("read", &path))?;
        if !metadata.is_file() {
            let what = io::Error::other("it is not a file");
            return Err(BackupError::io("read", &path)(what));
        }
        if let Some(summary) = summary_beside(&path)? {
            expect_identity(&summary, identity.as_ref())?;
            let survey = Survey { is_backup: true, bytes: summary.data_bytes };
            return Ok(ArchiveFile { path, summary: Some(summary), survey });
        }
        progress.begin(Step::Verify, metadata.len());
        let file = File::open(&path).map_err(BackupError::io("read", &path))?;
        let survey = survey(file, identity.as_ref(), &progress)?;
        Ok(ArchiveFile { path, summary: None, survey })
    })
    .await
}

/// Lists the members of an archive without a summary, whose size and kind nothing else tells.
pub(crate) fn survey(
    archive: impl io::Read,
    identity: Option<&Identity>,
    progress: &Progress,
) -> Result<Survey, BackupError> {
    let request = Request { summary: None, identity, max_data_bytes: u64::MAX, layout: Layout::Unknown, progress };
    match request.read(archive, &mut Nowhere)? {
        Reading::Survey(survey) => Ok(survey),
        _ => Err(BackupError::MissingIdentity { recipients: String::new() }),
    }
}

/// Returns the summary of the archive in `path`, if there is one beside it.
fn summary_beside(path: &Path) -> Result<Option<Summary>, BackupError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some((id, ObjectKind::Archive { .. })) = ObjectKind::parse(name) else { return Ok(None) };
    let beside = path.with_file_name(ObjectKind::Summary.name(&id));
    let file = match File::open(&beside) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(BackupError::io("read", &beside)(error)),
    };
    let wrong = |problem: String| BackupError::Unverified {
        what: format!(
            "{} is not the summary of {name}: {problem}; remove it or put the right one there",
            beside.display()
        ),
    };
    let summary: Summary = serde_json::from_reader(io::Read::take(io::BufReader::new(file), MAX_SUMMARY_BYTES))
        .map_err(|error| wrong(error.to_string()))?;
    if summary.archive.name != name {
        return Err(wrong(format!("it is that of {}", summary.archive.name)));
    }
    Ok(Some(summary))
}

fn expect_identity(summary: &Summary, identity: Option<&Identity>) -> Result<(), BackupError> {
    if summary.is_encrypted() && identity.is_none() {
        return Err(BackupError::MissingIdentity { recipients: summary.recipients.join(", ") });
    }
    Ok(())
}

impl ArchiveFile {
    /// Returns true for a backup of mai, which can be compared with its manifest.
    pub fn is_backup(&self) -> bool {
        self.survey.is_backup
    }

    /// Returns the summary beside it.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Unpacks the data into the new directory `into` and gives it to `owner`. Leaves nothing behind
    /// when it fails.
    pub async fn unpack(
        &self,
        identity: Option<&Identity>,
        into: &Path,
        owner: (u32, u32),
        progress: &Progress,
    ) -> Result<Unpacked, BackupError> {
        let (archive, identity, into, progress) = (self.clone(), identity.cloned(), into.to_owned(), progress.clone());
        blocking(move || {
            let failed = BackupError::io("read", &archive.path);
            let file = File::open(&archive.path).map_err(&failed)?;
            let bytes = file.metadata().map_err(&failed)?.len();
            progress.begin(Step::Unpack, bytes);
            let request = Request {
                summary: archive.summary.as_ref(),
                identity: identity.as_ref(),
                max_data_bytes: archive.survey.bytes,
                layout: if archive.is_backup() { Layout::Backup } else { Layout::Plain },
                progress: &progress,
            };
            unpack(&request, file, &into, owner)
        })
        .await
    }
}

/// Fails unless the data that was unpacked into a directory has the database of its server with an
/// account in it, where nothing else shows that it is from one. On other data a server would start
/// empty, and whoever came first would be its administrator.
pub fn require_database(unpacked: &Unpacked, directory: &Path, database: Option<&str>) -> Result<(), BackupError> {
    let Some(database) = database.filter(|_| unpacked.manifest.is_none()) else { return Ok(()) };
    let path = directory.join(database);
    if !path.is_file() {
        return Err(BackupError::OtherProgram { database: database.to_owned() });
    }
    let accounts = format!("SELECT EXISTS (SELECT 1 FROM \"{ACCOUNTS}\")");
    let has_one = open_copy(&path, None)?.query_row(&accounts, [], |row| row.get(0));
    match has_one {
        Ok(true) => Ok(()),
        // Without the table, it is not that of such a server.
        Ok(false) | Err(_) => Err(BackupError::NoAccounts { database: database.to_owned() }),
    }
}

/// Unpacks the data of a backup into the new directory `into` and gives it to `owner`. Leaves
/// nothing behind when it fails.
pub async fn unpack_stored(
    store: &OpenStore,
    summary: &Summary,
    identity: Option<&Identity>,
    into: &Path,
    owner: (u32, u32),
    progress: &Progress,
) -> Result<Unpacked, BackupError> {
    expect_identity(summary, identity)?;
    progress.begin(Step::Unpack, summary.archive.bytes);
    let name = summary.archive.name.clone();
    let (summary, identity, into, progress) = (summary.clone(), identity.cloned(), into.to_owned(), progress.clone());
    read_object(store, &name, move |archive| {
        let request = Request {
            summary: Some(&summary),
            identity: identity.as_ref(),
            max_data_bytes: summary.data_bytes,
            layout: Layout::Backup,
            progress: &progress,
        };
        unpack(&request, archive, &into, owner)
    })
    .await
}

/// Returns the document and the secrets in a backup, after all of it was read and checked. Databases
/// are checked in `staging`, which is made where it is missing.
pub async fn read_instance_files(
    store: &OpenStore,
    summary: &Summary,
    identity: Option<&Identity>,
    staging: &Path,
    progress: &Progress,
) -> Result<InstanceFiles, BackupError> {
    expect_identity(summary, identity)?;
    let (_, files) = read_back(store, summary, identity, staging, progress).await?;
    files.read()
}

/// Unpacks an archive into the new directory `into`.
pub(crate) fn unpack(
    request: &Request<'_>,
    archive: impl io::Read,
    into: &Path,
    owner: (u32, u32),
) -> Result<Unpacked, BackupError> {
    let parent = into.parent().unwrap_or(Path::new("/"));
    check_free_space(parent, request.max_data_bytes)?;
    let is_plain = request.layout == Layout::Plain;
    let mut directory = NewDirectory::create(into, is_plain)?;
    let manifest = match request.read(archive, &mut directory)? {
        Reading::Content(manifest) => Some(*manifest),
        Reading::Plain => None,
        Reading::Sealed | Reading::Survey(_) => {
            return Err(BackupError::MissingIdentity { recipients: String::new() });
        }
    };
    let instance = directory.take_instance_files()?;
    let counts = directory.finish(owner)?;
    if is_plain {
        promote_data_root(into)?;
        if counts.databases == 0 {
            // Nothing in it could be checked, and no server of ours or Open WebUI is without one.
            let _ = std::fs::remove_dir_all(into);
            let what = "the archive cannot be used: it is no backup of mai, and there is no database in it".to_owned();
            return Err(BackupError::Unverified { what });
        }
    }
    Ok(Unpacked { manifest, counts, instance })
}

/// Moves the data up where an archive has it in a directory of its own.
fn promote_data_root(unpacked: &Path) -> Result<(), BackupError> {
    let failed = BackupError::io("moved", unpacked);
    let Some(root) = data_root(unpacked).map_err(&failed)? else { return Ok(()) };
    let mut aside = unpacked.as_os_str().to_owned();
    aside.push(".data");
    std::fs::rename(&root, &aside).map_err(&failed)?;
    std::fs::remove_dir(unpacked).map_err(&failed)?;
    std::fs::rename(&aside, unpacked).map_err(&failed)
}

/// Words for the extent of a verification.
pub fn extent_words(extent: Extent) -> &'static str {
    match extent {
        Extent::Content => "read back and each file and database checked",
        Extent::Checksum => "read back and checked up to the encryption",
    }
}

/// Keeps nothing of an archive.
struct Nowhere;

impl Sink for Nowhere {
    fn directory(&mut self, _: &Path, _: u32) -> Result<(), BackupError> {
        Ok(())
    }

    fn link(&mut self, _: &Path, _: &Path) -> Result<(), BackupError> {
        Ok(())
    }

    fn file(&mut self, _: &NewFile<'_>) -> Result<Option<File>, BackupError> {
        Ok(None)
    }

    fn complete(&mut self, _: &NewFile<'_>) -> Result<Option<DatabaseCheck>, BackupError> {
        Ok(None)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use mai_contract::job::Subject;

    use super::*;
    use crate::summary::{ArchiveInfo, FORMAT, Verification};

    fn entry(day: u32, is_verified: bool) -> CatalogEntry {
        let taken_at: Timestamp = format!("2026-11-{day:02}T02:00:00Z").parse().unwrap();
        let id = BackupId::new(taken_at, day);
        let verification =
            Verification { format: FORMAT, id: id.clone(), verified_at: taken_at, extent: Extent::Content };
        let summary = Summary {
            format: FORMAT,
            id,
            instance: Subject { namespace: "default".to_owned(), name: "abc".to_owned(), uid: "1".to_owned() },
            taken_at,
            reason: "test".to_owned(),
            image: None,
            mai_version: "0.1.0".to_owned(),
            archive: ArchiveInfo { name: String::new(), bytes: 0, sha256: String::new() },
            manifest_sha256: String::new(),
            data_bytes: 0,
            files: 0,
            databases: 0,
            recipients: Vec::new(),
            missing_secrets: Vec::new(),
        };
        CatalogEntry { summary, verification: is_verified.then_some(verification) }
    }

    #[test]
    fn wanted_backup_is_the_newest_that_fits() {
        let entries = [entry(3, true), entry(1, true), entry(4, false), entry(2, false)];
        let day = |wanted: Wanted, entries: &[CatalogEntry]| {
            wanted.find(entries).map(|entry| entry.summary.taken_at.strftime("%d").to_string())
        };
        let at = |text: &str| Wanted::At(text.parse().unwrap());
        assert_eq!(day(Wanted::Latest, &entries).unwrap(), "03", "the newest that is verified");
        assert_eq!(day(Wanted::Latest, &entries[2..]).unwrap(), "04", "none is verified");
        assert_eq!(day(at("2026-11-02T12:00:00Z"), &entries).unwrap(), "02");
        assert_eq!(day(at("2026-11-01T02:00:00Z"), &entries).unwrap(), "01");
        assert_eq!(day(at("2026-11-01T01:00:00Z"), &entries), None);
        assert_eq!(day(Wanted::Id(entries[1].summary.id.clone()), &entries).unwrap(), "01");
        assert_eq!(day(Wanted::Id(entries[1].summary.id.clone()), &entries[2..]), None);
        assert_eq!(day(Wanted::Latest, &[]), None);
    }
}
