//! Secrets that were in the archive of a client, kept until all clients are in their places: only
//! then it shows which are needed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mai_backup::InstanceFiles;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::RecoveryError;
use super::atomic_file::{make_directory, read_json, write_json};
use super::client::SESSION_KEY;
use super::survey::Key;

/// Secrets of one client, by the names that its archive has for them.
#[derive(Serialize, Deserialize, Default)]
pub(super) struct ArchivedSecrets(BTreeMap<String, String>);

impl ArchivedSecrets {
    /// Returns the secrets in an archive.
    pub(super) fn new(files: &InstanceFiles) -> Self {
        let value = |(name, value): (&String, &SecretString)| (name.clone(), value.expose_secret().to_owned());
        Self(files.secrets.iter().map(value).collect())
    }

    /// Keeps them in a directory.
    pub(super) fn write(&self, directory: &Path, key: &Key) -> Result<(), RecoveryError> {
        make_directory(directory)?;
        write_json(&path(directory, key), self)
    }

    /// Reads what was kept; nothing where nothing was.
    pub(super) fn read(directory: &Path, key: &Key) -> Result<Self, RecoveryError> {
        Ok(read_json(&path(directory, key))?.unwrap_or_default())
    }

    /// Returns the key that signs sessions.
    pub(super) fn session_key(&self) -> Option<SecretString> {
        self.get(SESSION_KEY)
    }

    /// Returns the secret of this name.
    pub(super) fn get(&self, name: &str) -> Option<SecretString> {
        self.0.get(name).map(|value| SecretString::from(value.clone()))
    }
}

/// No namespace has an underscore.
fn path(directory: &Path, (namespace, name): &Key) -> PathBuf {
    directory.join(format!("{namespace}_{name}.json"))
}
