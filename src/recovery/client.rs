//! A client to bring back, with the backups it may come from.

use std::path::Path;

use jiff::Timestamp;
use mai_backup::InstanceFiles;
use mai_backup::Progress;
use mai_backup::catalog::CatalogEntry;
use mai_backup::encryption::Identity;
use mai_backup::restore::read_instance_files;
use mai_backup::summary::Summary;
use mai_contract::job::BackupId;
use serde_json::Value;

use super::RecoveryError;
use super::server_archive::is_unusable;
use super::survey::{Key, StoredBackups, is_openable, shown};
use crate::api::{MaiInstance, MaiInstanceStatus};
use crate::state::{KnownDocument, KnownInstance};

/// Name of the secret file with the key that signs sessions.
pub(super) const SESSION_KEY: &str = "session-key";

/// A client to bring back.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) key: Key,
    /// Knowledge of its server about it; None until it is read from one of its backups.
    pub(super) known: Option<KnownInstance>,
    /// The backups that can be opened.
    pub(super) backups: Option<StoredBackups>,
    /// Public keys of the newest backup, if nothing given opens any.
    pub(super) sealed: Option<String>,
    /// Backups that are newer than the first and not tried, as sentences.
    pub(super) notes: Vec<String>,
}

/// A client as it would come back.
#[derive(Clone, Debug)]
pub struct ClientPreview {
    /// Namespace and name.
    pub name: String,
    /// The backup that is tried first; None where there is none.
    pub backup: Option<BackupPreview>,
    /// Why there is no backup, or what is newer and not used, as sentences.
    pub notes: Vec<String>,
}

/// A backup that is tried first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPreview {
    /// Its id.
    pub id: BackupId,
    /// Moment of the data in it.
    pub taken_at: Timestamp,
    /// Bytes of the data in it.
    pub data_bytes: u64,
    /// It was verified where it is.
    pub is_verified: bool,
}

impl Client {
    /// Returns a client. Of its backups those are tried that `identity` opens.
    pub(super) fn new(
        key: Key,
        known: Option<KnownInstance>,
        backups: Option<StoredBackups>,
        identity: Option<&Identity>,
    ) -> Self {
        let mut client = Self { key, known, backups, sealed: None, notes: Vec::new() };
        let Some(backups) = &mut client.backups else { return client };
        let newest = backups.entries.iter().max_by_key(|entry| entry.summary.taken_at).cloned();
        backups.entries.retain(|entry| is_openable(entry, identity));
        let Some(newest) = newest else { return client };
        let Some(first) = backups.entries.first() else {
            client.sealed = Some(newest.summary.recipients.join(", "));
            return client;
        };
        if first.summary.taken_at < newest.summary.taken_at {
            let why = match is_openable(&newest, identity) {
                true => "was never verified".to_owned(),
                false => format!(
                    "is encrypted to {}, and no identity of those was given",
                    newest.summary.recipients.join(", ")
                ),
            };
            client.notes.push(format!(
                "its newest backup {} of {} {why}, so the one of {} is used",
                newest.summary.id,
                shown(newest.summary.taken_at),
                shown(first.summary.taken_at)
            ));
        }
        client
    }

    /// Returns `NAMESPACE/NAME`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.key.0, self.key.1)
    }

    /// Returns its document, if it is known and understood.
    pub(super) fn document(&self) -> Option<MaiInstance> {
        serde_json::from_value(self.known.as_ref()?.known.document.clone()).ok()
    }

    /// Returns the backups that are tried, in this order.
    pub(super) fn entries(&self) -> &[CatalogEntry] {
        self.backups.as_ref().map_or(&[], |backups| &backups.entries)
    }

    /// Returns it for people.
    pub(super) fn preview(&self) -> ClientPreview {
        let backup = self.entries().first().map(|entry| BackupPreview {
            id: entry.summary.id.clone(),
            taken_at: entry.summary.taken_at,
            data_bytes: entry.summary.data_bytes,
            is_verified: entry.verification.is_some(),
        });
        let mut notes = self.notes.clone();
        if backup.is_none() {
            notes.push(self.missing());
        }
        ClientPreview { name: self.name(), backup, notes }
    }

    /// Returns why there is no backup to try.
    pub(super) fn missing(&self) -> String {
        match (&self.sealed, &self.backups) {
            (Some(recipients), _) => format!(
                "its backups are encrypted to {recipients}, and no identity of those was given; pass it with a further --identity FILE"
            ),
            (None, Some(_)) => "none of its backups can be used".to_owned(),
            (None, None) => "there is no backup of it there; where a destination of its document has one, add spec.restoreFrom with that destination before it is renamed".to_owned(),
        }
    }

    /// Reads what its server would know of it from its newest usable backup. Those before it are
    /// dropped, with a sentence for each.
    pub(super) async fn read_known(
        &mut self,
        identity: Option<&Identity>,
        staging: &Path,
        progress: &Progress,
    ) -> Result<(), RecoveryError> {
        while self.known.is_none() {
            let Some(StoredBackups { store, entries }) = &mut self.backups else { return Ok(()) };
            let Some(entry) = entries.first() else { return Ok(()) };
            let summary = entry.summary.clone();
            match read_instance_files(store, &summary, identity, staging, progress).await {
                Ok(files) => self.known = known(&self.key, &summary, &files),
                Err(error) => {
                    let error = RecoveryError::Backup(error);
                    if !is_unusable(&error) {
                        return Err(error);
                    }
                    self.drop_first(&error.to_string());
                    continue;
                }
            }
            if self.known.is_none() {
                self.drop_first("it holds no document of the client");
            }
        }
        Ok(())
    }

    /// Gives up the backup that is tried first.
    pub(super) fn drop_first(&mut self, problem: &str) {
        let Some(backups) = &mut self.backups else { return };
        if backups.entries.is_empty() {
            return;
        }
        let summary = backups.entries.remove(0).summary;
        let next = match backups.entries.first() {
            Some(next) => format!("the one of {} is used", shown(next.summary.taken_at)),
            None => "there is no older one".to_owned(),
        };
        self.notes.push(format!(
            "its backup {} of {} cannot be used: {problem}; {next}",
            summary.id,
            shown(summary.taken_at)
        ));
    }
}

/// Returns an instance as its server would know it, from a backup of its data.
fn known((namespace, name): &Key, summary: &Summary, files: &InstanceFiles) -> Option<KnownInstance> {
    let mut document = files.document.clone()?;
    let metadata = document.get_mut("metadata").and_then(Value::as_object_mut)?;
    metadata.remove("uid");
    serde_json::from_value::<MaiInstance>(document.clone()).ok()?;
    Some(KnownInstance {
        known: KnownDocument {
            namespace: namespace.clone(),
            name: name.clone(),
            uid: summary.instance.uid.clone(),
            generation: 1,
            resource_version: 1,
            document,
            file: None,
            problem: None,
            refused: false,
            created_at: summary.taken_at,
            deleted_at: None,
            released_at: None,
            restore: None,
        },
        status: MaiInstanceStatus::default(),
        session_key: files.secrets.get(SESSION_KEY).cloned(),
    })
}
