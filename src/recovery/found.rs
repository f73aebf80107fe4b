//! The server and the clients that can be brought back from a destination.

use mai_backup::encryption::Identity;
use secrecy::ExposeSecret;

use super::RecoveryError;
use super::client::{Client, ClientPreview};
use super::location::Location;
use super::scratch::ScratchDirectory;
use super::server_archive::{ServerArchive, sealed};
use super::survey::{Survey, shown};
use crate::api::PlatformKind;
use crate::source::directory::Preview;
use crate::source::policy::PolicyFile;
use crate::source::{Reader, Source};

/// A search for a server and its clients.
#[derive(Debug)]
pub struct Search {
    /// Where the backups are.
    pub location: Location,
    /// Keys that open them.
    pub identity: Option<Identity>,
    /// The server, where the destination has several.
    pub server: Option<String>,
}

/// A server and clients that can be brought back.
#[derive(Debug)]
pub struct Found {
    pub(super) location: Location,
    pub(super) identity: Option<Identity>,
    pub(super) server: Option<ServerArchive>,
    /// Clients by namespace and name.
    pub(super) clients: Vec<Client>,
    /// Sentences about backups that are there and do not come back.
    pub notes: Vec<String>,
    /// Holds what was unpacked.
    pub(super) work: ScratchDirectory,
}

impl Search {
    /// Looks for the server and its clients. Writes nothing but to the system's directory for
    /// temporary files.
    pub async fn find(self) -> Result<Found, RecoveryError> {
        let Self { location, mut identity, server } = self;
        let survey = Survey::read(&location).await?;
        if survey.servers.is_empty() && survey.instances.is_empty() {
            return Err(RecoveryError::NoBackup {
                place: location.address().to_string(),
                problems: survey.problems.iter().map(|problem| format!("; {problem}")).collect(),
            });
        }
        let work = ScratchDirectory::create()?;
        let mut notes = survey.problems.clone();
        let server =
            ServerArchive::open(&survey, server.as_deref(), identity.as_ref(), work.path(), &mut notes).await?;
        if let Some(server) = &server {
            identity = with_declared(identity, server).await?;
            if !server.missing.is_empty() {
                notes.push(format!(
                    "the backup of the server is not encrypted and leaves out {}",
                    server.missing.join(", ")
                ));
            }
        }
        let clients = clients(survey, server.as_ref(), identity.as_ref(), &mut notes)?;
        Ok(Found { location, identity, server, clients, notes, work })
    }
}

impl Found {
    /// Returns the server, as a sentence; None where there is no usable backup of one.
    pub fn server(&self) -> Option<String> {
        let ServerArchive { identity, id, taken_at, .. } = self.server.as_ref()?;
        Some(format!("server {}, backup {id} of {}", identity.name, shown(*taken_at)))
    }

    /// Returns the runtime of the server, as the command line names it.
    pub fn runtime(&self) -> Option<&str> {
        Some(self.server.as_ref()?.state.runtime.as_str())
    }

    /// Returns its clients as they would come back.
    pub fn clients(&self) -> Vec<ClientPreview> {
        self.clients.iter().map(Client::preview).collect()
    }
}

/// Adds the identities that the documents of a server declare and its Secrets hold.
async fn with_declared(
    mut identity: Option<Identity>,
    server: &ServerArchive,
) -> Result<Option<Identity>, RecoveryError> {
    // Fields that another platform refuses are of no importance here.
    let preview =
        Preview::read(&server.documents, Vec::new(), PlatformKind::Process, &PolicyFile::unrestricted()).await?;
    for previewed in &preview.instances {
        let encryption = previewed.instance.spec.backup.as_ref().and_then(|backup| backup.encryption.as_ref());
        let Some(reference) = encryption.and_then(|encryption| encryption.identity_secret_ref.as_ref()) else {
            continue;
        };
        let Ok(value) = preview.secret(&Reader::from(&previewed.instance), reference).await else { continue };
        if let Ok(declared) = Identity::parse(value.expose_secret()) {
            identity = Some(match identity {
                Some(identity) => identity.join(declared),
                None => declared,
            });
        }
    }
    Ok(identity)
}

/// Returns the clients to bring back: those that the server knew, and those that were added after its
/// backup; all that are there where the server has none.
fn clients(
    mut survey: Survey,
    server: Option<&ServerArchive>,
    identity: Option<&Identity>,
    notes: &mut Vec<String>,
) -> Result<Vec<Client>, RecoveryError> {
    let is_only_server = survey.servers.len() == 1;
    let mut clients = Vec::new();
    if let Some(server) = server {
        for instance in server.state.instances.clone() {
            let key = (instance.namespace.clone(), instance.name.clone());
            let mut backups = survey.instances.remove(&key);
            let known = instance.into_known();
            if let Some(backups) = &mut backups {
                backups.retain_uid(Some(&known.known.uid));
            }
            clients.push(Client::new(key, Some(known), backups, identity));
        }
    }
    for (key, mut backups) in survey.instances {
        backups.retain_uid(None);
        let newest = backups.entries.iter().map(|entry| entry.summary.taken_at).max();
        let is_newer = server.is_none_or(|server| is_only_server && newest > Some(server.taken_at));
        if is_newer {
            clients.push(Client::new(key, None, Some(backups), identity));
        } else {
            notes.push(format!(
                "{}/{} has backups there and is no client of this server, so it is left out",
                key.0, key.1
            ));
        }
    }
    let mut with_backups = clients.iter().filter(|client| client.backups.is_some()).peekable();
    if let Some(first) = with_backups.peek()
        && let Some(recipients) = first.sealed.clone()
        && with_backups.all(|client| client.sealed.is_some())
    {
        return Err(sealed("each backup of a client", recipients, identity));
    }
    clients.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(clients)
}
