//! Derivation of a job from a document: its order, and the values of its secret files.
//!
//! A job gets what its work needs and nothing else: a backup the credentials of its destinations
//! and, if its archive is encrypted, what a server on another machine would need; a restore those of
//! the place that has the backup; a swap none. A server gets none of them.

mod backup;
mod destinations;
mod restore;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mai_contract::job::{BackupId, Order, Store, SwapOrder};
use secrecy::SecretString;

use crate::api::{MaiInstance, PlatformKind, Reason, SecretRef, ServerKind, Volume};
use crate::core::{Blocked, Claim, InstanceId, Job, JobRequest, JobWork, Location, Platform, Storage};

pub use backup::server_secrets;
pub use destinations::destinations;

/// Name of the secret file with the key that signs sessions.
const SESSION_KEY: &str = "session-key";
/// Name of the secret file with an identity that opens archives.
const IDENTITY: &str = "age-identity";

/// A secret file of a job, and the value that it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// Its name.
    pub name: String,
    /// Where its value is declared.
    pub reference: SecretRef,
}

/// The secret files of a job, by what their absence means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFiles {
    /// Those without which it cannot be started.
    pub required: Vec<SecretFile>,
    /// Secrets of the server that its archive holds if they are there and it is encrypted.
    pub archived: Vec<SecretFile>,
}

/// Everything an order is derived from beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The document.
    pub instance: &'a MaiInstance,
    /// Its identity.
    pub id: &'a InstanceId,
    /// Image of the server that wrote its data last.
    pub image: &'a str,
    /// Values of [`secret_files`]: all that are required, and those of the server that are there.
    pub secrets: &'a BTreeMap<SecretRef, SecretString>,
    /// The generated session key, or why there is none.
    pub session_key: &'a Result<SecretString, String>,
    /// The platform.
    pub platform: Platform,
    /// Image with our program for instances whose own image is another.
    pub helper_image: Option<&'a str>,
}

/// Returns the secret files of a job for this work.
pub fn secret_files(instance: &MaiInstance, work: &JobWork) -> Result<SecretFiles, Blocked> {
    match work {
        JobWork::Backup => Ok(backup::secret_files(instance)),
        JobWork::Restore { source, .. } => restore::secret_files(instance, source),
        JobWork::Drill(choice) => restore::secret_files(instance, &restore::drill_source(instance, choice.as_ref())?),
        JobWork::SafetyBackup | JobWork::Swap { .. } => Ok(SecretFiles::default()),
    }
}

/// Returns the secret file with the identity that the document declares to open its backups.
pub fn identity_file(instance: &MaiInstance) -> Option<SecretFile> {
    let encryption = instance.spec.backup.as_ref()?.encryption.as_ref()?;
    let reference = encryption.identity_secret_ref.clone()?;
    Some(SecretFile { name: IDENTITY.to_owned(), reference })
}

/// Returns the job that was requested.
pub fn derive(given: &Given<'_>, request: &JobRequest) -> Result<Job, Blocked> {
    let reason = blocked_reason(&request.work);
    let blocked = |message: String| Blocked::new(reason, message);
    let id: BackupId = request.name.parse().map_err(|error| blocked(format!("{error}")))?;
    let mut values = BTreeMap::new();
    for file in secret_files(given.instance, &request.work)?.required {
        let value = given.secrets.get(&file.reference);
        let value = value.ok_or_else(|| blocked(format!("the value of {} is not known", file.reference)))?;
        values.insert(file.name, value.clone());
    }
    let order = match &request.work {
        JobWork::Backup => backup::order(given, request, id, &mut values)?,
        JobWork::SafetyBackup => backup::safety_order(given, request, id),
        JobWork::Restore { restore, source, keeps_data } => {
            restore::order(given, restore.clone(), source, *keeps_data)?
        }
        JobWork::Swap { restore, step } => Order::Swap(SwapOrder { id, restore: restore.clone(), step: *step }),
        JobWork::Drill(choice) => restore::drill_order(given, id, choice.as_ref())?,
    };
    let directories: BTreeSet<PathBuf> = order
        .destinations()
        .iter()
        .filter_map(|destination| match &destination.store {
            Store::Directory(path) => Some(path.clone()),
            Store::Volume | Store::S3(_) => None,
        })
        .collect();
    Ok(Job {
        name: request.name.clone(),
        image: image(given, &request.work, reason)?,
        secrets: values,
        storage: storage(given.instance),
        directories: directories.into_iter().collect(),
        order,
    })
}

/// Returns the reason for which a job of this work cannot be started.
pub(super) fn blocked_reason(work: &JobWork) -> Reason {
    match work {
        JobWork::Backup | JobWork::SafetyBackup => Reason::BackupBlocked,
        JobWork::Drill(_) => Reason::DrillBlocked,
        JobWork::Restore { .. } | JobWork::Swap { .. } => Reason::RestoreFailed,
    }
}

/// Returns the volumes of an instance.
pub fn storage(instance: &MaiInstance) -> Storage {
    let storage = &instance.spec.storage;
    let location = |volume: &Volume, size: &str| Location {
        path: volume.host_path.as_ref().map(PathBuf::from),
        volume: volume.volume_name.clone(),
        claim: Claim {
            size: size.to_owned(),
            class: volume.storage_class_name.clone(),
            existing: volume.volume_name.clone(),
        },
    };
    Storage {
        data: location(&storage.data, storage.data_size()),
        backups: location(&storage.backups, storage.backups_size()),
        confined: instance.spec.server.kind == ServerKind::Mai,
    }
}

/// Returns the image with our program, where the platform has images at all: that of the instance if
/// it is ours. What has to go well while the declared image may be at fault goes by the helper image.
fn image(given: &Given<'_>, work: &JobWork, reason: Reason) -> Result<Option<String>, Blocked> {
    let own = (given.instance.spec.server.kind == ServerKind::Mai).then_some(given.image);
    let image = match work {
        JobWork::Backup | JobWork::Drill(_) => own.or(given.helper_image),
        JobWork::SafetyBackup | JobWork::Restore { .. } | JobWork::Swap { .. } => given.helper_image.or(own),
    };
    match image {
        _ if given.platform.kind == PlatformKind::Process => Ok(None),
        Some(image) => Ok(Some(image.to_owned())),
        None => Err(Blocked::new(
            reason,
            format!(
                "the image of server.kind {} holds no program that makes backups; start mai with --helper-image IMAGE, where IMAGE is that of a mai server",
                given.instance.spec.server.kind.as_ref()
            ),
        )),
    }
}
