//! The backups of an instance in one destination.

use futures::{StreamExt, TryStreamExt};
use mai_contract::job::BackupId;
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::store::{OpenStore, StoredObject};
use crate::summary::{FORMAT, ObjectKind, Summary, Verification};

/// Longest summary or verification, in bytes.
const MAX_OBJECT_BYTES: usize = 1 << 20;
/// Number of objects that are read at once.
const CONCURRENT_READS: usize = 8;

/// Backups of a destination.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    /// The backups, oldest first.
    pub entries: Vec<CatalogEntry>,
    /// Objects that look like a part of a backup and cannot be used, as sentences.
    pub problems: Vec<String>,
}

/// A backup that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogEntry {
    /// Its summary.
    pub summary: Summary,
    /// Its verification in this destination.
    pub verification: Option<Verification>,
}

/// Returns the backups of a destination, oldest first. What cannot be used is left out.
pub async fn list(store: &OpenStore) -> Result<Vec<CatalogEntry>, StoreError> {
    Ok(read(store).await?.entries)
}

/// Reads the catalog of a destination.
pub async fn read(store: &OpenStore) -> Result<Catalog, StoreError> {
    let objects = store.list().await?;
    let mut ids: Vec<BackupId> = objects
        .iter()
        .filter_map(|object| ObjectKind::parse(&object.name))
        .filter(|(_, kind)| *kind == ObjectKind::Summary)
        .map(|(id, _)| id)
        .collect();
    ids.sort();
    let objects = &objects;
    let entries = ids.into_iter().map(|id| read_entry(store, objects, id));
    let found: Vec<_> = futures::stream::iter(entries).buffered(CONCURRENT_READS).try_collect().await?;
    let mut catalog = Catalog::default();
    for entry in found.into_iter().flatten() {
        match entry {
            Ok(entry) => catalog.entries.push(entry),
            Err(problem) => catalog.problems.push(problem),
        }
    }
    Ok(catalog)
}

/// Returns one backup, or its problem as a sentence; None if it was removed meanwhile.
async fn read_entry(
    store: &OpenStore,
    objects: &[StoredObject],
    id: BackupId,
) -> Result<Option<Result<CatalogEntry, String>>, StoreError> {
    let is_there = |name: &str| objects.iter().any(|object| object.name == name);
    let name = ObjectKind::Summary.name(&id);
    let Some(summary) = read_object::<Summary>(store, &name).await? else { return Ok(None) };
    let summary = match summary.and_then(|summary| check(summary, &id)) {
        Ok(summary) => summary,
        Err(problem) => return Ok(Some(Err(format!("{name} cannot be used: {problem}")))),
    };
    if !is_there(&summary.archive.name) {
        return Ok(Some(Err(format!("{name} is there, and its archive {} is not", summary.archive.name))));
    }
    let name = ObjectKind::Verification.name(&id);
    let verification = match is_there(&name) {
        true => read_object::<Verification>(store, &name).await?,
        false => None,
    };
    // One that cannot be read counts as none: the backup is to be verified again.
    let verification = verification.and_then(Result::ok).filter(|verification| verification.id == id);
    Ok(Some(Ok(CatalogEntry { summary, verification })))
}

fn check(summary: Summary, id: &BackupId) -> Result<Summary, String> {
    if summary.format != FORMAT {
        return Err(format!("it is of format {}, and this version of mai reads format {FORMAT}", summary.format));
    }
    if summary.id != *id {
        return Err(format!("it is the summary of {}", summary.id));
    }
    let archive = ObjectKind::Archive { encrypted: summary.is_encrypted() }.name(id);
    if summary.archive.name != archive {
        return Err(format!("it names {:?} as its archive, not {archive}", summary.archive.name));
    }
    Ok(summary)
}

/// Reads an object of JSON; None where it does not exist.
async fn read_object<T: DeserializeOwned>(
    store: &OpenStore,
    name: &str,
) -> Result<Option<Result<T, String>>, StoreError> {
    let read = async {
        let mut stream = store.read(name).await?;
        let mut text = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_OBJECT_BYTES {
                return Ok(Err(format!("it has more than {MAX_OBJECT_BYTES} bytes")));
            }
        }
        Ok(serde_json::from_slice(&text).map_err(|error| error.to_string()))
    };
    match read.await {
        Ok(object) => Ok(Some(object)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
