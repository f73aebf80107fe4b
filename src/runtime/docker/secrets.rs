//! Files with secret values on the engine's machine ([`mai_contract::secrets_file`]).
//!
//! The name of a file contains a hash of its content, so a retained container keeps the values it
//! was started with, and a rotated secret is another mount. The hash covers the random session key
//! as well, so it discloses nothing about the other values.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use mai_contract::files::USER;
use mai_contract::secrets_file;

const PREFIX: &str = "secrets-";
const SUFFIX: &str = ".env";

/// The secret values of one instance as a file.
pub(super) struct SecretFile {
    pub(super) path: PathBuf,
    content: SecretString,
}

impl SecretFile {
    pub(super) fn new(home: &Path, values: &BTreeMap<&str, &SecretString>) -> Self {
        let content = secrets_file::encode(values);
        let hash = hex::encode(&Sha256::digest(content.expose_secret().as_bytes())[..8]);
        Self { path: home.join(format!("{PREFIX}{hash}{SUFFIX}")), content }
    }

    /// Returns whether the file exists in full. Its name identifies the content, so the length
    /// decides.
    pub(super) fn exists(&self) -> bool {
        self.path.metadata().is_ok_and(|file| file.is_file() && file.len() == self.content.expose_secret().len() as u64)
    }

    /// Returns the names whose values differ from those in the content of another such file.
    pub(super) fn changed_from(&self, other: &str) -> Vec<String> {
        let read = |content: &str| -> BTreeMap<String, String> {
            content
                .lines()
                .filter_map(|line| line.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        };
        let (ours, theirs) = (read(self.content.expose_secret()), read(other));
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name)).cloned().collect()
    }

    /// Writes the file, readable for the server alone: it belongs to the server's user if its owner
    /// can be changed, and otherwise is in a directory that no other user of this machine may
    /// enter. `mapped` says that users of containers are other users on this machine.
    pub(super) fn write(&self, mapped: bool) -> io::Result<()> {
        if self.exists() {
            return Ok(());
        }
        let Some(home) = self.path.parent() else { return Ok(()) };
        DirBuilder::new().recursive(true).mode(0o700).create(home)?;
        std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700))?;
        // The engine creates a directory where it should mount a missing file.
        if self.path.is_dir() {
            std::fs::remove_dir(&self.path)?;
        }
        let unfinished = home.join(".secrets.new");
        let _ = std::fs::remove_file(&unfinished);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(&unfinished)?;
        file.write_all(self.content.expose_secret().as_bytes())?;
        file.sync_all()?;
        let given_away = !mapped && std::os::unix::fs::fchown(&file, Some(USER), Some(USER)).is_ok();
        if !given_away {
            file.set_permissions(std::fs::Permissions::from_mode(0o444))?;
        }
        std::fs::rename(&unfinished, &self.path)
    }
}

/// Removes the files that no container uses.
pub(super) fn remove_unused(home: &Path, used: &BTreeSet<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(home) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let ours = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX));
        if ours && !used.contains(&path) {
            // Tried again with the next replacement.
            let _ = std::fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn other_values_are_another_file() {
        let home = tempfile::tempdir().unwrap();
        let (one, two) = (SecretString::from("a\\b\nc"), SecretString::from("x"));
        let file = SecretFile::new(home.path(), &BTreeMap::from([("A", &one), ("B", &two)]));
        assert!(!file.exists());
        file.write(false).unwrap();
        assert!(file.exists());
        assert_eq!(std::fs::read_to_string(&file.path).unwrap(), "A=a\\\\b\\nc\nB=x\n");
        let mode = file.path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if rustix::process::geteuid().is_root() { 0o400 } else { 0o444 });
        assert_eq!(home.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);

        let other = SecretFile::new(home.path(), &BTreeMap::from([("A", &one), ("B", &one)]));
        assert_ne!(other.path, file.path);
        other.write(false).unwrap();
        remove_unused(home.path(), &[other.path.clone()].into());
        assert!(other.exists() && !file.exists());
    }
}
