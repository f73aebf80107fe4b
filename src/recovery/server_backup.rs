//! The backup of a server, made again whenever its contents have changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mai_backup::summary::ObjectKind;
use mai_backup::{BackupError, Places, Progress, StoreError, create};
use mai_contract::job::{BackupId, BackupOrder, BackupReport, Encryption, Retention, StoreResult};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::RecoveryError;
use super::atomic_file::{make_directory, read_json, remove_directory, write_json};
use super::contents::Contents;
use super::location::Location;
use super::scratch::ScratchDirectory;
use super::server_identity::ServerIdentity;
use crate::state::State;

/// Its directory in the state directory.
const DIRECTORY: &str = "server-backup";
/// Its record, in that directory.
const RECORD: &str = "record.json";
/// Longest time until the first one: what starts with the reconciler is known by then.
const FIRST: Duration = Duration::from_secs(60);
/// Age from which on it is made again although nothing has changed, so that a rule of the bucket
/// that removes what is old leaves a newer one.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24 * 7);
/// Backups of a server are small, and a document that was spoiled may be noticed late.
const RETENTION: Retention = Retention { last: 10, hourly: 0, daily: 14, weekly: 8, monthly: 12, yearly: 0 };

/// The task of backing up a server.
#[derive(Debug)]
pub struct ServerBackup {
    /// Where to.
    pub location: Location,
    /// Public keys that it is encrypted to. Without any it holds no secret.
    pub recipients: Vec<String>,
    /// The directory of documents.
    pub documents: PathBuf,
    /// The state directory.
    pub state_dir: PathBuf,
    /// The state database.
    pub state: State,
    /// The runtime of the server, as the command line names it.
    pub runtime: String,
}

/// News of the backup of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// One was made.
    Made {
        /// Its id.
        id: BackupId,
        /// Names of secrets that are not in it.
        missing: Vec<String>,
    },
    /// None could be made, for this reason.
    Failed(String),
}

/// Record of the backups of a server.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServerBackupRecord {
    /// Where to.
    pub to: String,
    /// The service of a bucket, if it is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Public keys that it is encrypted to.
    pub recipients: Vec<String>,
    /// The newest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Newest>,
    /// Why there is no newer one, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The newest backup of a server.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Newest {
    /// Its id.
    pub id: BackupId,
    /// Moment of what is in it.
    pub taken_at: Timestamp,
    /// Digest of its contents.
    digest: String,
}

impl ServerBackupRecord {
    /// Returns the record of a state directory, if its server is backed up.
    pub fn read(state_dir: &Path) -> Result<Option<Self>, RecoveryError> {
        read_json(&state_dir.join(DIRECTORY).join(RECORD))
    }

    /// Forgets the backups of a server that is not backed up any more.
    pub fn remove(state_dir: &Path) -> Result<(), RecoveryError> {
        let path = state_dir.join(DIRECTORY).join(RECORD);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RecoveryError::io("removed", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

impl ServerBackup {
    /// Makes a backup at each `interval` in which something has changed, until it is dropped. Tells
    /// each that was made, and a failure once.
    pub async fn keep(self, interval: Duration, tell: impl Fn(Notice)) {
        tokio::time::sleep(interval.min(FIRST)).await;
        let mut told = None;
        loop {
            let failure = match self.make_if_due().await {
                Ok(None) => None,
                Ok(Some(notice)) => {
                    tell(notice);
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(failure) = failure.clone().filter(|_| told != failure) {
                tell(Notice::Failed(failure));
            }
            told = failure;
            tokio::time::sleep(interval).await;
        }
    }

    /// Records the destination and the recipients, for other commands.
    pub fn record(&self) -> Result<(), RecoveryError> {
        make_directory(&self.directory())?;
        self.write_record(self.read_record()?)
    }

    /// Makes a backup if the newest one has other contents, is old or is not there any more.
    async fn make_if_due(&self) -> Result<Option<Notice>, RecoveryError> {
        let mut record = self.read_record()?;
        let made = self.try_make_if_due(&record).await;
        record.problem = made.as_ref().err().map(ToString::to_string);
        if let Ok(Some((newest, _))) = &made {
            record.newest = Some(newest.clone());
        }
        self.write_record(record)?;
        Ok(made?.map(|(newest, missing)| Notice::Made { id: newest.id, missing }))
    }

    async fn try_make_if_due(
        &self,
        record: &ServerBackupRecord,
    ) -> Result<Option<(Newest, Vec<String>)>, RecoveryError> {
        let with_secrets = !self.recipients.is_empty();
        let contents = Contents::collect(&self.documents, &self.state, &self.runtime, with_secrets).await?;
        let digest = contents.digest();
        if let Some(newest) = &record.newest
            && newest.digest == digest
            && Timestamp::now().duration_since(newest.taken_at) < MAX_AGE
            && self.is_there(&newest.id).await?
        {
            return Ok(None);
        }
        let report = self.make(&contents).await?;
        let newest = Newest { id: report.id, taken_at: report.taken_at, digest };
        Ok(Some((newest, contents.missing)))
    }

    /// Returns whether a backup is still in the destination, as far as the keys may look.
    async fn is_there(&self, id: &BackupId) -> Result<bool, RecoveryError> {
        let store = self.location.open(&ServerIdentity::of(&self.state_dir)?.subject()).await?;
        match store.list().await {
            Ok(objects) => {
                let summary = ObjectKind::Summary.name(id);
                Ok(objects.iter().any(|object| object.name == summary))
            }
            Err(StoreError::Refused { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    async fn make(&self, contents: &Contents) -> Result<BackupReport, RecoveryError> {
        let server = ServerIdentity::of(&self.state_dir)?;
        let data = self.directory().join("data");
        contents.write(&data)?;
        let made = self.store(&server, contents, &data).await;
        // It may hold secrets.
        remove_directory(&data)?;
        made
    }

    async fn store(
        &self,
        server: &ServerIdentity,
        contents: &Contents,
        data: &Path,
    ) -> Result<BackupReport, RecoveryError> {
        let secrets = ScratchDirectory::create()?;
        self.location.write_secrets(&secrets)?;
        let id = BackupId::new(Timestamp::now(), rand::random());
        let encryption = Encryption { recipients: self.recipients.clone(), identity: None };
        let order = BackupOrder {
            id: id.clone(),
            instance: server.subject(),
            reason: "documents and state of the server".to_owned(),
            image: None,
            document: json!({"server": server.name, "documents": self.documents, "runtime": self.runtime}),
            secrets: contents.missing.clone(),
            encryption: Some(encryption).filter(|encryption| !encryption.recipients.is_empty()),
            destinations: vec![self.location.destination(Some(RETENTION))],
            time_zone: "UTC".to_owned(),
        };
        let backups = self.directory();
        let places = Places {
            data: data.to_owned(),
            secrets: secrets.path().to_owned(),
            staging: Places::default_staging(&backups, &id),
            backups,
        };
        // It works with things that stay on one thread.
        let runtime = tokio::runtime::Handle::current();
        let made = tokio::task::spawn_blocking(move || runtime.block_on(create(&order, &places, &Progress::silent())));
        let report = made.await.map_err(BackupError::from)??;
        match report.destinations.first().map(|destination| &destination.result) {
            Some(StoreResult::Failed(problem)) => Err(RecoveryError::NotStored(problem.clone())),
            _ => Ok(report),
        }
    }

    fn directory(&self) -> PathBuf {
        self.state_dir.join(DIRECTORY)
    }

    /// Returns what is known of backups to this destination and these recipients.
    fn read_record(&self) -> Result<ServerBackupRecord, RecoveryError> {
        let declared = ServerBackupRecord {
            to: self.location.address().to_string(),
            endpoint: self.location.endpoint().map(str::to_owned),
            recipients: self.recipients.clone(),
            ..ServerBackupRecord::default()
        };
        let known = ServerBackupRecord::read(&self.state_dir)?;
        let is_same = |known: &ServerBackupRecord| {
            (&known.to, &known.endpoint, &known.recipients) == (&declared.to, &declared.endpoint, &declared.recipients)
        };
        Ok(known.filter(is_same).unwrap_or(declared))
    }

    fn write_record(&self, record: ServerBackupRecord) -> Result<(), RecoveryError> {
        if ServerBackupRecord::read(&self.state_dir)?.as_ref() == Some(&record) {
            return Ok(());
        }
        write_json(&self.directory().join(RECORD), &record)
    }
}
