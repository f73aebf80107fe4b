//! The `MaiBackup` objects of a cluster: requests for jobs, and their answers. A cluster may lack
//! the kind, or the permission to read it: then nobody asks, and nothing else follows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use mai_contract::job::{BackupId, Outcome};
use parking_lot::Mutex;
use serde_json::json;

use super::apply::failed;
use super::{DISCOVERY_INTERVAL, OnWatchError};
use crate::api::{GROUP, MaiBackup, MaiBackupPhase, MaiBackupStatus, VERSION};
use crate::cluster::{ApiFailure, classify, error_message, names};
use crate::core::{InstanceId, JobRequest, JobWork, hash_texts, log_name};
use crate::runtime::RuntimeError;
use crate::runtime::changes::Changes;

/// Namespace and name of a request.
type Key = (String, String);

/// The requests of a cluster.
pub(super) struct Requests {
    client: Client,
    known: Mutex<BTreeMap<Key, Request>>,
    changes: Arc<Changes>,
}

/// A request as it is in the cluster.
#[derive(Clone, Debug, PartialEq)]
struct Request {
    version: u64,
    uid: String,
    created: Timestamp,
    instance: String,
    reason: Option<String>,
    status: MaiBackupStatus,
}

/// A request that has no answer yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    /// Its namespace, and that of its instance.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Name of the instance.
    pub instance: String,
    /// Time at which it was made.
    pub created: Timestamp,
}

impl Requests {
    /// Starts the watches of these namespaces, or of all of them, as soon as the cluster serves the
    /// kind.
    pub(super) fn start(
        client: &Client,
        config: watcher::Config,
        namespaces: &BTreeSet<String>,
        changes: Arc<Changes>,
        on_error: &OnWatchError,
    ) -> Arc<Self> {
        let requests = Arc::new(Self { client: client.clone(), known: Mutex::default(), changes });
        let scopes: Vec<Option<String>> =
            if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        let (all, on_error) = (Arc::clone(&requests), Arc::clone(on_error));
        tokio::spawn(async move {
            while !is_served(&all.client).await {
                tokio::time::sleep(DISCOVERY_INTERVAL).await;
            }
            for scope in scopes {
                tokio::spawn(Arc::clone(&all).follow(config.clone(), scope, Arc::clone(&on_error)));
            }
        });
        requests
    }

    async fn follow(self: Arc<Self>, config: watcher::Config, scope: Option<String>, on_error: OnWatchError) {
        let api: Api<DynamicObject> = match &scope {
            None => Api::all_with(self.client.clone(), &resource()),
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource()),
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
                    on_error("MaiBackup");
                    tracing::warn!("the watch of MaiBackups failed and is repeated: {}", error_message(&error));
                }
            }
        }
    }

    /// Records a request from the watch, or from the answer to a patch.
    fn record(&self, object: &DynamicObject) {
        let (Some(key), Some(request)) = (key(object), Request::new(object)) else { return };
        let mut known = self.known.lock();
        // An answer may be newer than a later event of the watch.
        if known.get(&key).is_some_and(|known| known.uid == request.uid && known.version > request.version) {
            return;
        }
        let id = InstanceId { namespace: key.0.clone(), name: request.instance.clone(), uid: String::new() };
        let is_open = !request.status.is_answered();
        let former = known.insert(key, request);
        drop(known);
        if is_open && former.is_none() {
            self.changes.name(&id);
        }
    }

    /// Returns the oldest request for an instance that has no answer.
    pub(super) fn oldest(&self, id: &InstanceId) -> Option<JobRequest> {
        let known = self.known.lock();
        let open = known.iter().filter(|(key, request)| request.is_open_for(id, key));
        let (key, request) = open.min_by_key(|(_, request)| (request.created, request.uid.clone()))?;
        let reason = request.reason.clone().unwrap_or_else(|| format!("MaiBackup {} asked for it", key.1));
        Some(JobRequest { name: request.job(), reason, work: JobWork::Backup })
    }

    /// Returns every request that has no answer.
    pub(super) fn open(&self) -> Vec<OpenRequest> {
        let known = self.known.lock();
        let open = known.iter().filter(|(_, request)| !request.status.is_answered());
        open.map(|((namespace, name), request)| OpenRequest {
            namespace: namespace.clone(),
            name: name.clone(),
            instance: request.instance.clone(),
            created: request.created,
        })
        .collect()
    }

    /// Shows that the job of a request was started. A failure is logged, and concerns nothing else.
    pub(super) async fn set_running(&self, id: &InstanceId, job: &str) {
        let Some((key, request)) = self.of_job(id, job) else { return };
        if request.status.phase == Some(MaiBackupPhase::Running) {
            return;
        }
        if let Err(error) = self.put(&key, &request, request.status.running(job, now())).await {
            warn_of_status(&key, &error);
        }
    }

    /// Answers the request for a job, if there is one.
    pub(super) async fn answer(&self, id: &InstanceId, job: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        let Some((key, request)) = self.of_job(id, job) else { return Ok(()) };
        let status = request.status.answered(outcome, now());
        match self.put(&key, &request, status.clone()).await {
            Ok(()) => Ok(()),
            Err(error) if classify(&error).is_refusal() => {
                // It is not made twice because nobody may say that it was made.
                warn_of_status(&key, &error);
                if let Some(known) = self.known.lock().get_mut(&key) {
                    known.status = status;
                }
                Ok(())
            }
            Err(error) => Err(failed("answer to the request for the backup", id, error)),
        }
    }

    /// Shows why a request cannot be started until a person acts.
    pub(super) async fn set_stalled(&self, open: &OpenRequest, reason: &str, message: String) {
        let key = (open.namespace.clone(), open.name.clone());
        let Some(request) = self.known.lock().get(&key).filter(|request| !request.status.is_answered()).cloned() else {
            return;
        };
        if request.status.message.as_ref() == Some(&message) {
            return;
        }
        if let Err(error) = self.put(&key, &request, request.status.stalled(reason, message, now())).await {
            warn_of_status(&key, &error);
        }
    }

    /// Returns the open request whose job has this name.
    fn of_job(&self, id: &InstanceId, job: &str) -> Option<(Key, Request)> {
        let known = self.known.lock();
        let mut open = known.iter().filter(|(key, request)| request.is_open_for(id, key));
        open.find(|(_, request)| request.job() == job).map(|(key, request)| (key.clone(), request.clone()))
    }

    async fn put(
        &self,
        (namespace, name): &Key,
        request: &Request,
        status: MaiBackupStatus,
    ) -> Result<(), kube::Error> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource());
        // Another object may have its name by now.
        let patch = json!({"metadata": {"uid": request.uid}, "status": status});
        let params = PatchParams { field_manager: Some(names::FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch_status(name, &params, &Patch::Merge(patch)).await {
            Ok(patched) => {
                self.record(&patched);
                Ok(())
            }
            Err(error) if matches!(classify(&error), ApiFailure::NotFound | ApiFailure::Changed) => {
                self.known.lock().remove(&(namespace.clone(), name.clone()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl Request {
    fn new(object: &DynamicObject) -> Option<Self> {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        Some(Self {
            version: object.resource_version()?.parse().ok()?,
            uid: object.uid()?,
            created: object.creation_timestamp()?.0,
            instance: spec["instance"].as_str()?.to_owned(),
            reason: spec["reason"].as_str().map(str::to_owned),
            // One of another version of mai is read as far as it is understood: it has no answer.
            status: serde_json::from_value(status.clone()).unwrap_or_default(),
        })
    }

    fn is_open_for(&self, id: &InstanceId, (namespace, _): &Key) -> bool {
        !self.status.is_answered() && self.instance == id.name && *namespace == id.namespace
    }

    /// Returns the name of its job, always the same.
    fn job(&self) -> String {
        let hash = hash_texts([self.uid.as_str()]);
        let random = u32::from_str_radix(&hash[..6], 16).unwrap_or_default();
        BackupId::new(self.created, random).to_string()
    }
}

async fn is_served(client: &Client) -> bool {
    kube::discovery::pinned_kind(client, &GroupVersionKind::gvk(GROUP, VERSION, "MaiBackup")).await.is_ok()
}

fn resource() -> ApiResource {
    ApiResource::erase::<MaiBackup>(&())
}

fn key(object: &DynamicObject) -> Option<Key> {
    Some((object.namespace()?, object.name_any()))
}

/// Returns the time in whole seconds, as the API server has times.
fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default()
}

fn warn_of_status((namespace, name): &Key, error: &kube::Error) {
    let backup = log_name(namespace, name);
    tracing::warn!(backup, "the status of this MaiBackup could not be written: {}", error_message(error));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(uid: &str, created: &str, status: serde_json::Value) -> Request {
        let object = json!({
            "apiVersion": "mai.dev/v1alpha1", "kind": "MaiBackup",
            "metadata": {"name": uid, "namespace": "n", "uid": uid, "resourceVersion": "7", "creationTimestamp": created},
            "spec": {"instance": "abc"}, "status": status,
        });
        Request::new(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn job_of_a_request_is_named_by_its_time_and_uid() {
        let name = |uid: &str| request(uid, "2026-11-30T02:00:00Z", json!(null)).job();
        assert!(name("a").starts_with("20261130-020000-"), "{}", name("a"));
        assert!(name("a").parse::<BackupId>().is_ok());
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
    }

    #[test]
    fn request_is_open_until_it_is_answered() {
        let id = |name: &str| InstanceId { namespace: "n".into(), name: name.into(), uid: "u".into() };
        let key = ("n".to_owned(), "a".to_owned());
        for (status, open) in [
            (json!(null), true),
            (json!({"phase": "Pending"}), true),
            (json!({"phase": "Running"}), true),
            (json!({"phase": "Completed"}), false),
            (json!({"phase": "Failed"}), false),
        ] {
            let request = request("a", "2026-11-30T02:00:00Z", status.clone());
            assert_eq!(request.is_open_for(&id("abc"), &key), open, "{status}");
            assert!(!request.is_open_for(&id("xyz"), &key));
        }
    }
}
