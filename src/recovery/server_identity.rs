//! Name and uid of a server, under which its backups are stored. They come back with it.

use std::path::Path;

use mai_contract::job::Subject;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::RecoveryError;
use super::atomic_file::{read_json, write_json};

/// Folder of the servers beside the namespaces of their clients, none of which has such a name.
pub(super) const SERVERS: &str = "_server";
/// Its file in the state directory.
const FILE: &str = "server.json";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// Longest part of the name that is the machine's.
const MAX_HOST: usize = 40;

/// A server.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerIdentity {
    /// Name, from that of its first machine.
    pub(super) name: String,
    pub(super) uid: String,
}

impl ServerIdentity {
    /// Returns the identity of a state directory, which is made the first time.
    pub(super) fn of(state_dir: &Path) -> Result<Self, RecoveryError> {
        let path = state_dir.join(FILE);
        if let Some(known) = read_json(&path)? {
            return Ok(known);
        }
        let uid = Uuid::now_v7();
        let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
        // Two machines may have one name.
        let end = &uid.simple().to_string()[24..];
        let identity = Self { name: format!("{}-{end}", plain(&host)), uid: uid.to_string() };
        identity.write(state_dir)?;
        Ok(identity)
    }

    /// Makes it the identity of a state directory.
    pub(super) fn write(&self, state_dir: &Path) -> Result<(), RecoveryError> {
        write_json(&state_dir.join(FILE), self)
    }

    /// Returns it as the subject of a backup.
    pub(super) fn subject(&self) -> Subject {
        Subject { namespace: SERVERS.to_owned(), name: self.name.clone(), uid: self.uid.clone() }
    }
}

/// Returns the part of a text that can be in a path of any store.
fn plain(host: &str) -> String {
    let name: String = host
        .trim()
        .to_ascii_lowercase()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .take(MAX_HOST)
        .collect();
    match name.trim_matches('-') {
        "" => "server".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn server_keeps_its_name_with_its_state() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let identity = ServerIdentity::of(one.path()).unwrap();
        assert_eq!(ServerIdentity::of(one.path()).unwrap(), identity);
        assert_ne!(ServerIdentity::of(other.path()).unwrap().name, identity.name);
        identity.write(other.path()).unwrap();
        assert_eq!(ServerIdentity::of(other.path()).unwrap(), identity);
        assert_eq!(["Mail.Example", "...", "ęa", "-x-"].map(plain), ["mail-example", "server", "a", "x"]);
    }
}
