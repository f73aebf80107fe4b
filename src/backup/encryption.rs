//! Encryption with age: recipients of an archive, and the identity that opens it.

use std::io::{Read, Write};
use std::path::Path;

use age::stream::{StreamReader, StreamWriter};
use age::x25519;
use mai_contract::job::Encryption;
use secrecy::ExposeSecret;

use crate::{BackupError, read_secret};

/// Public keys that an archive is encrypted to.
#[derive(Clone, Debug)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Parses public keys, at least one.
    pub fn parse(keys: &[String]) -> Result<Self, BackupError> {
        if keys.is_empty() {
            return Err(BackupError::NoRecipient);
        }
        let parse = |key: &String| {
            let invalid = |problem: &str| BackupError::Recipient { key: key.clone(), problem: problem.to_owned() };
            key.trim().parse().map_err(invalid)
        };
        keys.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Returns a writer that encrypts into `output`. It has to be finished.
    pub fn encrypt<W: Write>(&self, output: W) -> Result<StreamWriter<W>, BackupError> {
        let recipients = self.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(BackupError::Encrypt)?;
        encryptor.wrap_output(output).map_err(BackupError::Archive)
    }
}

/// Secret keys, any of which may open an archive.
#[derive(Clone)]
pub struct Identity(Vec<x25519::Identity>);

impl Identity {
    /// Parses a file of `age-keygen`: an identity a line, comments after `#`.
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        // The parser's own words may quote the key.
        let identities =
            lines.map(|line| line.parse().map_err(|_| BackupError::Identity)).collect::<Result<Vec<_>, _>>()?;
        if identities.is_empty() { Err(BackupError::Identity) } else { Ok(Self(identities)) }
    }

    /// Reads the identity that `encryption` names, if it names one, from the directory of secrets.
    pub fn read(encryption: &Encryption, secrets: &Path) -> Result<Option<Self>, BackupError> {
        let Some(name) = &encryption.identity else { return Ok(None) };
        Self::parse(read_secret(secrets, name)?.expose_secret()).map(Some)
    }

    /// Returns whether it opens an archive that is encrypted to these public keys.
    pub fn opens(&self, recipients: &[String]) -> bool {
        self.0.iter().any(|identity| recipients.contains(&identity.to_public().to_string()))
    }

    /// Returns the secret keys of both.
    pub fn join(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Returns a reader of the content of an encrypted archive.
    pub fn decrypt<R: Read>(&self, archive: R) -> Result<StreamReader<R>, BackupError> {
        let decryptor = age::Decryptor::new(archive).map_err(BackupError::Decrypt)?;
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        decryptor.decrypt(identities).map_err(BackupError::Decrypt)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn archive_opens_with_any_of_its_identities_only() {
        let keys: Vec<_> = (0..3).map(|_| x25519::Identity::generate()).collect();
        let public: Vec<_> = keys[..2].iter().map(|key| key.to_public().to_string()).collect();
        let mut writer = Recipients::parse(&public).unwrap().encrypt(Vec::new()).unwrap();
        writer.write_all(b"content").unwrap();
        let archive = writer.finish().unwrap();
        let open = |key: &x25519::Identity| {
            let file = format!("# created: today\n{}\n", key.to_string().expose_secret());
            let mut content = String::new();
            Identity::parse(&file).unwrap().decrypt(&archive[..]).map(|mut reader| {
                reader.read_to_string(&mut content).unwrap();
                content
            })
        };
        assert_eq!(open(&keys[0]).unwrap(), "content");
        assert_eq!(open(&keys[1]).unwrap(), "content");
        assert!(matches!(open(&keys[2]), Err(BackupError::Decrypt(_))));
        let identity = |number: usize| Identity(vec![keys[number].clone()]);
        assert_eq!([0, 1, 2].map(|number| identity(number).opens(&public)), [true, true, false]);
        assert!(identity(2).join(identity(0)).opens(&public) && !identity(0).opens(&[]));
    }

    #[test]
    fn wrong_keys_are_refused_and_no_secret_is_quoted() {
        let error = Recipients::parse(&["age1nonsense".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("age1nonsense"), "{error}");
        assert!(matches!(Recipients::parse(&[]), Err(BackupError::NoRecipient)));
        for text in ["", "# only a comment\n", "AGE-SECRET-KEY-1WRONG"] {
            let error = Identity::parse(text).unwrap_err().to_string();
            assert!(!error.contains("WRONG"), "{error}");
        }
    }
}
