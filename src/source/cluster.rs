//! `MaiInstance` objects of a cluster as documents, and its Secrets.
//!
//! One watch for each namespace, or one for all, merged into one stream. An object that is not understood, as one from before a rule may
//! be, leaves the others alone: it is told ([`Invalid`]), and what was known of it stays.

mod preview;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use k8s_openapi::ByteString;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use secrecy::SecretString;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::{Documents, Rotated, SecretError, Source, SourceError};
use crate::api::{self, DOCUMENT_PROBLEM, FINALIZER, MaiInstance, MaiInstanceSpec, SecretRef};
use crate::cluster::names::FIELD_MANAGER;
use crate::cluster::{error_message, watch_config};

pub use preview::Preview;

/// Who holds documents by their finalizer: another one than the manager of the status, so that neither takes back what is the other's.
const HOLDER: &str = "mai-operator-teardown";
/// How often letting a document go is tried when somebody else changes it at the same time.
const RELEASE_TRIES: u8 = 5;

/// An object that is not understood.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: Option<i64>,
    /// What is wrong with it.
    pub problem: String,
}

impl From<InvalidObject> for Invalid {
    fn from(InvalidObject { error, metadata }: InvalidObject) -> Self {
        Self {
            namespace: metadata.namespace.unwrap_or_default(),
            name: metadata.name.unwrap_or_default(),
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation,
            problem: error,
        }
    }
}

/// How the source is opened.
pub struct ClusterOptions {
    /// Namespaces that are looked after; all when empty.
    pub namespaces: BTreeSet<String>,
    /// How long a Secret that was read is taken to be as it was, where it cannot be watched.
    pub secrets_for: Duration,
    /// Told of objects that are not understood.
    pub invalid: mpsc::UnboundedSender<Invalid>,
    /// Told of each failure of the watch, and whether it is that the cluster does not serve the kind.
    pub on_watch_error: Arc<dyn Fn(bool) + Send + Sync>,
}

/// The `MaiInstance` objects of a cluster.
pub struct ClusterSource {
    client: Client,
    secrets: Arc<Secrets>,
    secrets_for: Duration,
    rotated: Mutex<Option<mpsc::UnboundedReceiver<Rotated>>>,
}

type Data = BTreeMap<String, ByteString>;

/// The Secrets that were read.
#[derive(Default)]
struct Secrets(Mutex<Read>);

/// By namespace and name: when a Secret was read, and what it held.
type Read = HashMap<(String, String), (Instant, Arc<Data>)>;

impl ClusterSource {
    /// Starts to follow the objects.
    pub async fn open(client: Client, options: ClusterOptions) -> (Self, Documents) {
        let ClusterOptions { namespaces, secrets_for, invalid, on_watch_error } = options;
        let scopes: Vec<Option<String>> =
            if namespaces.is_empty() { vec![None] } else { namespaces.into_iter().map(Some).collect() };
        let secrets = Arc::<Secrets>::default();
        let (sender, rotated) = mpsc::unbounded_channel();
        for scope in &scopes {
            if may_watch_secrets(&client, scope.as_deref()).await {
                tokio::spawn(follow_secrets(client.clone(), scope.clone(), Arc::clone(&secrets), sender.clone()));
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
        let merged = Merge::new(scopes.len(), Arc::clone(&secrets), invalid, on_watch_error);
        let documents = stream::select_all(watches)
            .scan(merged, |merged, (index, event)| std::future::ready(Some(stream::iter(merged.take(index, event)))))
            .flatten()
            .map(Ok)
            .boxed();
        (Self { client, secrets, secrets_for, rotated: Mutex::new(Some(rotated)) }, documents)
    }

    async fn read(&self, namespace: &str, name: &str) -> Result<Arc<Data>, SecretError> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some((read, data)) = self.secrets.lock().get(&key)
            && read.elapsed() < self.secrets_for
        {
            return Ok(Arc::clone(data));
        }
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = api.get_opt(name).await.map_err(|error| SecretError::Unreadable {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            said: error_message(&error),
        })?;
        let Some(secret) = secret else {
            self.secrets.lock().remove(&key);
            return Err(SecretError::NotInCluster { namespace: namespace.to_owned(), name: name.to_owned() });
        };
        let data = Arc::new(secret.data.unwrap_or_default());
        self.secrets.lock().insert(key, (Instant::now(), Arc::clone(&data)));
        Ok(data)
    }
}

impl Source for ClusterSource {
    async fn secret(&self, namespace: &str, reference: &SecretRef) -> Result<SecretString, SecretError> {
        if let Some(variable) = reference.variable() {
            return Err(SecretError::VariableInCluster { variable: variable.to_owned() });
        }
        let data = self.read(namespace, &reference.name).await?;
        let key = reference.key.as_deref().unwrap_or_default();
        let name = || reference.name.clone();
        let value = data.get(key).ok_or_else(|| SecretError::NoKey {
            name: name(),
            key: key.to_owned(),
            known: if data.is_empty() {
                "none".to_owned()
            } else {
                data.keys().cloned().collect::<Vec<_>>().join(", ")
            },
        })?;
        let text =
            std::str::from_utf8(&value.0).map_err(|_| SecretError::NotText { name: name(), key: key.to_owned() })?;
        // A value made from a file or by `echo` ends with a line end that nobody means.
        Ok(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn secret_changes(&self) -> BoxStream<'static, Rotated> {
        match self.rotated.lock().take() {
            // Without a watch the stream must not end, or the loop would take it for news.
            Some(rotated) => UnboundedReceiverStream::new(rotated).chain(stream::pending()).boxed(),
            None => stream::pending().boxed(),
        }
    }

    async fn add_finalizer(&self, namespace: &str, name: &str, uid: &str) -> Result<(), SourceError> {
        let api: Api<MaiInstance> = Api::namespaced(self.client.clone(), namespace);
        let mark = json!({
            "apiVersion": api::API_VERSION,
            "kind": "MaiInstance",
            // With the uid, an object that is gone is not made anew by this.
            "metadata": {"name": name, "uid": uid, "finalizers": [FINALIZER]},
        });
        let applied = api.patch_metadata(name, &PatchParams::apply(HOLDER).force(), &Patch::Apply(mark)).await;
        applied.map(drop).map_err(|error| failed("hold its document", name, &error))
    }

    async fn remove_finalizer(&self, namespace: &str, name: &str) -> Result<(), SourceError> {
        let api: Api<MaiInstance> = Api::namespaced(self.client.clone(), namespace);
        let mut tries = 0;
        loop {
            tries += 1;
            let found =
                api.get_metadata_opt(name).await.map_err(|error| failed("let its document go", name, &error))?;
            let Some(found) = found else { return Ok(()) };
            let others: Vec<&String> = found.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).collect();
            if others.len() == found.finalizers().len() {
                return Ok(());
            }
            let patch = json!({"metadata": {"resourceVersion": found.resource_version(), "finalizers": others}});
            let params = PatchParams { field_manager: Some(HOLDER.to_owned()), ..PatchParams::default() };
            match api.patch_metadata(name, &params, &Patch::Merge(patch)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 && tries < RELEASE_TRIES => {}
                Err(error) => return Err(failed("let its document go", name, &error)),
            }
        }
    }
}

impl Secrets {
    fn lock(&self) -> parking_lot::MutexGuard<'_, Read> {
        self.0.lock()
    }

    /// What was read in a namespace is read again.
    fn forget(&self, namespace: &str) {
        self.lock().retain(|(of, _), _| of != namespace);
    }
}

fn failed(action: &'static str, name: &str, error: &kube::Error) -> SourceError {
    SourceError::Cluster { action, instance: name.to_owned(), said: error_message(error) }
}

/// Whether Secrets may be watched here. Where they may not, they are read again now and then.
async fn may_watch_secrets(client: &Client, namespace: Option<&str>) -> bool {
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

/// Tells of Secrets that changed after they were read. Only their metadata comes over.
async fn follow_secrets(
    client: Client,
    scope: Option<String>,
    secrets: Arc<Secrets>,
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
        // What was never read is nobody's.
        if secrets.lock().remove(&(namespace.clone(), name.clone())).is_some()
            && rotated.send(Rotated::One { namespace, name }).is_err()
        {
            return;
        }
    }
}

/// Whether there is no such kind. A group without any kind is answered in other words, but with the same code.
fn is_not_served(error: &watcher::Error) -> bool {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(kube::Error::Api(status)) = error.downcast_ref::<kube::Error>() {
            return status.code == 404;
        }
        at = error.source();
    }
    false
}

/// Several watches as one.
struct Merge {
    /// Of each watch, what it has named.
    known: Vec<BTreeMap<Key, Known>>,
    /// Of each watch, what its list in progress has named.
    listing: Vec<BTreeSet<Key>>,
    /// What was named before every watch was heard.
    early: BTreeMap<Key, MaiInstance>,
    /// Watches that have listed everything, or failed to: the others do not wait for them.
    heard: BTreeSet<usize>,
    complete: bool,
    /// Whoever touches a document wants its Secrets read again.
    secrets: Arc<Secrets>,
    invalid: mpsc::UnboundedSender<Invalid>,
    on_watch_error: Arc<dyn Fn(bool) + Send + Sync>,
}

/// Namespace and name.
type Key = (String, String);

/// What has to be known of an object beside what the loop's store holds.
#[derive(Clone, PartialEq)]
struct Known {
    uid: Option<String>,
    generation: Option<i64>,
    problem: Option<String>,
    /// Hash of them.
    annotations: u64,
}

type Event = watcher::Event<MaiInstance>;

impl Merge {
    fn new(
        watches: usize,
        secrets: Arc<Secrets>,
        invalid: mpsc::UnboundedSender<Invalid>,
        on_watch_error: Arc<dyn Fn(bool) + Send + Sync>,
    ) -> Self {
        Self {
            known: vec![BTreeMap::new(); watches],
            listing: vec![BTreeSet::new(); watches],
            early: BTreeMap::new(),
            heard: BTreeSet::new(),
            complete: false,
            secrets,
            invalid,
            on_watch_error,
        }
    }

    /// What an event of one watch is for the whole.
    fn take(
        &mut self,
        index: usize,
        event: Result<watcher::Event<DeserializeGuard<MaiInstance>>, watcher::Error>,
    ) -> Vec<Event> {
        match event {
            Err(error) => {
                (self.on_watch_error)(is_not_served(&error));
                tracing::warn!("the watch of MaiInstances failed and is tried again: {}", error_message(&error));
                // Of a single watch nothing is known yet; of several, the others go on.
                if self.known.len() > 1 { self.has_listed(index) } else { Vec::new() }
            }
            Ok(watcher::Event::Init) => {
                self.listing[index].clear();
                Vec::new()
            }
            Ok(watcher::Event::InitApply(guarded)) => {
                self.listing[index].extend(key(&guarded));
                self.apply(index, guarded)
            }
            Ok(watcher::Event::InitDone) => {
                let listed = std::mem::take(&mut self.listing[index]);
                let gone: Vec<Key> = self.known[index].keys().filter(|key| !listed.contains(*key)).cloned().collect();
                let mut events: Vec<Event> = gone.into_iter().flat_map(|key| self.remove(index, key)).collect();
                events.extend(self.has_listed(index));
                events
            }
            Ok(watcher::Event::Apply(guarded)) => self.apply(index, guarded),
            Ok(watcher::Event::Delete(guarded)) => key(&guarded).map(|key| self.remove(index, key)).unwrap_or_default(),
        }
    }

    fn apply(&mut self, index: usize, DeserializeGuard(guarded): DeserializeGuard<MaiInstance>) -> Vec<Event> {
        match guarded {
            Ok(mut instance) => {
                let Some(key) = instance.namespace().map(|namespace| (namespace, instance.name_any())) else {
                    return Vec::new();
                };
                let before = self.known[index].get(&key);
                let known = judge(&mut instance, before);
                if before.is_some_and(|before| *before != known) {
                    self.secrets.forget(&key.0);
                }
                self.known[index].insert(key.clone(), known);
                if self.complete {
                    vec![Event::Apply(instance)]
                } else {
                    self.early.insert(key, instance);
                    Vec::new()
                }
            }
            Err(invalid) => {
                // Nobody has to listen.
                let _ = self.invalid.send(Invalid::from(invalid));
                Vec::new()
            }
        }
    }

    fn remove(&mut self, index: usize, key: Key) -> Vec<Event> {
        self.early.remove(&key);
        let Some(known) = self.known[index].remove(&key).filter(|_| self.complete) else { return Vec::new() };
        let (namespace, name) = key;
        // Whoever is told looks at who it was alone.
        let mut gone = MaiInstance::new(&name, MaiInstanceSpec::named(&name));
        gone.metadata.namespace = Some(namespace);
        gone.metadata.uid = known.uid;
        vec![Event::Delete(gone)]
    }

    /// Once every watch was heard, all that is known is one full list.
    fn has_listed(&mut self, index: usize) -> Vec<Event> {
        self.heard.insert(index);
        if self.complete || self.heard.len() < self.known.len() {
            return Vec::new();
        }
        self.complete = true;
        let all = std::mem::take(&mut self.early).into_values().map(Event::InitApply);
        [Event::Init].into_iter().chain(all).chain([Event::InitDone]).collect()
    }
}

fn key(DeserializeGuard(guarded): &DeserializeGuard<MaiInstance>) -> Option<Key> {
    let metadata = match guarded {
        Ok(instance) => &instance.metadata,
        Err(invalid) => &invalid.metadata,
    };
    Some((metadata.namespace.clone()?, metadata.name.clone()?))
}

/// Which fields of a spec are wrong and why, if any are.
pub(crate) fn problem_of(name: &str, spec: &serde_json::Value) -> Option<String> {
    let document = json!({
        "apiVersion": api::API_VERSION,
        "kind": "MaiInstance",
        "metadata": {"name": name},
        "spec": spec,
    });
    let findings = api::check_stored(&document).err()?;
    Some(findings.iter().map(|found| format!("{}: {}", found.path, found.message)).collect::<Vec<_>>().join("; "))
}

/// Marks an object that breaks a rule, as one from before that rule may. What was judged before is not judged again.
fn judge(instance: &mut MaiInstance, known: Option<&Known>) -> Known {
    let (uid, generation) = (instance.metadata.uid.clone(), instance.metadata.generation);
    let mut hasher = DefaultHasher::new();
    instance.annotations().hash(&mut hasher);
    let annotations = hasher.finish();
    let problem = match known.filter(|known| known.uid == uid && known.generation == generation) {
        Some(known) => known.problem.clone(),
        None => problem_of(&instance.name_any(), &json!(instance.spec)),
    };
    match &problem {
        Some(problem) => instance.annotations_mut().insert(DOCUMENT_PROBLEM.to_owned(), problem.clone()),
        None => instance.annotations_mut().remove(DOCUMENT_PROBLEM),
    };
    Known { uid, generation, problem, annotations }
}
