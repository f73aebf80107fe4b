//! Brings a server back: one client after the other, each recorded, so that it can be interrupted at
//! any moment and begun again.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use mai_backup::encryption::Identity;
use mai_backup::restore::{Unpacked, unpack_stored};
use mai_backup::summary::Summary;
use mai_backup::{Progress, check_free_space, swap};

use super::RecoveryError;
use super::archived_secrets::ArchivedSecrets;
use super::atomic_file::{make_directory, remove_directory};
use super::client::Client;
use super::documents::Documents;
use super::found::Found;
use super::record::{ClientRecord, RecoveryRecord};
use super::server_archive::is_unusable;
use crate::api::{BackupStatus, RestoreCause, RestoreSource, RestoreStatus, RestoreStep};
use crate::core::{InstanceId, Platform};
use crate::reconcile::job::storage;
use crate::runtime::{Manual, NewPlace};
use crate::source::policy::Policy;
use crate::state::{KnownInstance, State};

/// Directory below the state directory for what is needed until the end.
const WORK: &str = "recovery";

/// Where a server comes back.
pub struct Target<'a> {
    /// The state directory.
    pub state_dir: PathBuf,
    /// The directory of documents.
    pub documents: PathBuf,
    /// Commands on the platform of its instances.
    pub manual: &'a dyn Manual,
    /// That platform.
    pub platform: Platform,
    /// The provider's policy.
    pub policy: Arc<Policy>,
}

/// A server that is being brought back.
pub struct Recovery<'a> {
    found: Found,
    target: Target<'a>,
    record: RecoveryRecord,
    state: State,
    /// Places of the clients by name, or why there is none.
    places: BTreeMap<String, Result<NewPlace, String>>,
}

/// A client that is in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoredClient {
    /// Namespace and name.
    pub name: String,
    /// Moment of its data.
    pub taken_at: Timestamp,
    /// Bytes of its data.
    pub data_bytes: u64,
    /// The URL people open.
    pub address: Option<String>,
}

/// End of the work on one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEnd {
    /// Its data is in its place.
    Restored {
        /// The client.
        client: RestoredClient,
        /// Backups that were not used, as sentences.
        notes: Vec<String>,
    },
    /// Its data is not there, for this reason.
    Missing(String),
}

impl<'a> Recovery<'a> {
    /// Begins, or goes on with what was begun before. Fails unless the state directory and the
    /// directory of documents are empty or were filled by it, and where there is no room. `progress`
    /// counts what has to be read first.
    pub async fn begin(mut found: Found, target: Target<'a>, progress: &Progress) -> Result<Self, RecoveryError> {
        let from = found.location.address().to_string();
        let record = match RecoveryRecord::read(&target.state_dir)? {
            Some(record) if record.from == from && record.documents == target.documents => record,
            Some(record) => {
                let state_dir = target.state_dir;
                return Err(RecoveryError::Unfinished { state_dir, documents: record.documents, from: record.from });
            }
            None => {
                let unfinished = RecoveryRecord::unfinished(&target.state_dir);
                require_empty(&target.state_dir, Some(&unfinished), "--state-dir DIR")?;
                require_empty(&target.documents, None, "another directory")?;
                make_directory(&target.state_dir)?;
                let (documents, clients, files) = (target.documents.clone(), BTreeMap::new(), BTreeMap::new());
                RecoveryRecord { from, documents, is_finished: false, clients, files }
            }
        };
        record.write(&target.state_dir)?;
        let state = State::open(&target.state_dir).await?;
        if let Some(server) = &found.server {
            server.identity.write(&target.state_dir)?;
        }
        for instance in state.instances().await? {
            let known = (&instance.known.namespace, &instance.known.name);
            let is_it = |client: &&mut Client| (&client.key.0, &client.key.1) == known;
            if let Some(client) = found.clients.iter_mut().find(is_it) {
                client.known = Some(instance);
            }
        }
        let staging = found.work.path().join("staging");
        let identity = found.identity.clone();
        for client in found.clients.iter_mut().filter(|client| !record.is_done(&client.name())) {
            client.read_known(identity.as_ref(), &staging, progress).await?;
        }
        let mut recovery = Self { found, target, record, state, places: BTreeMap::new() };
        recovery.make_places().await;
        recovery.require_room()?;
        Ok(recovery)
    }

    /// Makes the places of the clients that have a backup.
    async fn make_places(&mut self) {
        for client in &self.found.clients {
            if client.entries().is_empty() || self.record.is_done(&client.name()) {
                continue;
            }
            let place = match (client.document(), self.id(client)) {
                (Some(document), Some(id)) => {
                    let storage = storage(&document);
                    let made = self.target.manual.make_places(&id, &storage, document.spec.server.kind);
                    made.await.map_err(|error| error.to_string())
                }
                _ => Err("its document is not understood by this version of mai; use a newer one".to_owned()),
            };
            self.places.insert(client.name(), place);
        }
    }

    /// Fails unless all that is to be unpacked has room, by the volumes it goes to.
    fn require_room(&self) -> Result<(), RecoveryError> {
        let mut volumes: BTreeMap<u64, (PathBuf, u64)> = BTreeMap::new();
        for client in &self.found.clients {
            let Some(Ok(place)) = self.places.get(&client.name()) else { continue };
            let Some(entry) = client.entries().first() else { continue };
            let parent = place.data.parent().unwrap_or(Path::new("/"));
            let device = parent.metadata().map_err(RecoveryError::io("read", parent))?.dev();
            volumes.entry(device).or_insert_with(|| (parent.to_owned(), 0)).1 += entry.summary.data_bytes;
        }
        for (path, bytes) in volumes.into_values() {
            check_free_space(&path, bytes)?;
        }
        Ok(())
    }

    fn id(&self, client: &Client) -> Option<InstanceId> {
        let known = &client.known.as_ref()?.known;
        Some(InstanceId { namespace: known.namespace.clone(), name: known.name.clone(), uid: known.uid.clone() })
    }

    /// Returns the number of clients.
    pub fn len(&self) -> usize {
        self.found.clients.len()
    }

    /// Returns whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.found.clients.is_empty()
    }

    /// Returns the name of a client, and the backup that is tried first.
    pub fn describe(&self, number: usize) -> Option<(String, Option<Summary>)> {
        let client = self.found.clients.get(number)?;
        let summary = client.entries().first().map(|entry| entry.summary.clone());
        Some((client.name(), summary.filter(|_| !self.record.is_done(&client.name()))))
    }

    /// Brings one client back. A failure of this machine or of the destination is one of this client
    /// alone.
    pub async fn restore(&mut self, number: usize, progress: &Progress) -> Result<ClientEnd, RecoveryError> {
        let Some(client) = self.found.clients.get(number) else { return Ok(ClientEnd::Missing(String::new())) };
        let (client, name) = (client.clone(), client.name());
        if self.record.is_done(&name) {
            return Ok(self.restored(&name, &client));
        }
        let place = match self.places.get(&name) {
            Some(Ok(place)) => place.clone(),
            Some(Err(problem)) => return Ok(ClientEnd::Missing(problem.clone())),
            None => return Ok(ClientEnd::Missing(client.missing())),
        };
        let ended = match self.settle(&client, &place).await {
            Ok(true) => Ok(()),
            Ok(false) => self.unpack(number, &place, progress).await,
            Err(error) => Err(error),
        };
        match ended {
            Ok(()) => {
                let client = self.found.clients.get(number).cloned().unwrap_or(client);
                Ok(self.restored(&name, &client))
            }
            Err(error) => Ok(ClientEnd::Missing(error.to_string())),
        }
    }

    /// Completes what an interrupted run unpacked and removes what it began. Returns whether the
    /// data is in its place.
    async fn settle(&mut self, client: &Client, place: &NewPlace) -> Result<bool, RecoveryError> {
        for left in swap::unpacked(&place.data).map_err(RecoveryError::io("read", &place.data))? {
            remove_directory(&left)?;
        }
        let unpacked = self.record.clients.get(&client.name()).map(|record| record.inode);
        if unpacked.is_some_and(|inode| place.data.symlink_metadata().is_ok_and(|found| found.ino() == inode)) {
            self.complete(client).await?;
            return Ok(true);
        }
        let mut entries = std::fs::read_dir(&place.data).map_err(RecoveryError::io("read", &place.data))?;
        match entries.next() {
            None => Ok(false),
            Some(_) => Err(RecoveryError::DataThere { path: place.data.clone() }),
        }
    }

    /// Unpacks the first usable backup of a client and puts it in place.
    async fn unpack(&mut self, number: usize, place: &NewPlace, progress: &Progress) -> Result<(), RecoveryError> {
        let identity = self.found.identity.clone();
        let into = swap::beside(&place.data, swap::RESTORE, &Timestamp::now().as_second().to_string());
        loop {
            let Some(client) = self.found.clients.get_mut(number) else { return Ok(()) };
            let Some(entry) = client.entries().first().cloned() else {
                return Err(RecoveryError::NoUsable { notes: client.notes.join("; ") });
            };
            match unpack_one(client, &entry.summary, identity.as_ref(), &into, place, progress).await {
                Ok(unpacked) => {
                    let client = client.clone();
                    return self.put_in_place(&client, &entry.summary, &unpacked, &into, place).await;
                }
                Err(error) if is_unusable(&error) => client.drop_first(&error.to_string()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn put_in_place(
        &mut self,
        client: &Client,
        summary: &Summary,
        unpacked: &Unpacked,
        into: &Path,
        place: &NewPlace,
    ) -> Result<(), RecoveryError> {
        ArchivedSecrets::new(&unpacked.instance).write(&self.work(), &client.key)?;
        let inode = into.symlink_metadata().map_err(RecoveryError::io("read", into))?.ino();
        self.record.clients.insert(
            client.name(),
            ClientRecord {
                backup: summary.id.clone(),
                taken_at: summary.taken_at,
                data_bytes: summary.data_bytes,
                inode,
                is_done: false,
            },
        );
        self.record.write(&self.target.state_dir)?;
        // Replaces an empty directory and no other.
        std::fs::rename(into, &place.data).map_err(|source| RecoveryError::NotMovable {
            from: into.to_owned(),
            to: place.data.clone(),
            source,
        })?;
        let parent = place.data.parent().unwrap_or(Path::new("/"));
        let synced = std::fs::File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(RecoveryError::io("written", parent))?;
        self.complete(client).await
    }

    /// Tells the state database of a client whose data is in its place.
    async fn complete(&mut self, client: &Client) -> Result<(), RecoveryError> {
        let name = client.name();
        let archived = ArchivedSecrets::read(&self.work(), &client.key)?;
        let (Some(mut known), Some(record)) = (client.known.clone(), self.record.clients.get_mut(&name)) else {
            return Ok(());
        };
        known.session_key = known.session_key.or_else(|| archived.session_key());
        known.status.backup.get_or_insert_with(BackupStatus::default).last_verified = Some(record.taken_at);
        // An instance that was never decided on would get the data of spec.restoreFrom.
        known.status.observed_generation = Some(known.known.generation);
        if let Some(source) = client.document().and_then(|document| document.spec.restore_from) {
            known.status.restore = Some(used(source, record));
        }
        self.state.restore(&known).await?;
        record.is_done = true;
        self.record.write(&self.target.state_dir)
    }

    fn restored(&self, name: &str, client: &Client) -> ClientEnd {
        let Some(record) = self.record.clients.get(name) else { return ClientEnd::Missing(client.missing()) };
        let document = client.document();
        let restored = RestoredClient {
            name: name.to_owned(),
            taken_at: record.taken_at,
            data_bytes: record.data_bytes,
            address: document.and_then(|document| (self.target.platform.address)(&document)),
        };
        ClientEnd::Restored { client: restored, notes: client.notes.clone() }
    }

    /// Returns a sentence for each client whose session key was in no archive.
    async fn missing_keys(&self) -> Result<Vec<String>, RecoveryError> {
        let restored = self.state.instances().await?;
        let without = restored.iter().filter(|instance| {
            instance.session_key.is_none() && instance.known.document["spec"]["server"]["secretKeyRef"].is_null()
        });
        let sentence = |instance: &KnownInstance| {
            format!(
                "the session key of {}/{} is in no archive, so everybody signs in again, and keys of the upstream that were entered in its settings have to be entered again",
                instance.known.namespace, instance.known.name
            )
        };
        Ok(without.map(sentence).collect())
    }

    fn work(&self) -> PathBuf {
        self.target.state_dir.join(WORK)
    }

    /// Puts the documents and Secrets in place, so that the server can be started, and returns what
    /// could not be had, as sentences.
    pub async fn finish(mut self) -> Result<Vec<String>, RecoveryError> {
        let work = self.work();
        let mut documents = Documents::new(&self.found, &mut self.record);
        documents.put()?;
        documents.put_secrets(&work).await?;
        documents.judge(self.target.platform.kind, &self.target.policy);
        let mut missing = documents.missing;
        missing.extend(self.missing_keys().await?);
        self.record.is_finished = true;
        self.record.write(&self.target.state_dir)?;
        if self.found.clients.iter().all(|client| self.record.is_done(&client.name())) {
            // It may hold secrets.
            remove_directory(&self.work())?;
        }
        self.state.close().await;
        Ok(missing)
    }
}

/// Returns that a backup which a document names was used, and what of it came back.
fn used(source: RestoreSource, record: &ClientRecord) -> RestoreStatus {
    let message = "brought back by mai recover, with all that was written since";
    let begun = RestoreStatus::begun(&record.backup, RestoreCause::NewInstance, source, message, Timestamp::now());
    RestoreStatus {
        step: RestoreStep::Completed,
        backup: Some(record.backup.to_string()),
        taken_at: Some(record.taken_at),
        ended_at: Some(begun.started_at),
        ..begun
    }
}

async fn unpack_one(
    client: &Client,
    summary: &Summary,
    identity: Option<&Identity>,
    into: &Path,
    place: &NewPlace,
    progress: &Progress,
) -> Result<Unpacked, RecoveryError> {
    let Some(backups) = &client.backups else {
        return Err(RecoveryError::NoUsable { notes: client.missing() });
    };
    Ok(unpack_stored(&backups.store, summary, identity, into, place.owner, progress).await?)
}

/// Fails unless a directory is empty but for `except`, or does not exist. `remedy` names another one.
fn require_empty(path: &Path, except: Option<&Path>, remedy: &'static str) -> Result<(), RecoveryError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(RecoveryError::io("read", path)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(RecoveryError::io("read", path))?;
        if Some(entry.path().as_path()) != except {
            return Err(RecoveryError::NotEmpty { path: path.to_owned(), remedy });
        }
    }
    Ok(())
}
