//! The secrets of the tree: what each reference stands for now. Values stay in `SecretString`, and
//! out of every sentence.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::watch;

use super::parse::{Content, Document, Key};
use super::scan::{File, Tree};
use super::secret_document::{SecretDocument, Values, same};
use crate::api::{Finding, SecretRef};
use crate::source::SecretError;
use crate::state::Problem;

/// One Secret: where it stands, and its values or why they cannot be used.
#[derive(Clone, Debug)]
struct Entry {
    file: PathBuf,
    values: Result<Arc<Values>, String>,
}

/// The secrets of the tree. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    entries: Arc<RwLock<BTreeMap<Key, Entry>>>,
    /// Files that are encrypted as a whole, so that nobody knows what is in them.
    encrypted: Arc<RwLock<Vec<PathBuf>>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Secrets {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { entries: Arc::default(), encrypted: Arc::default(), changes: Arc::new(watch::channel(0).0) }
    }

    /// Counts the changes of any secret.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Replaces the secrets by those of a scan and returns their problems. Those of an unreadable
    /// file keep their values.
    pub(crate) fn update(&self, tree: &Tree) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut next: BTreeMap<Key, Entry> = BTreeMap::new();
        for (path, file, document, secret) in by_precedence(tree) {
            let key = (secret.namespace.clone(), secret.name.clone());
            let twin = next.get(&key).map(|entry| entry.file.clone());
            if secret.encrypted && twin.is_some() {
                continue;
            }
            let values = usable(path, file, secret, twin.as_deref());
            if let Err((field, message)) = &values {
                let finding = Finding { path: field.clone(), message: message.clone() };
                problems.push(document.problem(&path.display().to_string(), &finding));
            }
            if !secret.name.is_empty() {
                let values =
                    values.map(Arc::new).map_err(|(field, message)| format!("{field} {message}").trim().to_owned());
                next.insert(key, Entry { file: path.clone(), values });
            }
        }
        *self.encrypted.write() = encrypted_files(tree);

        let mut entries = self.entries.write();
        for (key, entry) in entries.iter().filter(|(_, entry)| is_in_doubt(tree, &entry.file)) {
            next.entry(key.clone()).or_insert_with(|| entry.clone());
        }
        let changed = entries.len() != next.len()
            || entries.iter().zip(&next).any(|((key, entry), (next_key, next))| {
                key != next_key
                    || match (&entry.values, &next.values) {
                        (Ok(values), Ok(next)) => !same(values, next),
                        (Err(problem), Err(next)) => problem != next,
                        _ => true,
                    }
            });
        *entries = next;
        drop(entries);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
        problems
    }

    /// The value that a reference points to.
    pub(crate) fn value(&self, namespace: &str, reference: &SecretRef) -> Result<SecretString, SecretError> {
        if let Some(variable) = reference.variable() {
            return std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())
                .map(SecretString::from)
                .ok_or_else(|| SecretError::NoVariable { variable: variable.to_owned() });
        }
        let name = reference.name.clone();
        let entries = self.entries.read();
        let Some(entry) = entries.get(&(namespace.to_owned(), name.clone())) else {
            let encrypted = self.encrypted.read();
            return Err(match encrypted.first() {
                None => SecretError::Missing { name },
                Some(file) => SecretError::Encrypted { name, file: file.display().to_string() },
            });
        };
        let values = entry.values.as_ref().map_err(|problem| SecretError::Unusable {
            name: name.clone(),
            file: entry.file.display().to_string(),
            problem: problem.clone(),
        })?;
        let key = reference.key.clone().unwrap_or_default();
        values.get(&key).cloned().ok_or_else(|| SecretError::NoKey {
            name,
            key,
            known: values.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }
}

/// The Secrets of a tree with their files. Those that are still encrypted come last, since beside the
/// decrypted document of the same name they mean nothing.
pub(super) fn by_precedence(tree: &Tree) -> Vec<(&PathBuf, &File, &Document, &SecretDocument)> {
    let mut secrets = Vec::new();
    for (path, file) in &tree.files {
        for document in file.content.iter().flat_map(|parsed| &parsed.documents) {
            if let Content::Secret(secret) = &document.content {
                secrets.push((path, file, document, secret));
            }
        }
    }
    secrets.sort_by_key(|(_, _, _, secret)| secret.encrypted);
    secrets
}

fn encrypted_files(tree: &Tree) -> Vec<PathBuf> {
    let is_encrypted = |document: &Document| matches!(document.content, Content::Broken { encrypted: true, .. });
    let files = tree
        .files
        .iter()
        .filter(|(_, file)| file.content.as_ref().is_ok_and(|parsed| parsed.documents.iter().any(is_encrypted)));
    files.map(|(path, _)| path.clone()).collect()
}

/// The values of a Secret if its file keeps them to itself and no other file claims its name.
fn usable(path: &Path, file: &File, secret: &SecretDocument, twin: Option<&Path>) -> Result<Values, (String, String)> {
    // What is encrypted may be read by anybody.
    if let Some(message) = open_to_others(path, file).filter(|_| !secret.encrypted) {
        return Err((String::new(), message));
    }
    if let Some(twin) = twin {
        let message = format!("is also in {}, so neither is used; keep one of them", twin.display());
        return Err(("metadata.name".to_owned(), message));
    }
    secret.values.clone()
}

/// Returns the problem with the permissions of a file with a Secret.
pub(super) fn open_to_others(path: &Path, file: &File) -> Option<String> {
    (file.mode & 0o077 != 0).then(|| {
        format!(
            "can be read by others on this machine (mode {:04o}), so it is not used; run: chmod 600 {}",
            file.mode,
            path.display()
        )
    })
}

/// Returns whether the content of `file` may still exist although it was not seen.
fn is_in_doubt(tree: &Tree, file: &Path) -> bool {
    if tree.removes_nothing().is_some() || file.ancestors().any(|path| tree.unreadable.contains_key(path)) {
        return true;
    }
    tree.files.get(file).is_some_and(|file| match &file.content {
        Err(_) => true,
        Ok(parsed) => {
            let is_doubtful =
                |content: &Content| matches!(content, Content::Broken { .. } | Content::Unrecognised { .. });
            parsed.blank || parsed.documents.iter().any(|document| is_doubtful(&document.content))
        }
    })
}
