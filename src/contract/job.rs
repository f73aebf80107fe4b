//! A job: a program of ours that works once on the data of an instance, next to its server and apart
//! from it. The reconciler writes its order as JSON without secret values; secret values are files in
//! a directory of their own, named in the order. The program writes one [`Message`] a line to its
//! standard output, the last of which is its outcome.
//!
//! `mai job --order FILE --data DIR --backups DIR --secrets DIR` runs one. The directories are those
//! of the platform, so the same order is valid on each.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::backup_id::{BackupId, InvalidBackupId};
pub use crate::job_report::{
    BackupReport, DestinationReport, DrillReport, MAX_OUTCOME_BYTES, Message, OTHER_WORK, Outcome, Progress,
    RestoreReport, ServerReport, Step, StoreResult,
};

/// Name of the destination that every instance has: its backups volume.
pub const BACKUPS_VOLUME: &str = "backups";

/// Returns whether a secret file of a job may have this name: it leads nowhere but into its directory.
pub fn is_secret_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// The work of a job.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Order {
    /// Make a backup, verify it in each destination, and remove what retention no longer keeps.
    Backup(BackupOrder),
    /// Unpack a backup next to the present data and check it. The present data stays as it is, and
    /// may be missing.
    Restore(RestoreOrder),
    /// Put unpacked data in the place of the present data, or take that back. The server is stopped.
    Swap(SwapOrder),
    /// Start a throw-away server on the data of a backup.
    Drill(DrillOrder),
}

/// A backup to unpack next to the present data.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreOrder {
    /// Id of the restore. Its directory in the data has this name.
    pub id: BackupId,
    /// The instance of the data.
    pub instance: Subject,
    /// The backup.
    pub source: BackupSource,
    /// Name of the database that the data of its server has, where that is known. An archive that mai
    /// did not make is refused without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Data that is there already is kept, and nothing is unpacked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_data: bool,
}

/// Unpacked data to exchange with the present data.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SwapOrder {
    /// Id of the job.
    pub id: BackupId,
    /// Id of the restore that unpacked it.
    pub restore: BackupId,
    /// The step.
    pub step: SwapStep,
}

/// Step of a swap. Each may be repeated after an interruption.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum SwapStep {
    /// The restored data takes the place of the present data, which is kept.
    Forward,
    /// The kept data takes its place again; the restored data is removed.
    Back,
    /// The directory of the restore is removed; the present data stays.
    Discard,
}

/// A backup to start a throw-away server on.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrillOrder {
    /// Id of the drill.
    pub id: BackupId,
    /// The instance of the data.
    pub instance: Subject,
    /// The backup.
    pub source: BackupSource,
    /// The server is ours, so that the job can start it.
    pub starts_server: bool,
}

/// A backup to read.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupSource {
    /// The place that has it.
    pub destination: Destination,
    /// Namespace of the instance whose backup it is.
    pub namespace: String,
    /// Name of the instance whose backup it is.
    pub name: String,
    /// Choice among its backups.
    pub choice: Choice,
    /// Name of the secret file with an identity that opens it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// Choice among the backups of an instance in a destination.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    /// The newest verified one.
    Latest,
    /// The newest that was taken at this time or before.
    At(Timestamp),
    /// The one with this id.
    Id(BackupId),
    /// A file of the destination by its path below it: an archive of mai, or a data directory as
    /// `tar` packs it.
    File(String),
    /// Any one, by a random number.
    Random(u32),
}

impl Order {
    /// Returns its id, which is the name of its job.
    pub fn id(&self) -> &BackupId {
        match self {
            Self::Backup(order) => &order.id,
            Self::Restore(order) => &order.id,
            Self::Swap(order) => &order.id,
            Self::Drill(order) => &order.id,
        }
    }

    /// Returns whether it makes the data of an instance that has none yet.
    pub fn makes_data(&self) -> bool {
        matches!(self, Self::Restore(_))
    }

    /// Returns whether it is a drill, which has no access to the data, and reads backups alone.
    pub fn is_drill(&self) -> bool {
        matches!(self, Self::Drill(_))
    }

    /// Returns whether it has access to the backups volume: a drill, where its backup is there.
    pub fn uses_backups_volume(&self) -> bool {
        !self.is_drill() || self.destinations().iter().any(|destination| destination.store == Store::Volume)
    }

    /// Returns the places that it reads or writes.
    pub fn destinations(&self) -> &[Destination] {
        match self {
            Self::Backup(order) => &order.destinations,
            Self::Restore(order) => std::slice::from_ref(&order.source.destination),
            Self::Drill(order) => std::slice::from_ref(&order.source.destination),
            Self::Swap(_) => &[],
        }
    }
}

/// A backup to make.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupOrder {
    /// Its id.
    pub id: BackupId,
    /// The instance of the data.
    pub instance: Subject,
    /// Reason of the backup, as a sentence for people.
    pub reason: String,
    /// Image of the server, as declared; absent where servers are processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The document as it stands, without its status.
    pub document: serde_json::Value,
    /// Names of secret files that go into an encrypted archive: what a restore on another machine
    /// needs. An archive that is not encrypted names them as missing.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Encryption of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Destinations, each with its own outcome.
    pub destinations: Vec<Destination>,
    /// IANA time zone of the days, weeks and months of retention.
    pub time_zone: String,
}

/// The instance of a backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Encryption with age.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encryption {
    /// Public keys, any one of whose identities opens the archive.
    pub recipients: Vec<String>,
    /// Name of the secret file with an identity to verify with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// A place that keeps backups.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Destination {
    /// Its name in reports.
    pub name: String,
    /// The place.
    pub store: Store,
    /// Backups that are kept; nothing is removed without it, where the store does so by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
}

impl Destination {
    /// Returns the backups volume.
    pub fn backups_volume(retention: Option<Retention>) -> Self {
        Self { name: BACKUPS_VOLUME.to_owned(), store: Store::Volume, retention }
    }
}

/// Kind and address of a destination.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Store {
    /// The backups volume of the instance.
    Volume,
    /// A directory, under the same path where the job runs. Backups of an instance are below
    /// `NAMESPACE/NAME` in it.
    Directory(PathBuf),
    /// A bucket that speaks S3. Backups of an instance are below `PREFIX/NAMESPACE/NAME` in it.
    S3(S3),
}

/// A bucket.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3 {
    /// Its name.
    pub bucket: String,
    /// URL of the service; absent for AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Region; absent where the service has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Prefix of every object, without outer slashes.
    #[serde(default)]
    pub prefix: String,
    /// The bucket is a part of the path and not of the host name.
    pub path_style: bool,
    /// Name of the secret file with the access key id.
    pub access_key_id: String,
    /// Name of the secret file with the secret access key.
    pub secret_access_key: String,
    /// Name of the file with the certificates (PEM) of the authority that signed the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// Backups that are kept: the newest of each of the last N periods.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Retention {
    pub last: u32,
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
}
