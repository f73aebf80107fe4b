//! The backups of an instance in one destination.

use futures::{StreamExt, TryStreamExt};
use mai_contract::job::BackupId;
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::store::{OpenStore, StoredObject};
use crate::summary::{FORMAT, MAX_TEXT, ObjectKind, Summary, Verification};

/// Longest summary or verification, in bytes.
const MAX_OBJECT_BYTES: usize = 64 << 10;
/// Most backups of a destination that are read. More are none of ours.
const MAX_BACKUPS: usize = 10_000;
/// Longest reference to an image in a summary, in characters: a name, a tag and a digest.
const MAX_IMAGE: usize = 512;
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
    let mut catalog = Catalog::default();
    if ids.len() > MAX_BACKUPS {
        let oldest = ids.len() - MAX_BACKUPS;
        catalog.problems.push(format!(
            "there are {} summaries, of which the newest {MAX_BACKUPS} are read; remove what is no backup",
            ids.len()
        ));
        ids.drain(..oldest);
    }
    let objects = &objects;
    let entries = ids.into_iter().map(|id| read_entry(store, objects, id));
    let found: Vec<_> = futures::stream::iter(entries).buffered(CONCURRENT_READS).try_collect().await?;
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
    let Some(summary) = read_summary(store, &id).await? else { return Ok(None) };
    let summary = match summary {
        Ok(summary) => summary,
        Err(problem) => return Ok(Some(Err(problem))),
    };
    if !is_there(&summary.archive.name) {
        let name = ObjectKind::Summary.name(&id);
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

/// Returns the summary of a backup, or its problem as a sentence; None where there is none.
pub(crate) async fn read_summary(
    store: &OpenStore,
    id: &BackupId,
) -> Result<Option<Result<Summary, String>>, StoreError> {
    let name = ObjectKind::Summary.name(id);
    let Some(summary) = read_object::<Summary>(store, &name).await? else { return Ok(None) };
    let checked = summary.and_then(|summary| check(summary, id));
    Ok(Some(checked.map_err(|problem| format!("{name} cannot be used: {problem}"))))
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
    check_texts(&summary)?;
    Ok(summary)
}

/// Fails if a text is longer than ours or could control a terminal. Whoever may write to a
/// destination may write a summary.
fn check_texts(summary: &Summary) -> Result<(), String> {
    let Summary { instance, archive, .. } = summary;
    let texts = [
        ("reason", &summary.reason),
        ("namespace", &instance.namespace),
        ("name", &instance.name),
        ("uid", &instance.uid),
        ("version of mai", &summary.mai_version),
        ("checksum", &archive.sha256),
        ("checksum of the manifest", &summary.manifest_sha256),
    ];
    let recipients = summary.recipients.iter().map(|recipient| ("recipient", recipient));
    let secrets = summary.missing_secrets.iter().map(|secret| ("name of a secret", secret));
    let texts = texts.into_iter().chain(recipients).chain(secrets).map(|(what, text)| (what, text, MAX_TEXT));
    let image = summary.image.iter().map(|image| ("image", image, MAX_IMAGE));
    for (what, text, longest) in texts.chain(image) {
        if text.contains(char::is_control) || text.chars().count() > longest {
            return Err(format!("its {what} has control characters or more than {longest} characters"));
        }
    }
    Ok(())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use mai_contract::job::{Destination, Store, Subject};

    use super::*;
    use crate::Places;
    use crate::summary::ArchiveInfo;

    fn summary() -> Summary {
        let id = BackupId::new(Timestamp::UNIX_EPOCH, 1);
        Summary {
            format: FORMAT,
            instance: Subject { namespace: "default".into(), name: "alpha".into(), uid: "uid-1".into() },
            taken_at: Timestamp::UNIX_EPOCH,
            reason: "a test".to_owned(),
            image: Some(format!("registry.example/mai@sha256:{}", "a".repeat(300))),
            mai_version: "0.1.0".to_owned(),
            archive: ArchiveInfo {
                name: ObjectKind::Archive { encrypted: false }.name(&id),
                bytes: 1,
                sha256: "0".repeat(64),
            },
            manifest_sha256: "0".repeat(64),
            data_bytes: 1,
            files: 1,
            databases: 0,
            recipients: Vec::new(),
            missing_secrets: Vec::new(),
            id,
        }
    }

    #[test]
    fn summary_with_a_hostile_text_cannot_be_used() {
        let id = summary().id;
        assert!(check(summary(), &id).is_ok());
        let changes: [fn(&mut Summary, String); 6] = [
            |summary, text| summary.reason = text,
            |summary, text| summary.instance.namespace = text,
            |summary, text| summary.instance.name = text,
            |summary, text| summary.image = Some(text),
            |summary, text| summary.mai_version = text,
            |summary, text| summary.missing_secrets.push(text),
        ];
        for change in changes {
            for text in ["\u{1b}[2J".to_owned(), "x".repeat(600)] {
                let mut hostile = summary();
                change(&mut hostile, text);
                let problem = check(hostile, &id).unwrap_err();
                assert!(problem.contains("control characters"), "{problem}");
            }
        }
        let mut hostile = summary();
        hostile.recipients.push("\u{7}".to_owned());
        hostile.archive.name = ObjectKind::Archive { encrypted: true }.name(&id);
        assert!(check(hostile, &id).unwrap_err().contains("its recipient has"));
    }

    #[tokio::test]
    async fn large_and_superfluous_summaries_are_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places {
            data: directory.path().join("data"),
            backups: directory.path().to_owned(),
            secrets: directory.path().join("secrets"),
            staging: directory.path().join("staging"),
        };
        let destination = Destination { name: "backups".into(), store: Store::Volume, retention: None };
        let store = OpenStore::open(&destination, &summary().instance, &places).await.unwrap();
        let name = ObjectKind::Summary.name(&summary().id);
        let text = serde_json::to_string(&summary()).unwrap() + &" ".repeat(70_000);
        std::fs::write(directory.path().join(name), text).unwrap();
        let problems = read(&store).await.unwrap().problems;
        assert!(problems[0].contains("more than 65536 bytes"), "{problems:?}");
        for number in 2..10_003 {
            let id = BackupId::new(Timestamp::UNIX_EPOCH, number);
            std::fs::write(directory.path().join(ObjectKind::Summary.name(&id)), "").unwrap();
        }
        let problems = read(&store).await.unwrap().problems;
        assert_eq!(problems.len(), 10_001);
        assert!(problems[0].contains("there are 10002 summaries"), "{}", problems[0]);
    }
}
