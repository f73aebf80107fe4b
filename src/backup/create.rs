//! Makes a backup: prepares the data, streams the archive to all destinations at once, and then
//! commits, verifies and prunes in each of them.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use mai_contract::files::LOCK;
use mai_contract::job::{BackupOrder, BackupReport, Destination, DestinationReport, Step, Store, StoreResult};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::archive::{ArchiveWriter, WrittenArchive};
use crate::encryption::{Identity, Recipients};
use crate::fan_out::{ChunkWriter, STALL, fan_out};
use crate::free_space::check_free_space;
use crate::manifest::{Cause, DATA, DOCUMENT, Manifest, SECRETS};
use crate::prepare::{Prepared, open_staged};
use crate::retention::prune;
use crate::staging::{Staging, remove_left_overs};
use crate::store::{OpenStore, StoreError, Upload};
use crate::summary::{ArchiveInfo, Extent, FORMAT, ObjectKind, Summary, reason};
use crate::tree::{Kind, cause, exception};
use crate::verify::verify;
use crate::{BackupError, Places, Progress, lock_backups, read_secret_file};

/// Remarks in a report; the manifest has them all.
const MAX_REMARKS: usize = 5;
/// Longest work on one small object.
const PUT: Duration = STALL;

/// Makes a backup.
pub async fn create(order: &BackupOrder, places: &Places, progress: &Progress) -> Result<BackupReport, BackupError> {
    let time_zone = TimeZone::get(&order.time_zone).map_err(|_| BackupError::TimeZone(order.time_zone.clone()))?;
    let keys = Keys::read(order, places)?;
    let holder = format!("backup {} of process {}", order.id, std::process::id());
    let backups = places.backups.clone();
    let _lock = spawn_blocking(move || lock_backups(&backups, &holder)).await??;
    let mut destinations = Vec::new();
    for destination in &order.destinations {
        let opened = OpenStore::open(destination, &order.instance, places).await;
        destinations.push(Target { destination, state: opened.map_err(|error| error.to_string()) });
    }
    require_one(&destinations)?;
    let prepared = {
        let (order, places, progress) = (order.clone(), places.clone(), progress.clone());
        let is_verifiable = keys.recipients.is_none() || keys.identity.is_some();
        let prepare = move || {
            remove_left_overs(&places)?;
            Prepared::new(&order, &places, is_verifiable, &progress)
        };
        spawn_blocking(prepare).await??
    };
    let (staging, archive) = store_archive(order, places, &keys, prepared, &mut destinations, progress).await?;
    let summary = summary(order, &keys, &archive);
    let mut reports = Vec::new();
    for target in destinations {
        let task = Committing { order, summary: &summary, keys: &keys, time_zone: &time_zone, progress };
        reports.push(task.complete(target, staging.path()).await);
    }
    Ok(report(&summary, &archive.manifest, reports))
}

/// A destination, open, or why nothing more is done with it.
struct Target<'a> {
    destination: &'a Destination,
    state: Result<OpenStore, String>,
}

/// Fails unless a destination is left.
fn require_one(targets: &[Target<'_>]) -> Result<(), BackupError> {
    if targets.iter().any(|target| target.state.is_ok()) { Ok(()) } else { Err(no_destination(targets)) }
}

/// Returns why no destination has the backup.
fn no_destination(targets: &[Target<'_>]) -> BackupError {
    let problem =
        |target: &Target<'_>| target.state.as_ref().err().map(|error| format!("{}: {error}", target.destination.name));
    let problems: Vec<_> = targets.iter().filter_map(problem).collect();
    BackupError::NoDestination(if problems.is_empty() { "none is named".to_owned() } else { problems.join("; ") })
}

/// Keys that close and open an archive, and the secrets that go into it.
struct Keys {
    recipients: Option<Recipients>,
    public: Vec<String>,
    identity: Option<Identity>,
    secrets: Vec<(String, SecretString)>,
    missing: Vec<String>,
}

impl Keys {
    fn read(order: &BackupOrder, places: &Places) -> Result<Self, BackupError> {
        let Some(encryption) = &order.encryption else {
            let missing = order.secrets.clone();
            return Ok(Self { recipients: None, public: Vec::new(), identity: None, secrets: Vec::new(), missing });
        };
        let read = |name: &String| Ok((name.clone(), read_secret_file(&places.secrets, name)?));
        Ok(Self {
            recipients: Some(Recipients::parse(&encryption.recipients)?),
            public: encryption.recipients.clone(),
            identity: Identity::read(encryption, &places.secrets)?,
            secrets: order.secrets.iter().map(read).collect::<Result<_, BackupError>>()?,
            missing: Vec::new(),
        })
    }
}

/// Streams the archive to all destinations that are left.
async fn store_archive(
    order: &BackupOrder,
    places: &Places,
    keys: &Keys,
    prepared: Prepared,
    targets: &mut [Target<'_>],
    progress: &Progress,
) -> Result<(Staging, WrittenArchive<()>), BackupError> {
    let (content, most) = prepared.sizes();
    let name = ObjectKind::Archive { encrypted: keys.recipients.is_some() }.name(&order.id);
    let mut uploads = Vec::new();
    for target in targets.iter_mut() {
        if let Ok(store) = &target.state {
            match begin(store, target.destination, places, &name, prepared.estimate(), most).await {
                Ok(upload) => uploads.push(upload),
                Err(error) => target.state = Err(error.to_string()),
            }
        }
    }
    require_one(targets)?;
    progress.begin(Step::Store, content);
    let (writer, receiver) = fan_out(STALL);
    let archiving = {
        let (manifest, order, progress) = (manifest(order, keys, &prepared), order.clone(), progress.clone());
        let (recipients, secrets) = (keys.recipients.clone(), keys.secrets.clone());
        spawn_blocking(move || {
            let archive = ArchiveWriter::new(writer, recipients.as_ref(), manifest, progress)?;
            let archive = write(archive, &prepared, &order, &secrets)?;
            let WrittenArchive { manifest, manifest_sha256, bytes, sha256, output } = archive;
            output.complete().map_err(BackupError::Archive)?;
            Ok((prepared.staging, WrittenArchive { manifest, manifest_sha256, bytes, sha256, output: () }))
        })
    };
    let results = receiver.deliver(uploads, progress).await;
    let archived = archiving.await?;
    let open = targets.iter_mut().filter(|target| target.state.is_ok());
    for (target, result) in open.zip(results) {
        if let Err(error) = result {
            target.state = Err(error.to_string());
        }
    }
    progress.check()?;
    match archived {
        Ok(archived) => require_one(targets).map(|()| archived),
        Err(BackupError::Archive(error)) if error.kind() == io::ErrorKind::BrokenPipe => Err(no_destination(targets)),
        Err(error) => Err(error),
    }
}

/// Begins the archive in one destination.
async fn begin(
    store: &OpenStore,
    destination: &Destination,
    places: &Places,
    name: &str,
    estimate: u64,
    most: u64,
) -> Result<Upload, BackupError> {
    match &destination.store {
        Store::Volume => check_free_space(&places.backups, estimate)?,
        Store::Directory(path) => check_free_space(path, estimate)?,
        Store::S3(_) => {}
    }
    Ok(store.create(name, most).await?)
}

fn manifest(order: &BackupOrder, keys: &Keys, prepared: &Prepared) -> Manifest {
    Manifest {
        format: FORMAT,
        id: order.id.clone(),
        instance: order.instance.clone(),
        taken_at: prepared.taken_at,
        reason: order.reason.clone(),
        image: order.image.clone(),
        mai_version: env!("CARGO_PKG_VERSION").to_owned(),
        directories: Vec::new(),
        files: Vec::new(),
        links: Vec::new(),
        exceptions: prepared.listing.exceptions.clone(),
        missing_secrets: keys.missing.clone(),
    }
}

/// Writes the archive to its end.
fn write(
    mut archive: ArchiveWriter<ChunkWriter>,
    prepared: &Prepared,
    order: &BackupOrder,
    secrets: &[(String, SecretString)],
) -> Result<WrittenArchive<ChunkWriter>, BackupError> {
    let data = Path::new(DATA);
    archive.directory(data, prepared.tree.attributes()?)?;
    for entry in &prepared.listing.entries {
        let path = data.join(&entry.path);
        match &entry.kind {
            Kind::Directory => archive.directory(&path, entry.attributes)?,
            Kind::Link(target) => archive.link(&path, target, entry.attributes)?,
            Kind::File if entry.path == Path::new(LOCK) || prepared.is_sidecar(&entry.path) => {}
            Kind::File => write_file(&mut archive, prepared, &entry.path)?,
        }
    }
    let document = serde_json::to_vec_pretty(&order.document).map_err(|error| BackupError::Archive(error.into()))?;
    archive.content(Path::new(DOCUMENT), &document)?;
    for (name, value) in secrets {
        archive.content(&Path::new(SECRETS).join(name), value.expose_secret().as_bytes())?;
    }
    archive.finish()
}

fn write_file(archive: &mut ArchiveWriter<ChunkWriter>, prepared: &Prepared, path: &Path) -> Result<(), BackupError> {
    let member = Path::new(DATA).join(path);
    if let Some(snapshot) = prepared.snapshots.get(path) {
        let (entry, changed) = archive.file(&member, open_staged(snapshot)?, snapshot.attributes)?;
        entry.database = Some(snapshot.info.clone());
        let staged = &snapshot.staged;
        if changed.is_some() {
            return Err(BackupError::io("read to its end", staged)(io::ErrorKind::UnexpectedEof.into()));
        }
        // Its room may be needed for the archive.
        return std::fs::remove_file(staged).map_err(BackupError::io("removed", staged));
    }
    match prepared.tree.open_file(path) {
        Ok((file, attributes)) => {
            let (_, changed) = archive.file(&member, file, attributes)?;
            changed.into_iter().for_each(|cause| archive.note(exception(path, cause)));
            if let Some(problem) = prepared.no_databases.get(path) {
                archive.note(exception(path, Cause::NoDatabase(problem.clone())));
            }
        }
        Err(error) => archive.note(exception(path, cause(error))),
    }
    Ok(())
}

fn summary(order: &BackupOrder, keys: &Keys, archive: &WrittenArchive<()>) -> Summary {
    let manifest = &archive.manifest;
    let files = || manifest.data_files();
    Summary {
        format: FORMAT,
        id: order.id.clone(),
        instance: order.instance.clone(),
        taken_at: manifest.taken_at,
        reason: reason(&order.reason),
        image: order.image.clone(),
        mai_version: manifest.mai_version.clone(),
        archive: ArchiveInfo {
            name: ObjectKind::Archive { encrypted: keys.recipients.is_some() }.name(&order.id),
            bytes: archive.bytes,
            sha256: archive.sha256.clone(),
        },
        manifest_sha256: archive.manifest_sha256.clone(),
        data_bytes: files().map(|file| file.size).sum(),
        files: files().count() as u64,
        databases: files().filter(|file| file.database.is_some()).count() as u64,
        recipients: keys.public.clone(),
        missing_secrets: keys.missing.clone(),
    }
}

fn report(summary: &Summary, manifest: &Manifest, destinations: Vec<DestinationReport>) -> BackupReport {
    let mut remarks: Vec<_> = manifest.exceptions.iter().take(MAX_REMARKS).map(ToString::to_string).collect();
    if let Some(more) = manifest.exceptions.len().checked_sub(MAX_REMARKS).filter(|more| *more > 0) {
        remarks.push(format!("{more} more are named in manifest.json of the archive"));
    }
    BackupReport {
        id: summary.id.clone(),
        taken_at: summary.taken_at,
        data_bytes: summary.data_bytes,
        archive_bytes: summary.archive.bytes,
        files: summary.files,
        databases: summary.databases,
        destinations,
        remarks,
    }
}

/// End of a backup in one destination.
struct Committed {
    result: StoreResult,
    /// It was read back and checked, and the record of that is there.
    is_checked: bool,
}

/// The steps after the archive is in a destination.
struct Committing<'a> {
    order: &'a BackupOrder,
    summary: &'a Summary,
    keys: &'a Keys,
    time_zone: &'a TimeZone,
    progress: &'a Progress,
}

impl Committing<'_> {
    /// Commits, verifies and prunes in one destination.
    async fn complete(&self, target: Target<'_>, staging: &Path) -> DestinationReport {
        let mut report = DestinationReport {
            name: target.destination.name.clone(),
            result: StoreResult::Failed(String::new()),
            kept: 0,
            removed: 0,
            newest_verified: None,
            retention_problem: None,
        };
        let store = match target.state {
            Ok(store) => store,
            Err(error) => {
                report.result = StoreResult::Failed(error);
                return report;
            }
        };
        let Committed { result, is_checked } = self.commit(&store, staging).await;
        report.result = result;
        if self.progress.check().is_ok() {
            self.prune(&store, target.destination, is_checked, &mut report).await;
        }
        report
    }

    async fn commit(&self, store: &OpenStore, staging: &Path) -> Committed {
        match self.commit_and_verify(store, staging).await {
            Ok(Extent::Content) => Committed { result: StoreResult::Verified, is_checked: true },
            Ok(Extent::Checksum) => {
                let sentence = "it was read back and has the right checksum; its content was not checked, since \
                                spec.backup.encryption names no identity to open it with";
                Committed { result: StoreResult::Intact(sentence.to_owned()), is_checked: true }
            }
            Err(result) => Committed { result, is_checked: false },
        }
    }

    /// Returns the extent of the verification whose record is stored.
    async fn commit_and_verify(&self, store: &OpenStore, staging: &Path) -> Result<Extent, StoreResult> {
        let summary = self.summary;
        if let Err(error) = put(store, &ObjectKind::Summary.name(&summary.id), summary).await {
            return Err(StoreResult::Failed(format!(
                "the archive is there without its summary, so it does not count: {error}"
            )));
        }
        let verified = tokio::select! {
            () = self.progress.stopped() => Err(BackupError::Stopped),
            verified = verify(store, summary, self.keys.identity.as_ref(), staging, self.progress) => verified,
        };
        let verification = match verified {
            Ok(verification) => verification,
            // Made again: nobody knows whether it is what was stored.
            Err(BackupError::Stopped) => {
                return Err(StoreResult::Failed("the job was stopped before it was verified".to_owned()));
            }
            // Keys that may only write keep backups safe from whoever takes this machine.
            Err(BackupError::Store(error @ StoreError::Refused { .. })) => {
                return Err(StoreResult::Stored(format!("it was not read back: {error}")));
            }
            Err(error) => return Err(StoreResult::Failed(error.to_string())),
        };
        if let Err(error) = put(store, &ObjectKind::Verification.name(&summary.id), &verification).await {
            return Err(StoreResult::Stored(format!(
                "it was verified, and the record of that could not be stored: {error}"
            )));
        }
        Ok(verification.extent)
    }

    /// Removes old backups once this one was checked; where it was not, counts what is there.
    async fn prune(
        &self,
        store: &OpenStore,
        destination: &Destination,
        is_checked: bool,
        report: &mut DestinationReport,
    ) {
        self.progress.begin(Step::Prune, 0);
        let retention = destination.retention.as_ref().filter(|_| is_checked);
        let now = Timestamp::now();
        let pruned = prune(store, retention, &self.order.instance, now, self.time_zone, !is_checked).await;
        report.kept = pruned.kept;
        report.removed = u32::try_from(pruned.removed.len()).unwrap_or(u32::MAX);
        report.newest_verified = pruned.newest_verified;
        report.retention_problem = pruned.problem;
    }
}

/// Stores a small object.
async fn put(store: &OpenStore, name: &str, object: &impl Serialize) -> Result<(), BackupError> {
    let mut text = serde_json::to_vec_pretty(object).map_err(|error| BackupError::Archive(error.into()))?;
    text.push(b'\n');
    match timeout(PUT, store.put(name, Bytes::from(text))).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(BackupError::Store(StoreError::Unreachable {
            place: format!("destination {}", store.name()),
            cause: format!("no answer for {} s", PUT.as_secs()),
        })),
    }
}
