//! The secret files of a job.

use std::io;
use std::path::{Path, PathBuf};

use mai_contract::job::is_secret_name;
use secrecy::{ExposeSecret, SecretString};

/// A secret file that an order names and that cannot be used. The value never shows.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Its name would leave the directory of the secrets.
    #[error("the order names a secret file {0:?}, which is no plain file name")]
    Name(String),
    /// It could not be read.
    #[error("secret file {path} could not be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Returns the content of the secret file `name` in `directory`, without a line end after it.
pub fn read_secret(directory: &Path, name: &str) -> Result<SecretString, SecretError> {
    let content = read_secret_file(directory, name)?;
    Ok(SecretString::from(content.expose_secret().trim_end_matches(['\r', '\n'])))
}

/// Returns the content of the secret file `name` in `directory`.
pub(crate) fn read_secret_file(directory: &Path, name: &str) -> Result<SecretString, SecretError> {
    if !is_secret_name(name) {
        return Err(SecretError::Name(name.to_owned()));
    }
    let path = directory.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(SecretString::from(text)),
        Err(source) => Err(SecretError::Io { path, source }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn secret_file_is_read_by_its_plain_name_only() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("key"), "a b\n").unwrap();
        assert_eq!(read_secret(directory.path(), "key").unwrap().expose_secret(), "a b");
        for name in ["", "..", "../key", "a/b", ".hidden"] {
            assert!(matches!(read_secret(directory.path(), name), Err(SecretError::Name(_))), "{name}");
        }
        let missing = read_secret(directory.path(), "other").unwrap_err().to_string();
        assert!(missing.contains("other could not be read"), "{missing}");
    }
}
