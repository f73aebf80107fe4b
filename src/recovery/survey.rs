//! Backups that are in a destination: of servers, and of instances.

use std::collections::BTreeMap;

use futures::StreamExt;
use jiff::Timestamp;
use mai_backup::OpenStore;
use mai_backup::catalog::{self, CatalogEntry};
use mai_backup::encryption::Identity;
use mai_contract::job::Subject;

use super::RecoveryError;
use super::location::Location;
use super::server_identity::SERVERS;

/// Number of folders that are read at once.
const CONCURRENT_READS: usize = 8;

/// Namespace and name.
pub(super) type Key = (String, String);

/// Backups in a destination.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Servers by name.
    pub(super) servers: BTreeMap<String, StoredBackups>,
    /// Instances.
    pub(super) instances: BTreeMap<Key, StoredBackups>,
    /// Folders and objects that could not be read, as sentences.
    pub(super) problems: Vec<String>,
}

/// Backups of one subject.
#[derive(Clone, Debug)]
pub(super) struct StoredBackups {
    pub(super) store: OpenStore,
    /// In the order in which they are tried: the verified ones before others, each the newest first.
    pub(super) entries: Vec<CatalogEntry>,
}

impl Survey {
    /// Reads the summaries of all backups below a destination.
    pub(super) async fn read(location: &Location) -> Result<Self, RecoveryError> {
        let subjects = location.subjects().await?;
        let reads = subjects.into_iter().map(|key| async move {
            let found = StoredBackups::read(location, &key).await;
            (key, found)
        });
        let found: Vec<_> = futures::stream::iter(reads).buffered(CONCURRENT_READS).collect().await;
        let mut survey = Self::default();
        for ((namespace, name), found) in found {
            match found {
                Ok((backups, problems)) => {
                    survey.problems.extend(problems.into_iter().map(|one| format!("{namespace}/{name}: {one}")));
                    if backups.entries.is_empty() {
                        continue;
                    }
                    if namespace == SERVERS {
                        survey.servers.insert(name, backups);
                    } else {
                        survey.instances.insert((namespace, name), backups);
                    }
                }
                Err(error) => survey.problems.push(format!("{namespace}/{name}: {error}")),
            }
        }
        Ok(survey)
    }
}

impl StoredBackups {
    async fn read(location: &Location, (namespace, name): &Key) -> Result<(Self, Vec<String>), RecoveryError> {
        let subject = Subject { namespace: namespace.clone(), name: name.clone(), uid: String::new() };
        let store = location.open(&subject).await?;
        let mut catalog = catalog::read(&store).await?;
        let before = catalog.entries.len();
        catalog.entries.retain(|entry| {
            let of = &entry.summary.instance;
            (&of.namespace, &of.name) == (namespace, name)
        });
        if before > catalog.entries.len() {
            let count = before - catalog.entries.len();
            catalog.problems.push(format!("{count} backups there are of others, and are left out"));
        }
        let entries = in_order(catalog.entries);
        Ok((Self { store, entries }, catalog.problems))
    }

    /// Keeps the backups of one uid: `uid` if there are any, else the uid of the first. A folder has
    /// those of two where two servers, or two states of one, had an instance of one name.
    pub(super) fn retain_uid(&mut self, uid: Option<&str>) {
        let is_there = |uid: &str| self.entries.iter().any(|entry| entry.summary.instance.uid == uid);
        let first = self.entries.first().map(|entry| entry.summary.instance.uid.clone());
        if let Some(uid) = uid.filter(|uid| is_there(uid)).map(str::to_owned).or(first) {
            self.entries.retain(|entry| entry.summary.instance.uid == uid);
        }
    }
}

/// Returns a moment for people.
pub(super) fn shown(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d %H:%M:%S UTC")
}

/// Returns entries in the order in which they are tried.
fn in_order(mut entries: Vec<CatalogEntry>) -> Vec<CatalogEntry> {
    let key = |entry: &CatalogEntry| (entry.verification.is_some(), entry.summary.taken_at, entry.summary.id.clone());
    entries.sort_by_key(|entry| std::cmp::Reverse(key(entry)));
    entries
}

/// Returns whether a backup can be opened with what was given.
pub(super) fn is_openable(entry: &CatalogEntry, identity: Option<&Identity>) -> bool {
    let recipients = &entry.summary.recipients;
    recipients.is_empty() || identity.is_some_and(|identity| identity.opens(recipients))
}
