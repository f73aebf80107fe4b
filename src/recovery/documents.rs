//! The documents and Secrets of a server that comes back. Files that are there and differ are left
//! alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mai_contract::job::BackupId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::RecoveryError;
use super::archived_secrets::ArchivedSecrets;
use super::atomic_file::{make_directory, write};
use super::client::Client;
use super::found::Found;
use super::record::RecoveryRecord;
use super::survey::Key;
use crate::api::PlatformKind;
use crate::reconcile::job::server_secrets;
use crate::source::directory::{Preview, SourceFile, judge, read, read_files};
use crate::source::policy::{Policy, PolicyFile};
use crate::source::{Reader, SecretError, Source};

/// End of the name of a file with the documents of clients that could not be had. It is no YAML
/// file for mai.
const ASIDE: &str = ".not-recovered";
/// Folder of the Secrets that come from the archives of clients.
const SECRETS: &str = "secrets";

/// The directory of documents of a server that comes back.
pub(super) struct Documents<'a> {
    found: &'a Found,
    record: &'a mut RecoveryRecord,
    /// Sentences about all that could not be put in place.
    pub(super) missing: Vec<String>,
}

impl<'a> Documents<'a> {
    pub(super) fn new(found: &'a Found, record: &'a mut RecoveryRecord) -> Self {
        Self { found, record, missing: Vec::new() }
    }

    /// Writes the documents of the clients that are in their places. Those of others are put aside,
    /// since a server would start on no data, and whoever came first would become its administrator.
    pub(super) fn put(&mut self) -> Result<(), RecoveryError> {
        make_directory(&self.record.documents)?;
        let absent = |client: &&Client| !self.record.is_done(&client.name());
        let absent: BTreeSet<Key> = self.found.clients.iter().filter(absent).map(|client| client.key.clone()).collect();
        let files = match &self.found.server {
            Some(server) if !server.state.instances.is_empty() => read_files(&server.documents)?,
            _ => Vec::new(),
        };
        for file in files {
            self.put_file(&file, &absent)?;
        }
        let found = self.found;
        for client in &found.clients {
            if is_from_archive(found, client) && !absent.contains(&client.key) {
                self.put_document(client)?;
            }
        }
        Ok(())
    }

    fn put_file(&mut self, file: &SourceFile, absent: &BTreeSet<Key>) -> Result<(), RecoveryError> {
        let (rest, aside) = file.split_off(absent);
        let mode = (file.mode & 0o777) | 0o600;
        match (rest, &aside) {
            (Some(rest), _) => self.write(&file.path, rest.as_bytes(), mode)?,
            // No text; mai names its problem.
            (None, None) => self.write(&file.path, file.content.expose_secret(), mode)?,
            (None, Some(_)) => {}
        }
        let mut name = file.path.as_os_str().to_owned();
        name.push(ASIDE);
        let name = PathBuf::from(name);
        match aside {
            Some(text) => {
                self.write(&name, text.as_bytes(), mode)?;
                self.missing.push(format!(
                    "documents of clients that could not be brought back are in {}; to start those on no data, rename it so that it ends in .yaml",
                    self.record.documents.join(&name).display()
                ));
            }
            // Of an earlier run.
            None if self.record.files.remove(&name).is_some() => {
                // Only its text is superfluous now.
                let _ = std::fs::remove_file(self.record.documents.join(&name));
            }
            None => {}
        }
        Ok(())
    }

    fn put_document(&mut self, client: &Client) -> Result<(), RecoveryError> {
        let Some(known) = &client.known else { return Ok(()) };
        let mut path = PathBuf::from(file_name(&client.key));
        if self.record.documents.join(&path).exists() && !self.record.files.contains_key(&path) {
            path = PathBuf::from(format!("recovered-{}", file_name(&client.key)));
        }
        let backup: Option<&BackupId> = self.record.clients.get(&client.name()).map(|record| &record.backup);
        let from = backup.map(|backup| format!(" {backup}")).unwrap_or_default();
        let text = yaml(&known.known.document)?;
        self.write(&path, format!("# From backup{from}, with defaults filled in.\n{text}").as_bytes(), 0o600)
    }

    /// Writes the Secrets that documents name, that are in no file and that the archives of clients
    /// had.
    pub(super) async fn put_secrets(&mut self, work: &Path) -> Result<(), RecoveryError> {
        let preview =
            Preview::read(&self.record.documents, Vec::new(), PlatformKind::Process, &PolicyFile::unrestricted())
                .await?;
        let mut wanted: BTreeMap<Key, BTreeMap<String, SecretString>> = BTreeMap::new();
        let mut clients: Vec<&Client> =
            self.found.clients.iter().filter(|client| self.record.is_done(&client.name())).collect();
        // The newest value wins.
        clients.sort_by_key(|client| self.record.clients.get(&client.name()).map(|record| record.taken_at));
        for client in clients {
            let Some(document) = client.document() else { continue };
            let archived = ArchivedSecrets::read(work, &client.key)?;
            for file in server_secrets(&document) {
                let (Some(value), Some(key)) = (archived.get(&file.name), file.reference.key.clone()) else { continue };
                let reader = Reader { namespace: &client.key.0, name: &client.key.1, file: None };
                let there = preview.secret(&reader, &file.reference).await;
                if matches!(there, Err(SecretError::Missing { .. } | SecretError::Encrypted { .. })) {
                    let secret = (client.key.0.clone(), file.reference.name.clone());
                    wanted.entry(secret).or_default().insert(key, value);
                }
            }
        }
        for (key, values) in wanted {
            let values: BTreeMap<&String, &str> =
                values.iter().map(|(key, value)| (key, value.expose_secret())).collect();
            let text = yaml(&json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": key.1, "namespace": key.0},
                "stringData": values,
            }))?;
            self.write(&Path::new(SECRETS).join(file_name(&key)), text.as_bytes(), 0o600)?;
        }
        Ok(())
    }

    /// Adds what `mai validate` would say of the directory, such as missing Secrets.
    pub(super) fn judge(&mut self, platform: PlatformKind, policy: &Arc<Policy>) {
        let documents = self.record.documents.clone();
        let verdict = judge(&[(&documents, read(&documents))], Some(platform), policy);
        self.missing.extend(verdict.findings.iter().map(|judged| judged.problem.to_string()));
    }

    /// Writes a file, unless another is in its place.
    fn write(&mut self, path: &Path, content: &[u8], mode: u32) -> Result<(), RecoveryError> {
        let whole = self.record.documents.join(path);
        let digest = |content: &[u8]| hex::encode(Sha256::digest(content));
        let there = std::fs::read(&whole).ok().map(|there| digest(&there));
        if let Some(there) = there
            && there != digest(content)
            && self.record.files.get(path) != Some(&there)
        {
            self.missing.push(format!("{} was changed meanwhile, so it was left as it is", whole.display()));
            return Ok(());
        }
        make_directory(whole.parent().unwrap_or(&self.record.documents))?;
        write(&whole, content, mode)?;
        self.record.files.insert(path.to_owned(), digest(content));
        Ok(())
    }
}

/// Returns whether the document of a client is in no file of the server.
fn is_from_archive(found: &Found, client: &Client) -> bool {
    found.server.as_ref().is_none_or(|server| !server.state.has(&client.key))
}

fn yaml(value: &Value) -> Result<String, RecoveryError> {
    serde_saphyr::to_string(value).map_err(|error| RecoveryError::Yaml(error.to_string()))
}

/// Returns the name of the file of an object.
fn file_name((namespace, name): &Key) -> String {
    let plain = |text: &str| -> String {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '.');
        let plain: String = text.chars().map(|letter| if is_plain(letter) { letter } else { '-' }).collect();
        plain.trim_start_matches('.').to_owned()
    };
    match namespace.as_str() {
        "default" => format!("{}.yaml", plain(name)),
        namespace => format!("{}_{}.yaml", plain(namespace), plain(name)),
    }
}
