//! Destinations of the backups of an instance, as its last good document declares them, opened with
//! the Secrets of the directory.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use anyhow::Context;
use jiff::Timestamp;
use mai_backup::encryption::Identity;
use mai_backup::{OpenStore, Places};
use mai_contract::job::{BackupId, Destination, Store, Subject};
use secrecy::{ExposeSecret, SecretString};

use crate::api::MaiInstance;
use crate::cli::shared::named_instance::NamedInstance;
use crate::cli::shared::state_dir::Place;
use crate::reconcile::job::{SecretFile, destinations, identity_file};
use crate::source::directory::Preview;
use crate::source::{Reader, Source};

/// Destinations of an instance.
pub(in crate::cli) struct BackupStores {
    pub(in crate::cli) subject: Subject,
    pub(in crate::cli) stores: Vec<NamedStore>,
    /// The identity that the document names, or the problem of its secret.
    pub(in crate::cli) identity: Result<Option<Identity>, String>,
}

/// One of them.
pub(in crate::cli) struct NamedStore {
    pub(in crate::cli) name: String,
    /// The store, or why it could not be opened.
    pub(in crate::cli) store: Result<OpenStore, String>,
}

impl BackupStores {
    /// Opens all destinations of an instance. `backups` is its backups volume, or why it cannot be
    /// reached.
    pub(in crate::cli) async fn open(
        instance: &NamedInstance,
        place: &Place,
        backups: Result<PathBuf, String>,
    ) -> anyhow::Result<Self> {
        let id = instance.id();
        let subject = Subject::from(id);
        let declared = destinations(&instance.document);
        let identity_file = identity_file(&instance.document);
        let needs_secrets = identity_file.is_some() || declared.iter().any(|(_, files)| !files.is_empty());
        let secrets = match needs_secrets {
            true => Some(Secrets::read(instance, place).await?),
            false => None,
        };
        let mut stores = Vec::new();
        for (destination, files) in declared {
            let store = match (&destination.store, &backups, &secrets) {
                (Store::Volume, Err(problem), _) => Err(problem.clone()),
                (_, backups, secrets) => {
                    let backups = backups.clone().unwrap_or_default();
                    open(&destination, &files, &subject, backups, secrets.as_ref(), id).await
                }
            };
            stores.push(NamedStore { name: destination.name, store });
        }
        let identity = match (&identity_file, &secrets) {
            (Some(file), Some(secrets)) => {
                let value = secrets.value(file).await;
                value.and_then(|value| {
                    Identity::parse(value.expose_secret()).map(Some).map_err(|error| error.to_string())
                })
            }
            _ => Ok(None),
        };
        Ok(Self { subject, stores, identity })
    }

    /// Returns the store of this name.
    pub(in crate::cli) fn named(&self, name: &str) -> anyhow::Result<&OpenStore> {
        let found = self.stores.iter().find(|store| store.name == name).with_context(|| {
            let names: Vec<_> = self.stores.iter().map(|store| store.name.as_str()).collect();
            format!("{} has no destination {name}; it has {}", self.subject.name, names.join(", "))
        })?;
        found.store.as_ref().map_err(|problem| anyhow::anyhow!("destination {name}: {problem}"))
    }
}

async fn open(
    destination: &Destination,
    files: &[SecretFile],
    subject: &Subject,
    backups: PathBuf,
    secrets: Option<&Secrets>,
    id: &crate::core::InstanceId,
) -> Result<OpenStore, String> {
    let mut values = BTreeMap::new();
    for file in files {
        let secrets = secrets.ok_or("its secrets were not read")?;
        values.insert(file.name.as_str(), secrets.value(file).await?);
    }
    let written =
        SecretDirectory::write(id, &values).map_err(|error| format!("its keys could not be passed on: {error}"))?;
    let staging = written.path.join("staging");
    let places = Places { data: PathBuf::new(), backups, secrets: written.path.clone(), staging };
    OpenStore::open(destination, subject, &places).await.map_err(|error| error.to_string())
}

/// Secrets of the directory of documents.
struct Secrets {
    preview: Preview,
    reader: MaiInstance,
}

impl Secrets {
    async fn read(instance: &NamedInstance, place: &Place) -> anyhow::Result<Self> {
        let platform = crate::core::Platform::PROCESS.kind;
        let preview = Preview::read(&place.directory, Vec::new(), platform, &place.policy()?).await;
        Ok(Self { preview: preview.context("the Secrets could not be read")?, reader: instance.document.clone() })
    }

    async fn value(&self, file: &SecretFile) -> Result<SecretString, String> {
        self.preview.secret(&Reader::from(&self.reader), &file.reference).await.map_err(|error| error.to_string())
    }
}

/// A directory with secret files that is there while a store is opened.
struct SecretDirectory {
    path: PathBuf,
}

impl SecretDirectory {
    fn write(id: &crate::core::InstanceId, values: &BTreeMap<&str, SecretString>) -> std::io::Result<Self> {
        let random: u32 = rand::random();
        let name = format!("mai-{}-{}", id.name, BackupId::new(Timestamp::now(), random));
        let directory = Self { path: std::env::temp_dir().join(name) };
        // Fails where somebody else made it first.
        DirBuilder::new().mode(0o700).create(&directory.path)?;
        for (name, value) in values {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(directory.path.join(name))?;
            file.write_all(value.expose_secret().as_bytes())?;
        }
        Ok(directory)
    }
}

impl Drop for SecretDirectory {
    fn drop(&mut self) {
        // Others cannot read it either.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
