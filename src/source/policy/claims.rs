//! Places that instances use or have used, and where they are reached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;

use super::exposure::Exposure;
use super::paths::{overlap, resolve};
use super::readers::scope;

/// Namespace and name.
type Key = (String, String);

/// Directories that instances declare, also those whose documents are gone: their data is kept.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    places: Vec<Claim>,
    /// Folders of all instances, where they are known.
    scopes: BTreeMap<Key, String>,
    /// Where instances are reached as their accepted documents say.
    exposures: BTreeMap<Key, Exposure>,
}

#[derive(Debug)]
struct Claim {
    key: Key,
    /// Folder whose authors declared it, where that is known.
    scope: Option<String>,
    /// Without links.
    path: PathBuf,
}

impl Claims {
    /// Adds the directories of a document.
    pub(crate) fn add(&mut self, key: &Key, folder: Option<&str>, document: &Value) {
        if let Some(folder) = folder {
            self.scopes.entry(key.clone()).or_insert_with(|| scope(folder));
        }
        for pointer in ["/spec/storage/data/hostPath", "/spec/storage/backups/hostPath"] {
            let path = document.pointer(pointer).and_then(Value::as_str).and_then(|path| resolve(Path::new(path)));
            if let Some(path) = path {
                self.places.push(Claim { key: key.clone(), scope: folder.map(scope), path });
            }
        }
    }

    /// Sets where an instance is reached, by the document that is accepted. `created` is when it was
    /// accepted first.
    pub(crate) fn expose(&mut self, key: &Key, folder: Option<&str>, document: &Value, created: Timestamp) {
        let exposure = Exposure::new(folder.map(scope), document, created);
        self.exposures.insert(key.clone(), exposure);
    }

    /// Returns where instances of other folders are reached.
    pub(super) fn foreign_exposures(&self, folder: &str) -> impl Iterator<Item = (&Key, &Exposure)> {
        let own = scope(folder);
        self.exposures.iter().filter(move |(_, exposure)| exposure.scope.as_deref() != Some(own.as_str()))
    }

    /// Returns where an instance is reached by its accepted document.
    pub(super) fn exposure(&self, key: &Key) -> Option<&Exposure> {
        self.exposures.get(key)
    }

    /// Returns whether an instance is one of a folder.
    pub(super) fn is_of(&self, key: &Key, folder: &str) -> bool {
        self.scopes.get(key).is_some_and(|known| *known == scope(folder))
    }

    /// Returns what speaks against a directory for an instance of a folder, as a sentence.
    pub(super) fn problem(&self, key: &Key, folder: &str, path: &Path) -> Option<String> {
        let own = scope(folder);
        self.places.iter().find_map(|claim| {
            let shown = claim.path.display();
            let (namespace, name) = &claim.key;
            if claim.key == *key {
                // Its server can make any directory below a link to another place.
                let is_new = !self.places.iter().any(|known| known.key == *key && known.path == path);
                let is_below = path != claim.path && path.starts_with(&claim.path);
                return (is_new && is_below)
                    .then(|| format!("it lies in {shown}, where the server of the instance itself writes"));
            }
            let is_foreign = claim.scope.as_deref() != Some(own.as_str());
            if is_foreign && overlap(path, &claim.path) {
                return Some(format!("{shown} is a place of instance {namespace}/{name}"));
            }
            let is_below = path != claim.path && path.starts_with(&claim.path);
            is_below.then(|| format!("it lies in {shown}, where the server of instance {namespace}/{name} writes"))
        })
    }
}
