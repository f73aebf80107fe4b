//! A drill: unpacks a backup into a directory of the job's own, checks all of it, and has a
//! throw-away server started on it. The data of the instance is not touched.

use std::path::Path;
use std::time::Instant;

use mai_contract::job::{DrillOrder, DrillReport, ServerReport, Step};
use rustix::process::{getegid, geteuid};

use crate::manifest::{DATA, Manifest};
use crate::restore::ACCOUNTS;
use crate::source::unpack_source;
use crate::staging::Staging;
use crate::{BackupError, Places, Progress};

/// Directory of the data in the staging directory.
const UNPACKED: &str = "data";
/// Databases of servers whose tables are known: ours, and that of Open WebUI.
const KNOWN_DATABASES: [&str; 2] = ["mai.db", "webui.db"];
/// Their table of chats.
const CHATS: &str = "chat";

/// Starts a server of ours on a directory and tries it. A program that depends on the server has
/// one.
pub trait TrialServer {
    /// Starts a server on `data`, tries it and stops it. Fails with a sentence.
    fn try_on(&self, data: &Path, progress: &Progress) -> impl Future<Output = Result<ServerReport, String>>;
}

/// Runs a drill. Nothing is left of it.
pub(crate) async fn drill(
    order: &DrillOrder,
    places: &Places,
    progress: &Progress,
    server: &impl TrialServer,
) -> Result<DrillReport, BackupError> {
    try_source(order, places, progress, server).await.map_err(|source| BackupError::Drill {
        destination: order.source.destination.name.clone(),
        source: Box::new(source),
    })
}

async fn try_source(
    order: &DrillOrder,
    places: &Places,
    progress: &Progress,
    server: &impl TrialServer,
) -> Result<DrillReport, BackupError> {
    let began = Instant::now();
    let staging = Staging::create(places, &order.id)?;
    let directory = staging.path().join(UNPACKED);
    let owner = (geteuid().as_raw(), getegid().as_raw());
    let source = unpack_source(&order.source, places, &directory, owner, progress).await?;
    let (Some(backup), Some(taken_at), Some(is_encrypted), Some(manifest)) =
        (&source.backup, source.taken_at, source.is_encrypted, &source.unpacked.manifest)
    else {
        let what = "the archive is no backup of mai, so a drill cannot tell whether it is whole".to_owned();
        return Err(BackupError::Unverified { what });
    };
    let counts = source.counts();
    let mut report = DrillReport {
        id: order.id.clone(),
        backup: backup.clone(),
        destination: order.source.destination.name.clone(),
        taken_at,
        is_encrypted,
        archive_bytes: source.archive_bytes,
        data_bytes: counts.bytes,
        files: counts.files,
        databases: counts.databases,
        rows: rows(manifest),
        people: rows_of(manifest, ACCOUNTS),
        chats: rows_of(manifest, CHATS),
        restore_millis: millis(began),
        server: None,
    };
    if order.starts_server {
        progress.begin(Step::Start, 0);
        let answered = server.try_on(&directory, progress).await;
        let answered = answered.map_err(|problem| BackupError::Trial { backup: backup.clone(), problem })?;
        report.people = Some(answered.people);
        report.server = Some(answered);
    }
    Ok(report)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Returns the number of rows in all databases of the data.
fn rows(manifest: &Manifest) -> u64 {
    let databases = manifest.data_files().filter_map(|file| file.database.as_ref());
    databases.flat_map(|database| database.rows.values()).map(|rows| u64::try_from(*rows).unwrap_or(0)).sum()
}

/// Returns the number of rows in a table of the database of a known server.
fn rows_of(manifest: &Manifest, table: &str) -> Option<u64> {
    let is_known = |path: &Path| KNOWN_DATABASES.iter().any(|name| path == Path::new(DATA).join(name));
    let database = manifest.data_files().find(|file| is_known(file.path.as_path()))?.database.as_ref()?;
    database.rows.get(table).and_then(|rows| u64::try_from(*rows).ok())
}
