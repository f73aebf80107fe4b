//! The source of a restore or a drill: finds the backup that an order names, unpacks it, and checks
//! all of it on the way.

use std::path::Path;

use jiff::Timestamp;
use mai_contract::job::{BackupId, BackupSource, Choice, Step, Store};
use secrecy::ExposeSecret;

use crate::archive_reader::{Layout, Request};
use crate::catalog::{self, Catalog, CatalogEntry};
use crate::encryption::Identity;
use crate::object_reader::read_stream;
use crate::restore::{Unpacked, survey, unpack, unpack_stored};
use crate::store::OpenStore;
use crate::summary::{ObjectKind, Summary};
use crate::{BackupError, Counts, Places, Progress, read_secret};

/// Data of a source that was unpacked and checked.
#[derive(Clone, Debug)]
pub struct UnpackedSource {
    /// The backup; None for an archive that mai did not make.
    pub backup: Option<BackupId>,
    /// Moment of its data, where that is known.
    pub taken_at: Option<Timestamp>,
    /// Image of the server that the data is from, where that is known.
    pub image: Option<String>,
    /// The archive is encrypted; None where no summary tells.
    pub is_encrypted: Option<bool>,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Data and manifest.
    pub unpacked: Unpacked,
}

impl UnpackedSource {
    /// Returns the counts of the data.
    pub fn counts(&self) -> Counts {
        self.unpacked.counts
    }
}

/// Unpacks a backup into the new directory `into` and gives it to `owner`. Fails unless all of it
/// is as it was stored, and then leaves nothing behind. An archive that mai did not make is checked
/// as far as its databases.
pub async fn unpack_source(
    source: &BackupSource,
    places: &Places,
    into: &Path,
    owner: (u32, u32),
    progress: &Progress,
) -> Result<UnpackedSource, BackupError> {
    let identity = match &source.identity {
        Some(name) => Some(Identity::parse(read_secret(&places.secrets, name)?.expose_secret())?),
        None => None,
    };
    let task = Task { source, places, identity: identity.as_ref(), into, owner, progress };
    tokio::select! {
        () = progress.stopped() => Err(BackupError::Stopped),
        unpacked = task.run() => unpacked,
    }
}

struct Task<'a> {
    source: &'a BackupSource,
    places: &'a Places,
    identity: Option<&'a Identity>,
    into: &'a Path,
    owner: (u32, u32),
    progress: &'a Progress,
}

impl Task<'_> {
    async fn run(&self) -> Result<UnpackedSource, BackupError> {
        if let Choice::File(path) = &self.source.choice {
            return self.unpack_file(path).await;
        }
        let store = self.open_stored().await?;
        let catalog = catalog::read(&store).await?;
        let summary = &choose(self.source, &catalog)?.summary;
        let unpacked = unpack_stored(&store, summary, self.identity, self.into, self.owner, self.progress).await?;
        Ok(of_backup(summary, unpacked))
    }

    async fn open_stored(&self) -> Result<OpenStore, BackupError> {
        let BackupSource { destination, namespace, name, .. } = self.source;
        let instance = [namespace.as_str(), name.as_str()];
        let below = match &destination.store {
            Store::Volume => &[][..],
            _ => &instance[..],
        };
        Ok(OpenStore::open_to_read(destination, below, self.places).await?)
    }

    async fn unpack_file(&self, path: &str) -> Result<UnpackedSource, BackupError> {
        let (directories, name) = archive_path(path)?;
        let store = OpenStore::open_to_read(&self.source.destination, &directories, self.places).await?;
        if let Some((id, ObjectKind::Archive { .. })) = ObjectKind::parse(name)
            && let Some(summary) = catalog::read_summary(&store, &id).await?
        {
            let summary = summary.map_err(|what| BackupError::Unverified { what })?;
            expect_archive(&summary, name)?;
            let unpacked = unpack_stored(&store, &summary, self.identity, self.into, self.owner, self.progress).await?;
            return Ok(of_backup(&summary, unpacked));
        }
        let (stream, bytes) = store.read_file(name).await?;
        self.progress.begin(Step::Verify, bytes);
        let (identity, progress) = (self.identity.cloned(), self.progress.clone());
        let survey = read_stream(stream, move |archive| survey(archive, identity.as_ref(), &progress)).await?;
        let (stream, bytes) = store.read_file(name).await?;
        self.progress.begin(Step::Unpack, bytes);
        let (identity, progress) = (self.identity.cloned(), self.progress.clone());
        let (into, owner) = (self.into.to_owned(), self.owner);
        let unpacked = read_stream(stream, move |archive| {
            let request = Request {
                summary: None,
                identity: identity.as_ref(),
                max_data_bytes: survey.bytes,
                layout: if survey.is_backup { Layout::Backup } else { Layout::Plain },
                progress: &progress,
            };
            unpack(&request, archive, &into, owner)
        })
        .await?;
        let manifest = unpacked.manifest.as_ref();
        Ok(UnpackedSource {
            backup: manifest.map(|manifest| manifest.id.clone()),
            taken_at: manifest.map(|manifest| manifest.taken_at),
            image: manifest.and_then(|manifest| manifest.image.clone()),
            is_encrypted: None,
            archive_bytes: bytes,
            unpacked,
        })
    }
}

fn of_backup(summary: &Summary, unpacked: Unpacked) -> UnpackedSource {
    UnpackedSource {
        backup: Some(summary.id.clone()),
        taken_at: Some(summary.taken_at),
        image: summary.image.clone(),
        is_encrypted: Some(summary.is_encrypted()),
        archive_bytes: summary.archive.bytes,
        unpacked,
    }
}

/// Splits the path of an archive into its directories and its name.
fn archive_path(path: &str) -> Result<(Vec<&str>, &str), BackupError> {
    let is_name = |name: &&str| !matches!(*name, "" | "." | "..") && !name.contains(char::is_control);
    let mut names: Vec<_> = path.split('/').collect();
    match names.pop().filter(|name| is_name(name) && names.iter().all(is_name)) {
        Some(name) => Ok((names, name)),
        None => Err(BackupError::ArchivePath { path: path.to_owned() }),
    }
}

/// Fails unless a summary is that of the archive beside it.
fn expect_archive(summary: &Summary, name: &str) -> Result<(), BackupError> {
    if summary.archive.name == name {
        return Ok(());
    }
    let beside = ObjectKind::Summary.name(&summary.id);
    let what =
        format!("{beside} is the summary of {}, not of {name}; remove the one that is wrong", summary.archive.name);
    Err(BackupError::Unverified { what })
}

/// Returns the backup that a source names.
fn choose<'a>(source: &BackupSource, catalog: &'a Catalog) -> Result<&'a CatalogEntry, BackupError> {
    let instance = format!("{}/{}", source.namespace, source.name);
    let found = |entry: &CatalogEntry| format!("{}/{}", entry.summary.instance.namespace, entry.summary.instance.name);
    let (ours, others): (Vec<_>, Vec<_>) = catalog.entries.iter().partition(|entry| found(entry) == instance);
    let newest = |keep: &dyn Fn(&CatalogEntry) -> bool| {
        ours.iter().copied().filter(|entry| keep(entry)).max_by_key(|entry| (entry.summary.taken_at, &entry.summary.id))
    };
    let verified: Vec<_> = ours.iter().copied().filter(|entry| entry.verification.is_some()).collect();
    let chosen = match &source.choice {
        Choice::Latest => newest(&|entry| entry.verification.is_some()),
        Choice::At(time) => newest(&|entry| entry.summary.taken_at <= *time),
        Choice::Id(id) => {
            if let Some(other) = others.iter().find(|entry| entry.summary.id == *id) {
                return Err(BackupError::OtherInstance {
                    id: id.clone(),
                    destination: source.destination.name.clone(),
                    found: found(other),
                    instance,
                });
            }
            newest(&|entry| entry.summary.id == *id)
        }
        Choice::Random(number) => (*number as usize).checked_rem(verified.len()).map(|index| verified[index]),
        Choice::File(_) => None,
    };
    if let Some(entry) = chosen {
        return Ok(entry);
    }
    let wanted = match &source.choice {
        Choice::Latest | Choice::Random(_) => "verified backup".to_owned(),
        Choice::At(time) => format!("backup that was taken at {time} or before"),
        Choice::Id(id) => format!("backup {id}"),
        Choice::File(path) => format!("file {path}"),
    };
    let mut there = match newest(&|_| true) {
        Some(entry) => format!(
            "it has {} of them, the newest of which is {} ({})",
            ours.len(),
            entry.summary.id,
            entry.summary.taken_at
        ),
        None if others.is_empty() => "there is no backup in it".to_owned(),
        None => format!("those in it are of other instances, such as {}", found(others[0])),
    };
    if let Some(problem) = catalog.problems.first() {
        there = format!("{there}; {problem}");
    }
    Err(BackupError::NoSuchBackup { destination: source.destination.name.clone(), wanted, instance, there })
}
