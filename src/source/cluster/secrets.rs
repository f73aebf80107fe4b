//! Values of Secrets, cached, and the watch that tells of changed ones.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::api::SecretRef;
use crate::cluster::error_message;
use crate::cluster::names::FIELD_MANAGER;
use crate::source::policy::{Author, Policy, READERS, SecretPlace};
use crate::source::{Reader, Rotated, SecretError};

type Data = BTreeMap<String, ByteString>;
/// Namespace and name of a Secret.
type Key = (String, String);

/// Secrets that were read.
pub(super) struct SecretsCache {
    ttl: Duration,
    entries: Mutex<HashMap<Key, Entry>>,
}

/// A Secret of the cluster.
struct Found {
    data: Data,
    /// Its annotation [`READERS`].
    place: SecretPlace,
    /// Kubernetes or mai made it for itself.
    is_internal: bool,
}

enum Entry {
    /// It and the time at which it was read.
    Read(Instant, Arc<Found>),
    /// It is missing, or lacks a key that is used. It is read again by every check of the instance
    /// that waits for it.
    Awaited,
}

impl SecretsCache {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, entries: Mutex::default() }
    }

    /// Returns the value that a reference names, if the instance may read it.
    pub(super) async fn value(
        &self,
        client: &Client,
        policy: &Policy,
        reader: &Reader<'_>,
        reference: &SecretRef,
    ) -> Result<SecretString, SecretError> {
        if let Some(variable) = reference.variable() {
            return Err(SecretError::VariableInCluster { variable: variable.to_owned() });
        }
        let (namespace, name) = (reader.namespace, &reference.name);
        let found = self.read(client, namespace, name).await?;
        let author = Author::Namespace(namespace);
        let readable = policy.reads(author, (namespace, reader.name), name, &found.place);
        if found.is_internal || readable.is_none() {
            let remedy = match found.is_internal {
                true => "Kubernetes or mai made it for its own use; copy the value into another Secret".to_owned(),
                false => policy.reader_remedy(author, reader.name, name, &found.place),
            };
            // What changes it is seen where Secrets may not be watched, too.
            self.insert((namespace.to_owned(), name.clone()), Entry::Awaited);
            return Err(SecretError::NotForReader {
                name: name.clone(),
                file: format!("namespace {namespace}"),
                remedy,
            });
        }
        let value = value_in(&found.data, reference);
        if value.is_err() {
            self.insert((namespace.to_owned(), reference.name.clone()), Entry::Awaited);
        }
        value
    }

    async fn read(&self, client: &Client, namespace: &str, name: &str) -> Result<Arc<Found>, SecretError> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(Entry::Read(at, found)) = self.entries.lock().get(&key)
            && at.elapsed() < self.ttl
        {
            return Ok(Arc::clone(found));
        }
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let secret = api.get_opt(name).await.map_err(|error| SecretError::Unreadable {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            message: error_message(&error),
        })?;
        let Some(secret) = secret else {
            self.insert(key, Entry::Awaited);
            return Err(SecretError::NotInCluster { namespace: namespace.to_owned(), name: name.to_owned() });
        };
        let found = Arc::new(Found::from(secret));
        self.insert(key, Entry::Read(Instant::now(), Arc::clone(&found)));
        Ok(found)
    }

    fn insert(&self, key: Key, entry: Entry) {
        self.entries.lock().insert(key, entry);
    }

    /// Removes a Secret that changed; returns whether an instance uses it.
    fn remove(&self, key: &Key) -> bool {
        self.entries.lock().remove(key).is_some()
    }

    /// Removes the Secrets of a namespace.
    pub(super) fn remove_namespace(&self, namespace: &str) {
        self.entries.lock().retain(|(of, _), _| of != namespace);
    }
}

impl From<Secret> for Found {
    fn from(secret: Secret) -> Self {
        let kind = secret.type_.as_deref().unwrap_or_default();
        let is_of = |label: &str, value: &str| secret.labels().get(label).is_some_and(|found| found == value);
        let is_internal = kind == "kubernetes.io/service-account-token"
            || kind == "bootstrap.kubernetes.io/token"
            || kind.starts_with("helm.sh/")
            || is_of("app.kubernetes.io/managed-by", FIELD_MANAGER);
        let readers = secret.annotations().get(READERS).cloned();
        Self {
            place: SecretPlace { scope: String::new(), is_outside: false, readers },
            is_internal,
            data: secret.data.unwrap_or_default(),
        }
    }
}

fn value_in(data: &Data, reference: &SecretRef) -> Result<SecretString, SecretError> {
    let key = reference.key.as_deref().unwrap_or_default();
    let name = || reference.name.clone();
    let value = data.get(key).ok_or_else(|| SecretError::NoKey {
        name: name(),
        key: key.to_owned(),
        known: if data.is_empty() { "none".to_owned() } else { data.keys().cloned().collect::<Vec<_>>().join(", ") },
    })?;
    let text = std::str::from_utf8(&value.0).map_err(|_| SecretError::NotText { name: name(), key: key.to_owned() })?;
    // A value made from a file or by `echo` ends with a line end that nobody means.
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Returns whether Secrets may be watched. Where they may not, they are read again after an
/// interval.
pub(super) async fn may_watch_secrets(client: &Client, namespace: Option<&str>) -> bool {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let may = async |verb: &str| {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: namespace.map(str::to_owned),
                    verb: Some(verb.to_owned()),
                    resource: Some("secrets".to_owned()),
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = api.create(&PostParams::default(), &review).await;
        answer.ok().and_then(|review| review.status).is_some_and(|status| status.allowed)
    };
    may("list").await && may("watch").await
}

/// Reports Secrets that changed after they were read, or that are awaited. Only metadata is
/// transferred.
pub(super) async fn watch_secrets(
    client: Client,
    scope: Option<String>,
    secrets: Arc<SecretsCache>,
    rotated: mpsc::UnboundedSender<Rotated>,
) {
    let api: Api<PartialObjectMeta<Secret>> = match &scope {
        None => Api::all(client),
        Some(namespace) => Api::namespaced(client, namespace),
    };
    let selector = format!("app.kubernetes.io/managed-by!={FIELD_MANAGER}");
    let mut events = watcher(api, watcher::Config::default().labels(&selector)).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let Ok(watcher::Event::Apply(secret) | watcher::Event::Delete(secret) | watcher::Event::InitApply(secret)) =
            event
        else {
            continue;
        };
        let (Some(namespace), name) = (secret.namespace(), secret.name_any()) else { continue };
        if secrets.remove(&(namespace.clone(), name.clone())) && rotated.send(Rotated::One { namespace, name }).is_err()
        {
            return;
        }
    }
}
