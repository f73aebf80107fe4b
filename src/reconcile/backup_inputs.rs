//! Destinations and secrets that the last backup of a deleted instance was tried with, so that it is
//! tried again soon after somebody corrected them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};

use super::job;
use crate::api::MaiInstance;
use crate::core::JobWork;
use crate::source::{Reader, SecretError, Source};

/// Hashes of declared backups and their secrets, by uid of the instance. They are kept in memory
/// alone, with a key of this run.
#[derive(Default)]
pub(super) struct BackupInputs {
    tried: Mutex<HashMap<String, u64>>,
    key: RandomState,
}

impl BackupInputs {
    /// Notes what a backup is tried with now.
    pub(super) async fn record<S: Source>(&self, source: &S, instance: &MaiInstance, uid: &str) {
        let now = self.hash(source, instance).await;
        self.tried.lock().insert(uid.to_owned(), now);
    }

    /// Returns whether it would be tried with something else than before. What it was tried with
    /// before this run is not known, and counts as what is there now.
    pub(super) async fn differ<S: Source>(&self, source: &S, instance: &MaiInstance, uid: &str) -> bool {
        let now = self.hash(source, instance).await;
        *self.tried.lock().entry(uid.to_owned()).or_insert(now) != now
    }

    /// Forgets an instance that is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.tried.lock().remove(uid);
    }

    async fn hash<S: Source>(&self, source: &S, instance: &MaiInstance) -> u64 {
        let mut values = Vec::new();
        for file in job::secret_files(instance, &JobWork::Backup).map(|files| files.required).unwrap_or_default() {
            let value = source.secret(&Reader::from(instance), &file.reference).await;
            values.push(value.map_err(|error: SecretError| error.to_string()));
        }
        let declared = serde_json::json!(instance.spec.backup).to_string();
        let values: Vec<Result<&str, &str>> = values
            .iter()
            .map(|value: &Result<SecretString, String>| {
                value.as_ref().map(|value| value.expose_secret()).map_err(String::as_str)
            })
            .collect();
        self.key.hash_one((declared, values))
    }
}
