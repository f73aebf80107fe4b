//! What is in the cluster, kept in step by one watch for each kind, and small: each object as the JSON that matters, by its instance.
//!
//! A watch that fails is tried again by itself with a back-off of its own, and holds up no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use tokio::sync::watch;

use super::kind::Kind;
use super::live::Live;
use super::names::{INSTANCE, SELECTOR};
use crate::lock::lock;
use crate::runtime::InstanceId;
use crate::runtime::changes::Changes;

/// Namespace and name of an instance.
type Key = (String, String);
/// What there is of one instance, by kind and name.
type Entries = BTreeMap<(Kind, String), Entry>;

/// Told of each failure of a watch, to count it.
pub type OnWatchError = Arc<dyn Fn(&'static str) + Send + Sync>;

pub(super) struct Watches {
    objects: Mutex<HashMap<Key, Entries>>,
    states: Mutex<BTreeMap<(Kind, Option<String>), State>>,
    /// Moves whenever a watch has listed everything for the first time.
    listed: watch::Sender<usize>,
    changes: Arc<Changes>,
    config: watcher::Config,
}

struct Entry {
    version: u64,
    json: Box<[u8]>,
}

#[derive(Default)]
struct State {
    listed: bool,
    /// What its last failure said, until it works again.
    problem: Option<String>,
}

impl Watches {
    /// Follows these kinds in these namespaces, or in all of them.
    pub(super) fn start(
        client: &Client,
        config: watcher::Config,
        kinds: &[Kind],
        namespaces: &BTreeSet<String>,
        changes: Arc<Changes>,
        on_error: &OnWatchError,
    ) -> Arc<Self> {
        let watches = Arc::new(Self {
            objects: Mutex::default(),
            states: Mutex::default(),
            listed: watch::Sender::new(0),
            changes,
            config: config.labels(SELECTOR),
        });
        for kind in kinds {
            watches.follow(client, *kind, namespaces, on_error);
        }
        watches
    }

    /// Follows one more kind.
    pub(super) fn follow(
        self: &Arc<Self>,
        client: &Client,
        kind: Kind,
        namespaces: &BTreeSet<String>,
        on_error: &OnWatchError,
    ) {
        let scopes: Vec<Option<String>> =
            if namespaces.is_empty() { vec![None] } else { namespaces.iter().cloned().map(Some).collect() };
        for scope in scopes {
            self.states().insert((kind, scope.clone()), State::default());
            let api: Api<DynamicObject> = match &scope {
                None => Api::all_with(client.clone(), &kind.resource()),
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource()),
            };
            tokio::spawn(Arc::clone(self).run(api, kind, scope, Arc::clone(on_error)));
        }
    }

    async fn run(self: Arc<Self>, api: Api<DynamicObject>, kind: Kind, scope: Option<String>, on_error: OnWatchError) {
        let mut events = watcher(api, self.config.clone()).default_backoff().boxed();
        let mut listing = BTreeSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.take(kind, &scope, event, &mut listing);
                }
                Err(error) => {
                    on_error(kind.as_str());
                    let said = super::said(&error);
                    tracing::warn!("the watch of {} failed and is tried again: {said}", kind.as_str());
                    self.states().entry((kind, scope.clone())).or_default().problem = Some(said);
                }
            }
        }
    }

    fn take(
        &self,
        kind: Kind,
        scope: &Option<String>,
        event: watcher::Event<DynamicObject>,
        listing: &mut BTreeSet<(Key, String)>,
    ) {
        match event {
            watcher::Event::Init => listing.clear(),
            watcher::Event::InitApply(object) => {
                listing.extend(key(&object).map(|key| (key, object.name_any())));
                self.put(kind, object);
            }
            watcher::Event::InitDone => {
                self.keep_only(kind, scope, listing);
                listing.clear();
                let mut states = self.states();
                let state = states.entry((kind, scope.clone())).or_default();
                (state.listed, state.problem) = (true, None);
                drop(states);
                self.listed.send_modify(|count| *count += 1);
            }
            watcher::Event::Apply(object) => {
                self.states().entry((kind, scope.clone())).or_default().problem = None;
                self.put(kind, object);
            }
            watcher::Event::Delete(object) => {
                if let Some(key) = key(&object) {
                    self.remove(kind, &key, &object.name_any());
                    self.name(key);
                }
            }
        }
    }

    /// Takes up an object as it is now: from a watch, or from the answer to what was asked of the API server.
    pub(super) fn put(&self, kind: Kind, object: DynamicObject) {
        self.forget_elsewhere(kind, &object);
        let Some(key) = key(&object) else { return };
        let version = object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default();
        let name = object.name_any();
        let Ok(json) = serde_json::to_vec(&Live::of(kind, object).object) else { return };
        let mut objects = lock(&self.objects);
        let of_instance = objects.entry(key.clone()).or_default();
        match of_instance.get_mut(&(kind, name.clone())) {
            // An answer may be newer than what the watch tells afterwards.
            Some(standing) if standing.version > version => return,
            Some(standing) if *standing.json == *json => {
                standing.version = version;
                return;
            }
            _ => {}
        }
        of_instance.insert((kind, name), Entry { version, json: json.into_boxed_slice() });
        drop(objects);
        self.name(key);
    }

    /// An object whose label was taken off or changed by hand is missed where it was.
    fn forget_elsewhere(&self, kind: Kind, object: &DynamicObject) {
        let (now, entry) = (key(object), (kind, object.name_any()));
        let mut missed = Vec::new();
        for (key, of_instance) in lock(&self.objects).iter_mut() {
            if now.as_ref() != Some(key)
                && object.namespace().as_ref() == Some(&key.0)
                && of_instance.remove(&entry).is_some()
            {
                missed.push(key.clone());
            }
        }
        missed.into_iter().for_each(|key| self.name(key));
    }

    pub(super) fn remove(&self, kind: Kind, key: &Key, name: &str) {
        let mut objects = lock(&self.objects);
        if let Some(of_instance) = objects.get_mut(key) {
            of_instance.remove(&(kind, name.to_owned()));
            if of_instance.is_empty() {
                objects.remove(key);
            }
        }
    }

    /// What a full list did not name any more is gone.
    fn keep_only(&self, kind: Kind, scope: &Option<String>, listed: &BTreeSet<(Key, String)>) {
        let mut gone = Vec::new();
        for (key, of_instance) in lock(&self.objects).iter_mut() {
            if scope.as_ref().is_some_and(|namespace| *namespace != key.0) {
                continue;
            }
            let before = of_instance.len();
            of_instance.retain(|(of, name), _| *of != kind || listed.contains(&(key.clone(), name.clone())));
            if of_instance.len() != before {
                gone.push(key.clone());
            }
        }
        gone.into_iter().for_each(|key| self.name(key));
    }

    fn name(&self, (namespace, name): Key) {
        // Whoever is told looks at its namespace and name alone.
        self.changes.name(&InstanceId { namespace, name, uid: String::new() });
    }

    /// Everything there is of an instance.
    pub(super) fn of(&self, id: &InstanceId) -> Vec<Live> {
        let objects = lock(&self.objects);
        let Some(of_instance) = objects.get(&(id.namespace.clone(), id.name.clone())) else { return Vec::new() };
        of_instance
            .iter()
            .filter_map(|((kind, _), entry)| {
                Some(Live { kind: *kind, object: serde_json::from_slice(&entry.json).ok()? })
            })
            .collect()
    }

    /// What is not known because a watch does not work; nothing when all is known.
    pub(super) fn unknown(&self) -> Option<String> {
        let states = self.states();
        let missing: Vec<String> = states
            .iter()
            .filter(|((kind, _), state)| !state.listed && !kind.is_optional())
            .map(|((kind, scope), state)| {
                let place = scope.as_ref().map(|scope| format!(" in {scope}")).unwrap_or_default();
                match &state.problem {
                    Some(problem) => format!("{}{place} ({problem})", kind.as_str()),
                    None => format!("{}{place}", kind.as_str()),
                }
            })
            .collect();
        (!missing.is_empty()).then(|| format!("the API server has not listed {} yet", missing.join(", ")))
    }

    /// Waits until everything was listed once.
    pub(super) async fn all_listed(&self) {
        let mut listed = self.listed.subscribe();
        while self.unknown().is_some() {
            if listed.changed().await.is_err() {
                return;
            }
        }
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<(Kind, Option<String>), State>> {
        lock(&self.states)
    }
}

fn key(object: &DynamicObject) -> Option<Key> {
    Some((object.namespace()?, object.labels().get(INSTANCE)?.clone()))
}
