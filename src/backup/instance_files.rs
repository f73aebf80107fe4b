//! The files of an archive beside the data: the document of the instance and its secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mai_contract::job::is_secret_name;
use secrecy::SecretString;
use serde_json::Value;

use crate::BackupError;
use crate::manifest::{DOCUMENT, SECRETS};

/// Files that a restore on another machine needs beside the data.
#[derive(Clone, Debug, Default)]
pub struct InstanceFiles {
    /// The document as it stood; None in an archive without one.
    pub document: Option<Value>,
    /// Secrets by the names that the order of the backup gave them; none unless it was encrypted.
    pub secrets: BTreeMap<String, SecretString>,
}

/// Contents of files below `instance/`, as they are read.
#[derive(Default)]
pub(crate) struct CollectedFiles(BTreeMap<PathBuf, Vec<u8>>);

impl CollectedFiles {
    /// Returns the content of a file, to append to.
    pub(crate) fn file(&mut self, path: &Path) -> &mut Vec<u8> {
        self.0.entry(path.to_owned()).or_default()
    }

    /// Reads the document and the secrets.
    pub(crate) fn read(self) -> Result<InstanceFiles, BackupError> {
        let mut files = InstanceFiles::default();
        for (path, content) in self.0 {
            let unreadable = |problem: &str| BackupError::Unverified {
                what: format!("the archive cannot be used: {} {problem}", path.display()),
            };
            if path == Path::new(DOCUMENT) {
                let document = serde_json::from_slice(&content);
                files.document = Some(document.map_err(|error| unreadable(&format!("cannot be read: {error}")))?);
            } else if let Ok(name) = path.strip_prefix(SECRETS) {
                let name = name.to_str().filter(|name| is_secret_name(name));
                let name = name.ok_or_else(|| unreadable("is not the name of a secret"))?.to_owned();
                let value = String::from_utf8(content).map_err(|_| unreadable("is not text"))?;
                files.secrets.insert(name, SecretString::from(value));
            }
        }
        Ok(files)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn document_and_secrets_are_told_from_other_files() {
        let mut collected = CollectedFiles::default();
        for (path, content) in [
            ("instance/document.json", &b"{\"kind\": \"MaiInstance\"}"[..]),
            ("instance/secrets/session-key", b"abc"),
            ("instance/other", b"\xff"),
        ] {
            collected.file(Path::new(path)).extend_from_slice(content);
        }
        let files = collected.read().unwrap();
        assert_eq!(files.document.unwrap()["kind"], "MaiInstance");
        assert_eq!(files.secrets["session-key"].expose_secret(), "abc");
        assert_eq!(files.secrets.len(), 1);
        for (path, content) in [
            ("instance/document.json", &b"{"[..]),
            ("instance/secrets/.hidden", b"abc"),
            ("instance/secrets/a/b", b"abc"),
            ("instance/secrets/key", b"\xff"),
        ] {
            let mut collected = CollectedFiles::default();
            collected.file(Path::new(path)).extend_from_slice(content);
            assert!(collected.read().unwrap_err().to_string().contains(path));
        }
    }
}
