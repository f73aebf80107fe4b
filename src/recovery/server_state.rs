//! The part of a state database that a backup of its server holds.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{BackupResult, BackupStatus, MaiInstanceStatus};
use crate::state::{KnownDocument, KnownInstance};

/// Version of this format.
const FORMAT: u32 = 1;

/// Instances of a server as they were known to it.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServerState {
    format: u32,
    /// Its runtime, as the command line names it.
    pub(super) runtime: String,
    /// Its instances, by namespace and name.
    pub(super) instances: Vec<InstanceState>,
}

/// An instance. Without its status it changes only when its document does.
#[derive(Serialize, Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct InstanceState {
    pub(super) namespace: String,
    pub(super) name: String,
    uid: String,
    generation: i64,
    created_at: Timestamp,
    /// The last good document.
    document: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<BackupStatus>,
    /// The key generated for its sessions; only where the archive is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session_key: Option<String>,
}

impl ServerState {
    /// Returns the state of `instances`.
    pub(super) fn new(runtime: &str, instances: &[KnownInstance], with_secrets: bool) -> Self {
        let instances = instances.iter().map(|instance| InstanceState::new(instance, with_secrets)).collect();
        Self { format: FORMAT, runtime: runtime.to_owned(), instances }
    }

    /// Parses it, or returns the problem as a sentence.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        let state: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        match state.format {
            FORMAT => Ok(state),
            other => Err(format!(
                "it is of format {other}, and this version of mai reads format {FORMAT}; use a newer version"
            )),
        }
    }

    /// Returns whether it has an instance.
    pub(super) fn has(&self, (namespace, name): &(String, String)) -> bool {
        self.instances.iter().any(|instance| (&instance.namespace, &instance.name) == (namespace, name))
    }

    /// Returns it without what changes all the time.
    pub(super) fn without_statuses(&self) -> Self {
        let mut state = self.clone();
        state.instances.iter_mut().for_each(|instance| instance.backup = None);
        state
    }
}

impl InstanceState {
    fn new(instance: &KnownInstance, with_secrets: bool) -> Self {
        let KnownDocument { namespace, name, uid, generation, document, file, problem, created_at, .. } =
            instance.known.clone();
        let key = instance.session_key.as_ref().filter(|_| with_secrets);
        Self {
            namespace,
            name,
            uid,
            generation,
            created_at,
            document,
            file,
            problem,
            backup: instance.status.backup.clone(),
            session_key: key.map(|key| key.expose_secret().to_owned()),
        }
    }

    /// Returns the instance for the state database of another machine. Of its status only the times
    /// of its backups hold there, and no job that was under way.
    pub(super) fn into_known(self) -> KnownInstance {
        let mut backup = self.backup;
        if let Some(backup) = &mut backup {
            backup.last.take_if(|last| last.result == BackupResult::Running);
            backup.next = None;
        }
        KnownInstance {
            known: KnownDocument {
                namespace: self.namespace,
                name: self.name,
                uid: self.uid,
                generation: self.generation,
                resource_version: 1,
                document: self.document,
                file: self.file,
                problem: self.problem,
                refused: false,
                created_at: self.created_at,
                deleted_at: None,
                released_at: None,
                restore: None,
            },
            status: MaiInstanceStatus { backup, ..MaiInstanceStatus::default() },
            session_key: self.session_key.map(SecretString::from),
        }
    }
}
