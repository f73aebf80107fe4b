//! The secrets of the tree: what each reference stands for now. Values stay in `SecretString`, and
//! out of every sentence.

use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use tokio::sync::watch;

use super::parse::{Content, Document, Key};
use super::provider::folder;
use super::scan::{File, Tree};
use super::secret_document::{SecretDocument, Values, same};
use crate::api::{Finding, SecretRef};
use crate::source::policy::{Author, Policy, Readable, SecretPlace, scope};
use crate::source::{Reader, SecretError};
use crate::state::Problem;

/// One Secret: where it stands, and its values or why they cannot be used.
#[derive(Clone, Debug)]
struct Entry {
    file: PathBuf,
    place: SecretPlace,
    values: Result<Arc<Values>, String>,
}

/// The secrets of the tree. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Secrets {
    root: Arc<Path>,
    /// Those of one name stand in different folders.
    entries: Arc<RwLock<BTreeMap<Key, Vec<Entry>>>>,
    /// Files that are encrypted as a whole, so that nobody knows what is in them.
    encrypted: Arc<RwLock<Vec<PathBuf>>>,
    policy: Arc<RwLock<Arc<Policy>>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Secrets {
    /// None yet.
    pub(crate) fn new(root: &Path, policy: Arc<Policy>) -> Self {
        Self {
            root: Arc::from(root),
            entries: Arc::default(),
            encrypted: Arc::default(),
            policy: Arc::new(RwLock::new(policy)),
            changes: Arc::new(watch::channel(0).0),
        }
    }

    /// Replaces the policy that says who may read which.
    pub(super) fn set_policy(&self, policy: Arc<Policy>) {
        *self.policy.write() = policy;
        self.changes.send_modify(|count| *count += 1);
    }

    /// Counts the changes of any secret.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Replaces the secrets by those of a scan and returns their problems. Those of an unreadable
    /// file keep their values.
    pub(crate) fn update(&self, tree: &Tree) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut next: BTreeMap<Key, Vec<Entry>> = BTreeMap::new();
        for (path, file, document, secret) in by_precedence(tree) {
            let place = place(&self.root, path, file, secret);
            let known = next.entry((secret.namespace.clone(), secret.name.clone())).or_default();
            // Others may not make a Secret of this folder useless by its name.
            let twin = known.iter().position(|entry| entry.place.scope == place.scope);
            if secret.encrypted && twin.is_some() {
                continue;
            }
            let values = usable(path, file, secret, twin.map(|twin| known[twin].file.as_path()));
            if let Err((field, message)) = &values {
                let finding = Finding { path: field.clone(), message: message.clone() };
                problems.push(document.problem(&path.display().to_string(), &finding));
            }
            let values =
                values.map(Arc::new).map_err(|(field, message)| format!("{field} {message}").trim().to_owned());
            twin.map(|twin| known.remove(twin));
            known.push(Entry { file: path.clone(), place, values });
        }
        next.retain(|(_, name), _| !name.is_empty());
        *self.encrypted.write() = encrypted_files(tree);

        let mut entries = self.entries.write();
        for (key, known) in entries.iter() {
            for entry in known.iter().filter(|entry| is_in_doubt(tree, &entry.file)) {
                let next = next.entry(key.clone()).or_default();
                if next.iter().all(|other| other.place.scope != entry.place.scope) {
                    next.push(entry.clone());
                }
            }
        }
        next.retain(|_, known| !known.is_empty());
        let changed = entries.len() != next.len()
            || entries.iter().zip(&next).any(|((key, known), (next_key, next))| {
                key != next_key
                    || known.len() != next.len()
                    || known.iter().zip(next).any(|(entry, next)| !is_same(entry, next))
            });
        *entries = next;
        drop(entries);
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
        problems
    }

    /// The value that a reference points to, if the instance may read it.
    pub(crate) fn value(&self, reader: &Reader<'_>, reference: &SecretRef) -> Result<SecretString, SecretError> {
        let folder = reader.file.and_then(|file| folder(&self.root, Path::new(file))).unwrap_or_default();
        let (author, policy) = (Author::Folder(&folder), Arc::clone(&self.policy.read()));
        if let Some(variable) = reference.variable() {
            if let Some(refusal) = policy.refuses_variable(author, variable) {
                return Err(SecretError::VariableRefused(refusal));
            }
            return std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())
                .map(SecretString::from)
                .ok_or_else(|| SecretError::NoVariable { variable: variable.to_owned() });
        }
        let name = reference.name.clone();
        let entries = self.entries.read();
        let Some(known) = entries.get(&(reader.namespace.to_owned(), name.clone())) else {
            let encrypted = self.encrypted.read();
            return Err(match encrypted.first() {
                None => SecretError::Missing { name },
                Some(file) => SecretError::Encrypted { name, file: file.display().to_string() },
            });
        };
        let entry = readable(&policy, author, reader, &name, known)?;
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

/// Returns the Secret of a name that an instance may read: the nearest one.
fn readable<'e>(
    policy: &Policy,
    author: Author<'_>,
    reader: &Reader<'_>,
    name: &str,
    known: &'e [Entry],
) -> Result<&'e Entry, SecretError> {
    let identity = (reader.namespace, reader.name);
    let ranked = known.iter().filter_map(|entry| Some((policy.reads(author, identity, name, &entry.place)?, entry)));
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    match ranked.as_slice() {
        [(first, _), (second, _), ..] if first == second && *first != Readable::Own => {
            let files = ranked.iter().filter(|(rank, _)| rank == first).map(|(_, entry)| entry.file.display());
            let files: Vec<String> = files.map(|file| file.to_string()).collect();
            Err(SecretError::Ambiguous { name: name.to_owned(), files: files.join(" and ") })
        }
        [(_, entry), ..] => Ok(entry),
        [] => match known.first() {
            Some(entry) => Err(SecretError::NotForReader {
                name: name.to_owned(),
                file: entry.file.display().to_string(),
                remedy: policy.reader_remedy(author, reader.name, name, &entry.place),
            }),
            None => Err(SecretError::Missing { name: name.to_owned() }),
        },
    }
}

/// Returns where a Secret stands.
pub(super) fn place(root: &Path, path: &Path, file: &File, secret: &SecretDocument) -> SecretPlace {
    let scope = scope(&folder(root, path).unwrap_or_default());
    SecretPlace { scope, is_outside: file.is_outside, readers: secret.readers.clone() }
}

fn is_same(entry: &Entry, other: &Entry) -> bool {
    entry.place == other.place
        && match (&entry.values, &other.values) {
            (Ok(values), Ok(other)) => same(values, other),
            (Err(problem), Err(other)) => problem == other,
            _ => false,
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
