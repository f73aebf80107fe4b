//! `MaiInstance` objects of a cluster as documents, and its Secrets.
//!
//! One watch for each namespace, or one for all, merged into one stream (`merged_watch`). An object
//! that breaks the schema, as one from before a rule may, affects no other: it is reported
//! (`validation`), and the last valid version stays.

mod merged_watch;
mod preview;
mod secrets;
mod validation;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use kube::api::{Api, Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watcher;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::policy::Policy;
use super::{Documents, Reader, Rotated, SecretError, Source, SourceError};
use crate::api::{self, FINALIZER, MaiInstance, RestoreSource, SecretRef};
use crate::cluster::{ApiFailure, classify, error_message, watch_config};
use merged_watch::MergedWatch;
pub use preview::Preview;
use secrets::{SecretsCache, may_watch_secrets, watch_secrets};
pub use validation::Invalid;
pub(crate) use validation::problem_of;

/// Field manager of the finalizer: another one than that of the status, so that neither removes the
/// other's fields.
const FINALIZER_MANAGER: &str = "mai-operator-teardown";
/// Attempts to remove the finalizer while somebody else changes the document.
const REMOVAL_ATTEMPTS: u8 = 5;

/// Options of the source.
pub struct ClusterOptions {
    /// Namespaces that are reconciled; all when empty.
    pub namespaces: BTreeSet<String>,
    /// Time for which a Secret that was read is cached where it cannot be watched.
    pub secrets_ttl: Duration,
    /// The provider's policy.
    pub policy: Arc<Policy>,
    /// Receives objects that break the schema.
    pub invalid: mpsc::UnboundedSender<Invalid>,
    /// Called for each failure of a watch, with whether the cluster does not serve the kind.
    pub on_watch_error: Arc<dyn Fn(bool) + Send + Sync>,
}

/// The `MaiInstance` objects of a cluster.
pub struct ClusterSource {
    client: Client,
    secrets: Arc<SecretsCache>,
    policy: Arc<Policy>,
    rotated: Mutex<Option<mpsc::UnboundedReceiver<Rotated>>>,
}

impl ClusterSource {
    /// Opens the source and starts its watches.
    pub async fn open(client: Client, options: ClusterOptions) -> (Self, Documents) {
        let ClusterOptions { namespaces, secrets_ttl, policy, invalid, on_watch_error } = options;
        let scopes: Vec<Option<String>> =
            if namespaces.is_empty() { vec![None] } else { namespaces.into_iter().map(Some).collect() };
        let secrets = Arc::new(SecretsCache::new(secrets_ttl));
        let (sender, rotated) = mpsc::unbounded_channel();
        for scope in &scopes {
            if may_watch_secrets(&client, scope.as_deref()).await {
                tokio::spawn(watch_secrets(client.clone(), scope.clone(), Arc::clone(&secrets), sender.clone()));
            }
        }
        let config = watch_config(&client).await;
        let watches = scopes.iter().cloned().enumerate().map(|(index, scope)| {
            let api: Api<DeserializeGuard<MaiInstance>> = match &scope {
                None => Api::all(client.clone()),
                Some(namespace) => Api::namespaced(client.clone(), namespace),
            };
            let events =
                watcher(api, config.clone()).modify(|instance| instance.managed_fields_mut().clear()).default_backoff();
            events.map(move |event| (index, event)).boxed()
        });
        let merged = MergedWatch::new(scopes.len(), Arc::clone(&secrets), Arc::clone(&policy), invalid, on_watch_error);
        let documents = stream::select_all(watches)
            .scan(merged, |merged, (index, event)| std::future::ready(Some(stream::iter(merged.handle(index, event)))))
            .flatten()
            .map(Ok)
            .boxed();
        (Self { client, secrets, policy, rotated: Mutex::new(Some(rotated)) }, documents)
    }
}

impl Source for ClusterSource {
    async fn secret(&self, reader: &Reader<'_>, reference: &SecretRef) -> Result<SecretString, SecretError> {
        self.secrets.value(&self.client, &self.policy, reader, reference).await
    }

    fn restore_refusal(&self, reader: &Reader<'_>, from: &RestoreSource) -> Option<String> {
        self.policy.refuses_restore(reader.namespace, from)
    }

    fn secret_changes(&self) -> BoxStream<'static, Rotated> {
        match self.rotated.lock().take() {
            // Without a watch the stream must not end, which would end the stream of requests.
            Some(rotated) => UnboundedReceiverStream::new(rotated).chain(stream::pending()).boxed(),
            None => stream::pending().boxed(),
        }
    }

    async fn add_finalizer(&self, namespace: &str, name: &str, uid: &str) -> Result<(), SourceError> {
        let api: Api<MaiInstance> = Api::namespaced(self.client.clone(), namespace);
        let patch = json!({
            "apiVersion": api::API_VERSION,
            "kind": "MaiInstance",
            // With the uid, an object that is gone is not created again by this.
            "metadata": {"name": name, "uid": uid, "finalizers": [FINALIZER]},
        });
        let params = PatchParams::apply(FINALIZER_MANAGER).force();
        let applied = api.patch_metadata(name, &params, &Patch::Apply(patch)).await;
        applied.map(drop).map_err(|error| failed("addition of the finalizer", name, error))
    }

    async fn remove_finalizer(&self, namespace: &str, name: &str) -> Result<(), SourceError> {
        const ACTION: &str = "removal of the finalizer";
        let api: Api<MaiInstance> = Api::namespaced(self.client.clone(), namespace);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let found = api.get_metadata_opt(name).await.map_err(|error| failed(ACTION, name, error))?;
            let Some(found) = found else { return Ok(()) };
            let others: Vec<&String> = found.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
            if others.len() == found.finalizers().len() {
                return Ok(());
            }
            let patch = json!({"metadata": {"resourceVersion": found.resource_version(), "finalizers": others}});
            let params = PatchParams { field_manager: Some(FINALIZER_MANAGER.to_owned()), ..PatchParams::default() };
            let Err(error) = api.patch_metadata(name, &params, &Patch::Merge(patch)).await else { return Ok(()) };
            match classify(&error) {
                ApiFailure::NotFound | ApiFailure::NotServed => return Ok(()),
                ApiFailure::Changed if attempts < REMOVAL_ATTEMPTS => {}
                _ => return Err(failed(ACTION, name, error)),
            }
        }
    }
}

fn failed(action: &'static str, name: &str, error: kube::Error) -> SourceError {
    SourceError::Cluster { action, instance: name.to_owned(), message: error_message(&error), source: Box::new(error) }
}
