//! A directory as it would be accepted now. Writes nothing.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use secrecy::SecretString;

use super::object::object;
use super::parse::Key;
use super::provider::Provider;
use super::scan::{Root, Tree, scan};
use super::scan_plan::{BELIEF, Kept, Plan, plan};
use super::secrets::Secrets;
use crate::api::{MaiInstance, PlatformKind, SecretRef};
use crate::source::policy::PolicyFile;
use crate::source::{Reader, Rotated, SecretError, Source, SourceError};
use crate::state::{KnownDocument, Problem};

/// One instance as it would be accepted.
#[derive(Clone, Debug)]
pub struct Previewed {
    /// Its accepted document; None when it is new.
    pub before: Option<KnownDocument>,
    /// The document that would be accepted.
    pub after: KnownDocument,
    /// The object that the loop would be shown.
    pub instance: MaiInstance,
}

/// A directory as it would be accepted now.
#[derive(Debug)]
pub struct Preview {
    /// Every instance that would be worked on.
    pub instances: Vec<Previewed>,
    /// Problems of the directory.
    pub problems: Vec<Problem>,
    secrets: Secrets,
}

impl Preview {
    /// Looks at the directory as [`super::Directory::open`] would; `known` are the documents that
    /// stand. Takes most of a second when a document seems to be gone, since that is checked twice.
    pub async fn read(
        path: &Path,
        known: Vec<KnownDocument>,
        platform: PlatformKind,
        policy: &PolicyFile,
    ) -> Result<Self, SourceError> {
        let not_a_directory = || SourceError::NotADirectory(path.display().to_string());
        let root = std::path::absolute(path).map_err(|_| not_a_directory())?;
        policy.require_outside(&root)?;
        let policy = Arc::new(policy.read()?);
        let known: BTreeMap<Key, KnownDocument> =
            known.into_iter().map(|row| ((row.namespace.clone(), row.name.clone()), row)).collect();
        let mut tree = scan(&root, &Tree::none());
        match tree.root {
            Root::NotADirectory => return Err(not_a_directory()),
            Root::Missing if known.values().all(|row| row.released_at.is_some()) => return Err(not_a_directory()),
            _ => {}
        }
        let secrets = Secrets::new(&root, Arc::clone(&policy));
        let mut problems = secrets.update(&tree);
        let provider = || Provider::new(&root, &policy, &secrets, &known);
        let mut planned = plan(provider(), &root, &known, &tree, &BTreeMap::new(), platform, Instant::now());
        if !planned.missing.is_empty() {
            tokio::time::sleep(BELIEF).await;
            tree = scan(&root, &tree);
            problems = secrets.update(&tree);
            planned = plan(provider(), &root, &known, &tree, &planned.missing, platform, Instant::now());
        }
        let Plan { accept, keep, delete, problems: found, .. } = planned;
        problems.extend(found);
        problems.sort_by(|a, b| (&a.file, a.line, a.column, &a.field).cmp(&(&b.file, b.line, b.column, &b.field)));

        let mut after = known.clone();
        for (key, document, file) in accept {
            let standing = after.remove(&key);
            let row = KnownDocument::accepted(standing, &key.0, &key.1, &document, Some(&file));
            after.insert(key, row);
        }
        for (key, Kept { problem, refused }) in keep {
            if let Some(row) = after.remove(&key) {
                after.insert(key, row.with_problem(&problem, refused));
            }
        }
        for key in delete {
            if let Some(row) = after.remove(&key) {
                after.insert(key, row.into_deleted());
            }
        }
        let instances = after
            .into_iter()
            .filter(|(_, row)| row.released_at.is_none())
            // What this version cannot read is not worked on either; the loop says so.
            .filter_map(|(key, after)| {
                let instance = object(&after).ok()?;
                let before = known.get(&key).filter(|row| row.released_at.is_none()).cloned();
                Some(Previewed { before, after, instance })
            })
            .collect();
        Ok(Self { instances, problems, secrets })
    }
}

impl Source for Preview {
    async fn secret(&self, reader: &Reader<'_>, reference: &SecretRef) -> Result<SecretString, SecretError> {
        self.secrets.value(reader, reference)
    }

    /// Never emits: a preview does not change.
    fn secret_changes(&self) -> BoxStream<'static, Rotated> {
        stream::pending().boxed()
    }

    /// It follows nothing that could be let go.
    async fn remove_finalizer(&self, _namespace: &str, _name: &str) -> Result<(), SourceError> {
        Err(SourceError::Ended)
    }
}
