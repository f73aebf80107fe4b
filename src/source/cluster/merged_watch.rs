//! The watches of several namespaces as one stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use tokio::sync::mpsc;

use super::secrets::SecretsCache;
use super::validation::{Invalid, Validated, validate};
use crate::api::{MaiInstance, MaiInstanceSpec};
use crate::cluster::{ApiFailure, classify, error_message};
use crate::source::policy::Policy;

/// Several watches as one.
pub(super) struct MergedWatch {
    /// Objects of each watch.
    known: Vec<BTreeMap<Key, Validated>>,
    /// Objects of the list that each watch is receiving.
    listing: Vec<BTreeSet<Key>>,
    /// Objects received before every watch has listed.
    early: BTreeMap<Key, MaiInstance>,
    /// Watches that have listed, or failed to: the others do not wait for them.
    listed: BTreeSet<usize>,
    complete: bool,
    /// A changed document has the Secrets of its namespace read again.
    secrets: Arc<SecretsCache>,
    policy: Arc<Policy>,
    invalid: mpsc::UnboundedSender<Invalid>,
    on_watch_error: Arc<dyn Fn(bool) + Send + Sync>,
}

/// Namespace and name.
type Key = (String, String);

type Event = watcher::Event<MaiInstance>;

impl MergedWatch {
    pub(super) fn new(
        watches: usize,
        secrets: Arc<SecretsCache>,
        policy: Arc<Policy>,
        invalid: mpsc::UnboundedSender<Invalid>,
        on_watch_error: Arc<dyn Fn(bool) + Send + Sync>,
    ) -> Self {
        Self {
            known: vec![BTreeMap::new(); watches],
            listing: vec![BTreeSet::new(); watches],
            early: BTreeMap::new(),
            listed: BTreeSet::new(),
            complete: false,
            secrets,
            policy,
            invalid,
            on_watch_error,
        }
    }

    /// Returns the events of the merged stream that follow from an event of one watch.
    pub(super) fn handle(
        &mut self,
        index: usize,
        event: Result<watcher::Event<DeserializeGuard<MaiInstance>>, watcher::Error>,
    ) -> Vec<Event> {
        match event {
            Err(error) => {
                (self.on_watch_error)(classify(&error) == ApiFailure::NotServed);
                tracing::warn!("the watch of MaiInstances failed and is repeated: {}", error_message(&error));
                // The others do not wait for it. A single watch knows nothing yet.
                if self.known.len() > 1 { self.set_listed(index) } else { Vec::new() }
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
                events.extend(self.set_listed(index));
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
                let known = validate(&mut instance, before, &self.policy);
                if before.is_some_and(|before| *before != known) {
                    self.secrets.remove_namespace(&key.0);
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
                // It is fine if nobody listens.
                let _ = self.invalid.send(Invalid::from(invalid));
                Vec::new()
            }
        }
    }

    fn remove(&mut self, index: usize, key: Key) -> Vec<Event> {
        self.early.remove(&key);
        let Some(known) = self.known[index].remove(&key).filter(|_| self.complete) else { return Vec::new() };
        let (namespace, name) = key;
        // Readers use its identity only.
        let mut gone = MaiInstance::new(&name, MaiInstanceSpec::named(&name));
        gone.metadata.namespace = Some(namespace);
        gone.metadata.uid = known.uid;
        vec![Event::Delete(gone)]
    }

    /// Returns one full list once every watch has listed.
    fn set_listed(&mut self, index: usize) -> Vec<Event> {
        self.listed.insert(index);
        if self.complete || self.listed.len() < self.known.len() {
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
