//! The newest backup of a server that can be used, unpacked.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use mai_backup::catalog::CatalogEntry;
use mai_backup::encryption::Identity;
use mai_backup::restore::unpack_stored;
use mai_backup::{BackupError, Progress, StoreError};
use mai_contract::job::BackupId;
use rustix::process::{getegid, geteuid};

use super::RecoveryError;
use super::contents::{DOCUMENTS, STATE};
use super::server_identity::ServerIdentity;
use super::server_state::ServerState;
use super::survey::{Survey, is_openable};

/// A backup of a server.
#[derive(Debug)]
pub(super) struct ServerArchive {
    pub(super) identity: ServerIdentity,
    pub(super) id: BackupId,
    pub(super) taken_at: Timestamp,
    pub(super) state: ServerState,
    /// Its documents, unpacked.
    pub(super) documents: PathBuf,
    /// Names of secrets that are not in it.
    pub(super) missing: Vec<String>,
}

impl ServerArchive {
    /// Unpacks the newest usable backup of a server into a directory below `work`. None where there
    /// is no usable one; `notes` says why. Without `wanted` there has to be one server at most.
    pub(super) async fn open(
        survey: &Survey,
        wanted: Option<&str>,
        identity: Option<&Identity>,
        work: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, RecoveryError> {
        let names: Vec<&str> = survey.servers.keys().map(String::as_str).collect();
        let name = match (wanted, names.as_slice()) {
            (Some(wanted), _) if names.contains(&wanted) => wanted,
            (Some(wanted), _) => {
                return Err(RecoveryError::NoServer { name: wanted.to_owned(), names: names.join(", ") });
            }
            (None, [name]) => name,
            (None, []) => return Ok(None),
            (None, _) => return Err(RecoveryError::SeveralServers { names: names.join(", ") }),
        };
        let Some(backups) = survey.servers.get(name) else { return Ok(None) };
        if !backups.entries.iter().any(|entry| is_openable(entry, identity)) {
            let recipients = backups.entries.first().map(|entry| entry.summary.recipients.join(", "));
            return Err(sealed(&format!("the backup of server {name}"), recipients.unwrap_or_default(), identity));
        }
        for (number, entry) in backups.entries.iter().enumerate() {
            let CatalogEntry { summary, .. } = entry;
            if !is_openable(entry, identity) {
                notes.push(format!(
                    "backup {} of server {name} is encrypted to {}, and no identity of those was given",
                    summary.id,
                    summary.recipients.join(", ")
                ));
                continue;
            }
            let into = work.join(format!("server-{number}"));
            let owner = (geteuid().as_raw(), getegid().as_raw());
            let unpacked = unpack_stored(&backups.store, summary, identity, &into, owner, &Progress::silent()).await;
            let read = unpacked.map_err(RecoveryError::Backup).and_then(|_| read_state(&into));
            match read {
                Ok(state) => {
                    return Ok(Some(Self {
                        identity: ServerIdentity { name: name.to_owned(), uid: summary.instance.uid.clone() },
                        id: summary.id.clone(),
                        taken_at: summary.taken_at,
                        state,
                        documents: into.join(DOCUMENTS),
                        missing: summary.missing_secrets.clone(),
                    }));
                }
                Err(error) if is_unusable(&error) => {
                    notes.push(format!("backup {} of server {name} cannot be used: {error}", summary.id));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

fn read_state(unpacked: &Path) -> Result<ServerState, RecoveryError> {
    let path = unpacked.join(STATE);
    let text = std::fs::read(&path).map_err(RecoveryError::io("read", &path))?;
    ServerState::parse(&text).map_err(|problem| {
        RecoveryError::Backup(BackupError::Unverified { what: format!("its {STATE} cannot be read: {problem}") })
    })
}

/// Returns the failure of a backup that nothing given opens.
pub(super) fn sealed(what: &str, recipients: String, identity: Option<&Identity>) -> RecoveryError {
    let what = what.to_owned();
    match identity {
        Some(_) => RecoveryError::WrongIdentity { what, recipients },
        None => RecoveryError::MissingIdentity { what, recipients },
    }
}

/// Returns whether a backup itself is at fault, so that an older one may do.
pub(super) fn is_unusable(error: &RecoveryError) -> bool {
    matches!(
        error,
        RecoveryError::Backup(
            BackupError::Unverified { .. }
                | BackupError::Damaged { .. }
                | BackupError::Decrypt(_)
                | BackupError::WrongIdentity { .. }
                | BackupError::MissingIdentity { .. }
                | BackupError::Store(StoreError::NotFound { .. })
        )
    )
}
