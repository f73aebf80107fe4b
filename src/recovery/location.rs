//! Where backups are: `s3://BUCKET/PREFIX`, with a file that says how to reach it, or a directory.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use mai_backup::{OpenStore, Places};
use mai_contract::job::{Destination, Retention, S3, Store, Subject};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::RecoveryError;
use super::scratch::ScratchDirectory;

/// Longest file with a connection, in bytes.
const MAX_CONNECTION_BYTES: u64 = 1 << 20;
const ACCESS_KEY_ID: &str = "access-key-id";
const SECRET_ACCESS_KEY: &str = "secret-access-key";
const CA: &str = "ca";

/// Place of backups, as it is written on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A bucket, and the prefix of every object in it.
    Bucket {
        /// The bucket.
        bucket: String,
        /// The prefix, without outer slashes.
        prefix: String,
    },
    /// A directory of this machine.
    Directory(PathBuf),
}

impl FromStr for Address {
    type Err = RecoveryError;

    fn from_str(text: &str) -> Result<Self, RecoveryError> {
        let refused = |problem| RecoveryError::Address { text: text.to_owned(), problem };
        match text.split_once("://") {
            Some(("s3", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(refused("it names no bucket"));
                }
                Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            Some(_) => Err(refused("only s3:// is known")),
            None if text.is_empty() => Err(refused("it is empty")),
            None => {
                let path = std::path::absolute(text).map_err(|_| refused("it is no path"))?;
                Ok(Self::Directory(path.components().collect()))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Connection to a service that speaks S3: the content of a file of mode 0600.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Connection {
    /// Its URL; absent for AWS.
    pub endpoint: Option<String>,
    /// Region; absent where the service has none.
    pub region: Option<String>,
    /// The bucket is a part of the path and not of the host name; by default it is where there is an
    /// endpoint.
    path_style: Option<bool>,
    access_key_id: SecretString,
    secret_access_key: SecretString,
    /// Certificates (PEM) of the authority that signed the service's.
    ca: Option<String>,
}

impl S3Connection {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, RecoveryError> {
        let failed = RecoveryError::io("read", path);
        let unusable = |problem: String| RecoveryError::Connection { path: path.to_owned(), problem };
        let file = File::open(path).map_err(&failed)?;
        let mode = file.metadata().map_err(&failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            let shown = path.display();
            return Err(unusable(format!("others can read it (mode {mode:04o}); run: chmod 600 {shown}")));
        }
        let mut text = String::new();
        file.take(MAX_CONNECTION_BYTES).read_to_string(&mut text).map_err(&failed)?;
        serde_saphyr::from_str(&text).map_err(|error| {
            // The parser may quote the line, in which there may be a key.
            let message = error.without_snippet().to_string();
            unusable(format!(
                "{}; it has accessKeyId, secretAccessKey and, where needed, endpoint, region, pathStyle and ca",
                message.lines().next().unwrap_or_default().trim()
            ))
        })
    }
}

/// A place of backups that can be opened.
#[derive(Clone, Debug)]
pub struct Location {
    address: Address,
    connection: Option<S3Connection>,
}

impl Location {
    /// Returns the place of `address`. `connection` is the file of a bucket, and `option` the option
    /// that names it.
    pub fn new(address: Address, connection: Option<&Path>, option: &'static str) -> Result<Self, RecoveryError> {
        let connection = match (&address, connection) {
            (Address::Bucket { .. }, None) => {
                return Err(RecoveryError::NoConnection { address: address.to_string(), option });
            }
            (Address::Bucket { .. }, Some(path)) => Some(S3Connection::read(path)?),
            (Address::Directory(_), Some(path)) => {
                let problem =
                    format!("it says how to reach a bucket, and {address} is a directory; leave out {option}");
                return Err(RecoveryError::Connection { path: path.to_owned(), problem });
            }
            (Address::Directory(_), None) => None,
        };
        Ok(Self { address, connection })
    }

    /// Returns its address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the URL of the service of a bucket, if it is not AWS.
    pub fn endpoint(&self) -> Option<&str> {
        self.connection.as_ref()?.endpoint.as_deref()
    }

    /// Returns it as a destination of a backup.
    pub(super) fn destination(&self, retention: Option<Retention>) -> Destination {
        let store = match &self.address {
            Address::Directory(path) => Store::Directory(path.clone()),
            Address::Bucket { bucket, prefix } => {
                let connection = self.connection.as_ref();
                let endpoint = connection.and_then(|connection| connection.endpoint.clone());
                Store::S3(S3 {
                    bucket: bucket.clone(),
                    region: connection.and_then(|connection| connection.region.clone()),
                    prefix: prefix.clone(),
                    path_style: connection.and_then(|connection| connection.path_style).unwrap_or(endpoint.is_some()),
                    endpoint,
                    access_key_id: ACCESS_KEY_ID.to_owned(),
                    secret_access_key: SECRET_ACCESS_KEY.to_owned(),
                    ca: connection.and_then(|connection| connection.ca.as_ref()).map(|_| CA.to_owned()),
                })
            }
        };
        Destination { name: self.address.to_string(), store, retention }
    }

    /// Writes its keys as the secret files that the destination names.
    pub(super) fn write_secrets(&self, directory: &ScratchDirectory) -> Result<(), RecoveryError> {
        let Some(connection) = &self.connection else { return Ok(()) };
        directory.write(ACCESS_KEY_ID, connection.access_key_id.expose_secret())?;
        directory.write(SECRET_ACCESS_KEY, connection.secret_access_key.expose_secret())?;
        connection.ca.as_ref().map_or(Ok(()), |ca| directory.write(CA, ca))
    }

    /// Opens the backups of an instance, or of a server.
    pub(super) async fn open(&self, subject: &Subject) -> Result<OpenStore, RecoveryError> {
        let secrets = ScratchDirectory::create()?;
        self.write_secrets(&secrets)?;
        Ok(OpenStore::open(&self.destination(None), subject, &places(&secrets)).await?)
    }

    /// Returns namespace and name of each instance, or server, that may have backups there.
    pub(super) async fn subjects(&self) -> Result<Vec<(String, String)>, RecoveryError> {
        let secrets = ScratchDirectory::create()?;
        self.write_secrets(&secrets)?;
        Ok(OpenStore::subjects(&self.destination(None), &places(&secrets)).await?)
    }
}

/// Returns places of which only the secrets are used.
fn places(secrets: &ScratchDirectory) -> Places {
    Places {
        data: PathBuf::new(),
        backups: PathBuf::new(),
        secrets: secrets.path().to_owned(),
        staging: secrets.path().join("staging"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn address_is_a_bucket_or_a_directory() {
        for (text, shown) in [
            ("s3://copies", "s3://copies"),
            ("s3://copies/", "s3://copies"),
            ("s3://copies/a/b/", "s3://copies/a/b"),
            ("/mnt/nas/", "/mnt/nas"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        assert!(matches!("nas".parse().unwrap(), Address::Directory(path) if path.is_absolute()));
        for text in ["", "s3://", "s3:///a", "https://s3.example.com/copies"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("write s3://BUCKET/PREFIX"), "{error}");
        }
    }

    #[test]
    fn connection_is_read_from_a_private_file_and_never_quoted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str, mode: u32| {
            std::fs::write(file.path(), text).unwrap();
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            Location::new("s3://copies/a".parse().unwrap(), Some(file.path()), "--s3")
        };
        let good = "endpoint: http://127.0.0.1:9000\naccessKeyId: id\nsecretAccessKey: sesame\n";
        let location = read(good, 0o600).unwrap();
        let Store::S3(s3) = location.destination(None).store else { unreachable!() };
        assert_eq!((s3.bucket.as_str(), s3.prefix.as_str(), s3.path_style), ("copies", "a", true));
        assert!(!format!("{location:?}").contains("sesame"));
        let refused = |text: &str, mode| read(text, mode).unwrap_err().to_string();
        assert!(refused(good, 0o640).contains("chmod 600"));
        for text in ["secretAccessKey: sesame\n", "secretAccessKey: [sesame\n", &format!("{good}other: sesame\n")] {
            let error = refused(text, 0o600);
            assert!(error.contains("accessKeyId") && !error.contains("sesame"), "{error}");
        }
        let none = Location::new("s3://copies".parse().unwrap(), None, "--s3").unwrap_err().to_string();
        assert!(none.contains("--s3 FILE"), "{none}");
        let superfluous = Location::new("/nas".parse().unwrap(), Some(file.path()), "--s3").unwrap_err().to_string();
        assert!(superfluous.contains("leave out --s3"), "{superfluous}");
    }
}
