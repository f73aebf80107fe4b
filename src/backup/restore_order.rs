//! Unpacks a backup next to the present data, which stays as it is: [`crate::exchange`] puts it in
//! place once the server is stopped.

use mai_contract::job::{Outcome, RestoreOrder, RestoreReport};

use crate::exchange::{expect_exchangeable, holds_data, unfinished};
use crate::object_reader::blocking;
use crate::restore::require_database;
use crate::restore_directory::{RestoreDirectory, State};
use crate::source::{UnpackedSource, unpack_source};
use crate::{BackupError, Places, Progress, lock_backups};

/// Exceptions of a backup in a report; its manifest has them all.
const MAX_EXCEPTIONS: usize = 5;

/// Work that a restore has before it.
enum Prepared {
    /// The backup is to be unpacked.
    Ready,
    /// It was unpacked already.
    Unpacked(RestoreReport),
    /// There is data, which the order keeps.
    DataKept,
}

/// Unpacks the backup of an order and checks all of it. Leaves nothing behind when it fails, and
/// nothing to be done when it is repeated.
pub(crate) async fn restore(
    order: &RestoreOrder,
    places: &Places,
    progress: &Progress,
) -> Result<Outcome, BackupError> {
    let holder = format!("restore {} of process {}", order.id, std::process::id());
    let directory = RestoreDirectory::new(&places.data, &order.id);
    let (own, to_prepare, of_prepared) = (directory.clone(), directory.clone(), places.clone());
    let keeps_data = order.keeps_data;
    let (_lock, prepared) = blocking(move || {
        // Retention is not to remove the backup meanwhile.
        let lock = lock_backups(&of_prepared.backups, &holder)?;
        expect_exchangeable(&of_prepared)?;
        Ok((lock, prepare(&to_prepare, keeps_data)?))
    })
    .await?;
    match prepared {
        Prepared::Ready => {}
        Prepared::Unpacked(report) => return Ok(Outcome::Restored(report)),
        Prepared::DataKept => return Ok(Outcome::DataKept),
    }
    let unpacked = unpack_source(&order.source, places, &directory.unpacked(), directory.owner()?, progress).await;
    let data = places.data.clone();
    let into = directory.unpacked();
    let restored = unpacked.and_then(|unpacked| {
        require_database(&unpacked.unpacked, &into, order.database.as_deref())?;
        Ok(report(order, &unpacked, holds_data(&data)?))
    });
    blocking(move || {
        let written = restored.and_then(|report| own.write_report(&report).map(|()| Outcome::Restored(report)));
        written.inspect_err(|_| {
            // What is left goes with the next restore.
            let _ = own.remove();
        })
    })
    .await
}

/// Makes the directory of a restore, unless it was unpacked already or is to keep what is there.
fn prepare(directory: &RestoreDirectory, keeps_data: bool) -> Result<Prepared, BackupError> {
    if let Some((_, id)) = unfinished(&directory.data)? {
        return Err(BackupError::SwapUnfinished { path: directory.data.clone(), id });
    }
    match directory.state()? {
        State::Unpacked => return directory.read_report().map(Prepared::Unpacked),
        State::Swapped | State::TakenBack => return Err(BackupError::RestoredAlready { id: directory.id.clone() }),
        State::Absent | State::Unfinished => {}
    }
    if keeps_data && holds_data(&directory.data)? {
        return Ok(Prepared::DataKept);
    }
    for other in RestoreDirectory::all(&directory.data)? {
        // Left by jobs that were killed, and what is left of those that ended.
        if matches!(other.state()?, State::Absent | State::Unfinished | State::TakenBack) {
            other.remove()?;
        }
    }
    directory.make_own()?;
    Ok(Prepared::Ready)
}

fn report(order: &RestoreOrder, source: &UnpackedSource, replaces_data: bool) -> RestoreReport {
    let counts = source.counts();
    let mut remarks = Vec::new();
    match &source.unpacked.manifest {
        None => remarks.push(format!(
            "it has no manifest of mai, so its files could not be compared with anything; its {} databases are intact",
            counts.databases
        )),
        Some(manifest) => {
            let exceptions = &manifest.exceptions;
            remarks.extend(exceptions.iter().take(MAX_EXCEPTIONS).map(ToString::to_string));
            if let Some(more) = exceptions.len().checked_sub(MAX_EXCEPTIONS).filter(|more| *more > 0) {
                remarks.push(format!("{more} more exceptions are named in manifest.json of the archive"));
            }
            if manifest.instance.uid != order.instance.uid {
                let of = &manifest.instance;
                remarks.push(format!("it is the data of {}/{}", of.namespace, of.name));
            }
        }
    }
    RestoreReport {
        id: order.id.clone(),
        backup: source.backup.clone(),
        taken_at: source.taken_at,
        data_bytes: counts.bytes,
        files: counts.files,
        databases: counts.databases,
        replaces_data,
        remarks,
    }
}
