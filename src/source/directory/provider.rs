//! Refusals of documents of a directory by the provider's policy.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use super::parse::Key;
use super::secrets::Secrets;
use crate::api::{Finding, MaiInstanceSpec, PlatformKind};
use crate::source::policy::{Author, Claims, Policy, Refusal, Subject, collect_references, is_within, scope};
use crate::source::{Reader, SecretError};
use crate::state::KnownDocument;

/// The policy, and what it has to know of the directory.
pub(super) struct Provider<'a> {
    root: &'a Path,
    policy: &'a Policy,
    secrets: &'a Secrets,
    claims: Claims,
}

/// Returns the folder of a file below the directory; empty for the directory itself.
pub(super) fn folder(root: &Path, file: &Path) -> Option<String> {
    let below = file.strip_prefix(root).ok()?.parent().unwrap_or(Path::new(""));
    Some(below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"))
}

impl<'a> Provider<'a> {
    /// `known` are the instances that are known, also those whose documents are gone.
    pub(super) fn new<'k>(
        root: &'a Path,
        policy: &'a Policy,
        secrets: &'a Secrets,
        known: impl IntoIterator<Item = (&'k Key, &'k KnownDocument)>,
    ) -> Self {
        let mut provider = Self { root, policy, secrets, claims: Claims::default() };
        for (key, row) in known {
            let file = row.file.as_deref().map(Path::new);
            provider.claim(key, file, &row.document);
            if row.deleted_at.is_none() && row.released_at.is_none() {
                provider.expose(key, file, &row.document, row.created_at);
            }
        }
        provider
    }

    /// Notes where an instance is reached, by the document that is accepted.
    pub(super) fn expose(&mut self, key: &Key, file: Option<&Path>, document: &Value, created: Timestamp) {
        let folder = file.and_then(|file| folder(self.root, file));
        self.claims.expose(key, folder.as_deref(), document, created);
    }

    /// Notes the places of a document.
    pub(super) fn claim(&mut self, key: &Key, file: Option<&Path>, document: &Value) {
        let folder = file.and_then(|file| folder(self.root, file));
        self.claims.add(key, folder.as_deref(), document);
    }

    /// Returns what is refused of a document. `former` is the instance that has its name.
    pub(super) fn refusals(
        &self,
        key: &Key,
        file: &Path,
        full: &Value,
        former: Option<&KnownDocument>,
        platform: Option<PlatformKind>,
    ) -> Vec<Refusal> {
        // What cannot be read is refused elsewhere.
        let Ok(spec) = serde_json::from_value::<MaiInstanceSpec>(full["spec"].clone()) else { return Vec::new() };
        let folder = folder(self.root, file).unwrap_or_default();
        let namespace = key.0.as_str();
        let author = match platform {
            Some(PlatformKind::Kubernetes) => Author::Namespace(namespace),
            _ => Author::Folder(&folder),
        };
        let subject = Subject { author, key, spec: &spec, platform, claims: &self.claims };
        let mut refusals = self.policy.refusals(&subject);
        let mut refuse = |finding: Finding| refusals.push(Refusal { finding, is_ordinary: false });
        former.and_then(|former| self.name_refusal(author, key, former)).into_iter().for_each(&mut refuse);
        let mut references = Vec::new();
        collect_references(&full["spec"], "spec", &mut references);
        super::validation::add_pull_secrets(full, &mut references);
        let file = file.display().to_string();
        let reader = Reader { namespace, name: &key.1, file: Some(&file) };
        for (path, reference) in references.iter().filter(|(_, reference)| reference.variable().is_none()) {
            if let Err(error @ SecretError::NotForReader { .. }) = self.secrets.value(&reader, reference) {
                refuse(Finding { path: path.clone(), message: error.to_string() });
            }
        }
        refusals
    }

    /// A name belongs to the folder that declared it first, also after its document is gone: with it
    /// goes the data.
    fn name_refusal(&self, author: Author<'_>, key: &Key, former: &KnownDocument) -> Option<Finding> {
        let Author::Folder(now) = author else { return None };
        let before = scope(&folder(self.root, Path::new(former.file.as_deref()?))?);
        let now = scope(now);
        // Who may write a folder may write those below it.
        if is_within(&before, &now) || self.policy.gives_name(author, &key.1) {
            return None;
        }
        let place = if before.is_empty() { "the directory itself".to_owned() } else { format!("folder {before}") };
        let message = format!(
            "instance {}/{} and its data belong to {place}, where it was declared first; put the document there, choose another name, or {}",
            key.0,
            key.1,
            self.policy.name_remedy(author, &key.1)
        );
        Some(Finding { path: "metadata.name".to_owned(), message })
    }

    /// Returns the one of several documents of a name that may keep it: that of the folder which the
    /// instance belongs to. None where several are there.
    pub(super) fn owner_among<T>(
        &self,
        former: Option<&KnownDocument>,
        documents: &'_ [T],
        file: impl Fn(&T) -> &Path,
    ) -> Option<usize> {
        let before = scope(&folder(self.root, Path::new(former?.file.as_deref()?))?);
        let scopes = documents.iter().map(|document| folder(self.root, file(document)).map(|folder| scope(&folder)));
        let mut by_scope: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
        scopes.enumerate().for_each(|(index, scope)| by_scope.entry(scope).or_default().push(index));
        match by_scope.get(&Some(before))?.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
    }
}
