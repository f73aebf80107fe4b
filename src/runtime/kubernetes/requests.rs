//! The requests of a cluster, one watch for each of their kinds, and their statuses. A cluster may
//! lack a kind, or the permission to read it: then nobody asks, and nothing else follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, Resource, ResourceExt};
use mai_contract::job::BackupId;
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{DISCOVERY_INTERVAL, OnWatchError};
use crate::api::{GROUP, VERSION};
use crate::cluster::{ApiFailure, classify, error_message, names};
use crate::core::{InstanceId, hash_texts, log_name};
use crate::runtime::changes::Changes;

/// Namespace and name of a request.
pub(super) type Key = (String, String);

/// A kind of request.
pub(super) trait RequestKind: Resource<DynamicType = ()> + Clone + Send + Sync + 'static {
    /// Its spec.
    type Spec: DeserializeOwned + Clone + Send + Sync;
    /// Its status.
    type Status: Serialize + DeserializeOwned + Default + Clone + PartialEq + Send + Sync;
    /// The work that it asks for.
    const WORK: RequestedWork;

    /// Returns the name of the instance.
    fn instance(spec: &Self::Spec) -> &str;

    /// Returns whether a request of this status has its answer.
    fn is_answered(status: &Self::Status) -> bool;

    /// Returns whether its work was begun.
    fn is_begun(status: &Self::Status) -> bool;

    /// Returns the status of a request that cannot be started until a person acts.
    fn stalled(status: &Self::Status, reason: &str, message: String, now: Timestamp) -> Self::Status;

    /// Returns the status of a request that failed for this cause.
    fn failed(status: &Self::Status, message: String, now: Timestamp) -> Self::Status;
}

/// Work that a kind of request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedWork {
    /// A backup, by a `MaiBackup`.
    Backup,
    /// A restore, by a `MaiRestore`.
    Restore,
}

impl RequestedWork {
    /// Returns the kind of the request.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Backup => "MaiBackup",
            Self::Restore => "MaiRestore",
        }
    }
}

/// The requests of one kind.
pub(super) struct Requests<K: RequestKind> {
    client: Client,
    known: Mutex<BTreeMap<Key, Request<K>>>,
    /// Held while a status is written, so that each follows from the one before it.
    writing: tokio::sync::Mutex<()>,
    changes: Arc<Changes>,
}

/// A request as it is in the cluster.
#[derive(Clone)]
pub(super) struct Request<K: RequestKind> {
    version: u64,
    uid: String,
    created: Timestamp,
    pub(super) spec: K::Spec,
    pub(super) status: K::Status,
}

/// A request that has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// The work that it asks for.
    pub work: RequestedWork,
    /// Its namespace, and that of its instance.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Name of the instance.
    pub instance: String,
    /// Time at which it was made.
    pub created: Timestamp,
    /// Its work was begun.
    pub is_begun: bool,
}

impl<K: RequestKind> Requests<K> {
    /// Starts the watches of these namespaces, or of all of them, as soon as the cluster serves the
    /// kind.
    pub(super) fn start(
        client: &Client,
        config: watcher::Config,
        namespaces: &BTreeSet<String>,
        changes: Arc<Changes>,
        on_error: &OnWatchError,
    ) -> Arc<Self> {
        let (known, writing) = (Mutex::default(), tokio::sync::Mutex::default());
        let requests = Arc::new(Self { client: client.clone(), known, writing, changes });
        let scopes: Vec<Option<String>> =
            if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        let (all, on_error) = (Arc::clone(&requests), Arc::clone(on_error));
        tokio::spawn(async move {
            while !is_served(&all.client, K::WORK.kind()).await {
                tokio::time::sleep(DISCOVERY_INTERVAL).await;
            }
            for scope in scopes {
                tokio::spawn(Arc::clone(&all).follow(config.clone(), scope, Arc::clone(&on_error)));
            }
        });
        requests
    }

    async fn follow(self: Arc<Self>, config: watcher::Config, scope: Option<String>, on_error: OnWatchError) {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> = match &scope {
            None => Api::all_with(self.client.clone(), &resource),
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
        };
        let mut events = watcher(api, config).default_backoff().boxed();
        let mut listing = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => listing.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    listing.extend(key(&object));
                    self.record(&object);
                }
                Ok(watcher::Event::InitDone) => {
                    let is_here = |key: &Key| scope.as_ref().is_none_or(|namespace| *namespace == key.0);
                    self.known.lock().retain(|key, _| !is_here(key) || listing.contains(key));
                }
                Ok(watcher::Event::Apply(object)) => self.record(&object),
                Ok(watcher::Event::Delete(object)) => {
                    if let Some(key) = key(&object) {
                        self.known.lock().remove(&key);
                    }
                }
                Err(error) => {
                    on_error(K::WORK.kind());
                    let kind = K::WORK.kind();
                    tracing::warn!("the watch of {kind}s failed and is repeated: {}", error_message(&error));
                }
            }
        }
    }

    /// Records a request from the watch, or from the answer to a patch.
    fn record(&self, object: &DynamicObject) {
        let (Some(key), Some(request)) = (key(object), Request::<K>::new(object)) else { return };
        let mut known = self.known.lock();
        // An answer may be newer than a later event of the watch, or be known to this program alone.
        if known.get(&key).is_some_and(|known| known.uid == request.uid && known.version >= request.version) {
            return;
        }
        let instance = K::instance(&request.spec).to_owned();
        let id = InstanceId { namespace: key.0.clone(), name: instance, uid: String::new() };
        let is_open = !K::is_answered(&request.status);
        let former = known.insert(key, request);
        drop(known);
        if is_open && former.is_none() {
            self.changes.name(&id);
        }
    }

    /// Returns the oldest request for an instance that has no answer, with its name.
    pub(super) fn oldest(&self, id: &InstanceId) -> Option<(String, Request<K>)> {
        let known = self.known.lock();
        let open = known.iter().filter(|(key, request)| request.is_open_for(id, key));
        let (key, request) = open.min_by_key(|(_, request)| (request.created, request.uid.clone()))?;
        Some((key.1.clone(), request.clone()))
    }

    /// Returns every request that has no answer.
    pub(super) fn open(&self) -> Vec<OpenRequest> {
        let known = self.known.lock();
        let open = known.iter().filter(|(_, request)| !K::is_answered(&request.status));
        open.map(|((namespace, name), request)| OpenRequest {
            work: K::WORK,
            namespace: namespace.clone(),
            name: name.clone(),
            instance: K::instance(&request.spec).to_owned(),
            created: request.created,
            is_begun: K::is_begun(&request.status),
        })
        .collect()
    }

    /// Returns the key of the open request for an instance whose work has this id.
    pub(super) fn key_of(&self, id: &InstanceId, work: &str) -> Option<Key> {
        let known = self.known.lock();
        let mut open = known.iter().filter(|(key, request)| request.is_open_for(id, key));
        open.find(|(_, request)| request.id().as_str() == work).map(|(key, _)| key.clone())
    }

    /// Writes the status that follows from that of an open request, unless it is the same. Where
    /// nobody may write it, it counts for this program all the same: work is not repeated because
    /// nobody may say that it was done.
    pub(super) async fn update(
        &self,
        key: &Key,
        next: impl FnOnce(&K::Status) -> K::Status,
    ) -> Result<(), kube::Error> {
        let _writing = self.writing.lock().await;
        let found = self.known.lock().get(key).filter(|request| !K::is_answered(&request.status)).cloned();
        let Some(request) = found else { return Ok(()) };
        let status = next(&request.status);
        if status == request.status {
            return Ok(());
        }
        match self.write(key, &request, &status).await {
            Err(error) if classify(&error).is_refusal() => {
                warn_of_status::<K>(key, &error);
                if let Some(known) = self.known.lock().get_mut(key) {
                    known.status = status;
                }
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Does the same; a failure is logged, and concerns nothing else.
    pub(super) async fn try_update(&self, key: &Key, next: impl FnOnce(&K::Status) -> K::Status) {
        if let Err(error) = self.update(key, next).await {
            warn_of_status::<K>(key, &error);
        }
    }

    /// Shows why an open request cannot be started until a person acts.
    pub(super) async fn set_stalled(&self, key: &Key, reason: &str, message: String) {
        self.try_update(key, |status| K::stalled(status, reason, message, now())).await;
    }

    /// Answers an open request that failed for this cause.
    pub(super) async fn fail(&self, key: &Key, message: String) {
        self.try_update(key, |status| K::failed(status, message, now())).await;
    }

    async fn write(&self, key: &Key, request: &Request<K>, status: &K::Status) -> Result<(), kube::Error> {
        let (namespace, name) = key;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<K>(&()));
        // Another object may have its name by now.
        let patch = json!({"metadata": {"uid": request.uid}, "status": status});
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_status(name, &params, &Patch::Merge(patch)).await {
            Ok(patched) => {
                self.record(&patched);
                Ok(())
            }
            Err(error) if matches!(classify(&error), ApiFailure::NotFound | ApiFailure::Changed) => {
                self.known.lock().remove(key);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl<K: RequestKind> Request<K> {
    pub(super) fn new(object: &DynamicObject) -> Option<Self> {
        Some(Self {
            version: object.resource_version()?.parse().ok()?,
            uid: object.uid()?,
            created: object.creation_timestamp()?.0,
            spec: serde_json::from_value(object.data["spec"].clone()).ok()?,
            // One of another version of mai is read as far as it is understood: it has no answer.
            status: serde_json::from_value(object.data["status"].clone()).unwrap_or_default(),
        })
    }

    pub(super) fn is_open_for(&self, id: &InstanceId, (namespace, _): &Key) -> bool {
        !K::is_answered(&self.status) && K::instance(&self.spec) == id.name && *namespace == id.namespace
    }

    /// Returns the id of the work that it asks for, always the same.
    pub(super) fn id(&self) -> BackupId {
        let hash = hash_texts([self.uid.as_str()]);
        let random = u32::from_str_radix(&hash[..6], 16).unwrap_or_default();
        BackupId::new(self.created, random)
    }
}

async fn is_served(client: &Client, kind: &str) -> bool {
    kube::discovery::pinned_kind(client, &GroupVersionKind::gvk(GROUP, VERSION, kind)).await.is_ok()
}

fn key(object: &DynamicObject) -> Option<Key> {
    Some((object.namespace()?, object.name_any()))
}

/// Returns the time in whole seconds, as the API server has times.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

fn warn_of_status<K: RequestKind>((namespace, name): &Key, error: &kube::Error) {
    let (kind, request) = (K::WORK.kind(), log_name(namespace, name));
    tracing::warn!(request, "the status of this {kind} could not be written: {}", error_message(error));
}
