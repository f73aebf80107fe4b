//! The objects of all instances, as one watch for each kind shows them: of each the JSON that is
//! used, by its instance.
//!
//! A watch that fails is repeated with a back-off of its own, and delays no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use kube::api::{Api, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::kind::Kind;
use super::live_object::LiveObject;
use crate::cluster::names::{INSTANCE, SELECTOR};
use crate::cluster::{classify, error_message};
use crate::core::InstanceId;
use crate::runtime::changes::Changes;

/// Namespace and name of an instance.
type Key = (String, String);
/// Objects of one instance, by kind and name.
type Entries = BTreeMap<(Kind, String), Entry>;

/// Called with the kind of each watch that fails.
pub type OnWatchError = Arc<dyn Fn(&'static str) + Send + Sync>;

pub(super) struct Watches {
    known: Mutex<Known>,
    states: Mutex<BTreeMap<(Kind, Option<String>), State>>,
    /// Incremented whenever a watch has listed its kind, or failed to.
    listed: watch::Sender<usize>,
    changes: Arc<Changes>,
    config: watcher::Config,
}

/// Objects as they are known.
#[derive(Default)]
struct Known {
    objects: HashMap<Key, Entries>,
    /// Instance of each object, by kind, namespace and name of the object.
    owners: HashMap<(Kind, String, String), String>,
    /// Uids of objects that were removed here and whose deletion no watch has shown yet.
    removed: BTreeSet<String>,
}

struct Entry {
    version: u64,
    json: Box<[u8]>,
}

#[derive(Default)]
struct State {
    listed: bool,
    /// Its last failure, until it works again.
    failure: Option<Failure>,
}

struct Failure {
    message: String,
    /// The kind is not served, or a permission is missing.
    is_refusal: bool,
}

impl State {
    /// Returns whether what is known of a kind is enough to work with.
    fn suffices(&self, kind: Kind) -> bool {
        self.listed || kind.is_optional() || (kind.is_dispensable() && self.refusal().is_some())
    }

    /// Returns why the API server does not list the kind.
    fn refusal(&self) -> Option<&str> {
        let failure = self.failure.as_ref().filter(|failure| !self.listed && failure.is_refusal)?;
        Some(&failure.message)
    }
}

impl Watches {
    /// Starts the watches of these kinds in these namespaces, or in all of them.
    pub(super) fn start(
        client: &Client,
        config: watcher::Config,
        kinds: &[Kind],
        namespaces: &BTreeSet<String>,
        changes: Arc<Changes>,
        on_error: &OnWatchError,
    ) -> Arc<Self> {
        let watches = Arc::new(Self {
            known: Mutex::default(),
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

    /// Starts the watches of one more kind.
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
                    self.handle(kind, &scope, event, &mut listing);
                }
                Err(error) => {
                    on_error(kind.as_str());
                    let message = error_message(&error);
                    tracing::warn!("the watch of {} failed and is repeated: {message}", kind.as_str());
                    let failure = Failure { message, is_refusal: classify(&error).is_refusal() };
                    self.states().entry((kind, scope.clone())).or_default().failure = Some(failure);
                    // Who waits for the kinds may not have to wait for this one.
                    self.listed.send_modify(|count| *count += 1);
                }
            }
        }
    }

    fn handle(
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
                self.record(kind, object);
            }
            watcher::Event::InitDone => {
                self.retain_listed(kind, scope, listing);
                listing.clear();
                let mut states = self.states();
                let state = states.entry((kind, scope.clone())).or_default();
                (state.listed, state.failure) = (true, None);
                drop(states);
                self.listed.send_modify(|count| *count += 1);
            }
            watcher::Event::Apply(object) => {
                self.states().entry((kind, scope.clone())).or_default().failure = None;
                self.record(kind, object);
            }
            watcher::Event::Delete(object) => {
                if let Some(key) = key(&object) {
                    let mut known = self.known.lock();
                    known.remove(kind, &key, &object.name_any());
                    object.uid().map(|uid| known.removed.remove(&uid));
                    drop(known);
                    self.name(key);
                }
            }
        }
    }

    /// Records an object from a watch, or from the answer to a request.
    pub(super) fn record(&self, kind: Kind, object: DynamicObject) {
        let (Some(namespace), name) = (object.namespace(), object.name_any()) else { return };
        let now = key(&object);
        let version = object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default();
        let uid = object.uid().unwrap_or_default();
        let live = LiveObject::new(kind, object);
        let Ok(json) = serde_json::to_vec(&(live.object, live.owned)) else { return };
        let mut known = self.known.lock();
        if known.removed.contains(&uid) {
            return;
        }
        let moved_from = known.assign(kind, &namespace, &name, now.as_ref());
        let changed = now.filter(|key| known.insert(kind, key, name, Entry { version, json: json.into_boxed_slice() }));
        drop(known);
        moved_from.into_iter().chain(changed).for_each(|key| self.name(key));
    }

    /// Removes an object that was deleted by a request: later events of the watch may be older.
    pub(super) fn remove(&self, id: &InstanceId, object: &LiveObject) {
        let mut known = self.known.lock();
        known.remove(object.kind, &(id.namespace.clone(), id.name.clone()), object.name());
        known.removed.insert(object.uid().to_owned());
    }

    /// Removes the objects that a full list does not contain.
    fn retain_listed(&self, kind: Kind, scope: &Option<String>, listed: &BTreeSet<(Key, String)>) {
        let mut known = self.known.lock();
        let mut gone = Vec::new();
        for (key, of_instance) in &known.objects {
            if scope.as_ref().is_none_or(|namespace| *namespace == key.0) {
                let names =
                    of_instance.keys().filter(|(of, _)| *of == kind).map(|(_, name)| (key.clone(), name.clone()));
                gone.extend(names.filter(|object| !listed.contains(object)));
            }
        }
        gone.iter().for_each(|(key, name)| known.remove(kind, key, name));
        drop(known);
        let gone: BTreeSet<Key> = gone.into_iter().map(|(key, _)| key).collect();
        gone.into_iter().for_each(|key| self.name(key));
    }

    fn name(&self, (namespace, name): Key) {
        // Readers use its namespace and name only.
        self.changes.name(&InstanceId { namespace, name, uid: String::new() });
    }

    /// Returns the objects of an instance.
    pub(super) fn objects(&self, id: &InstanceId) -> Vec<LiveObject> {
        let known = self.known.lock();
        let Some(of_instance) = known.objects.get(&(id.namespace.clone(), id.name.clone())) else { return Vec::new() };
        of_instance
            .iter()
            .filter_map(|((kind, _), entry)| {
                let (object, owned) = serde_json::from_slice(&entry.json).ok()?;
                Some(LiveObject { kind: *kind, object, owned })
            })
            .collect()
    }

    /// Returns whether all objects of a kind are known.
    pub(super) fn is_listed(&self, kind: Kind) -> bool {
        let states = self.states();
        let mut of_kind = states.iter().filter(|((known, _), _)| *known == kind).peekable();
        of_kind.peek().is_some() && of_kind.all(|(_, state)| state.listed)
    }

    /// Returns the kinds that are not listed yet, as a sentence; none when all are.
    pub(super) fn unlisted(&self) -> Option<String> {
        let states = self.states();
        let missing: Vec<String> = states
            .iter()
            .filter(|((kind, _), state)| !state.suffices(*kind))
            .map(|((kind, scope), state)| {
                let place = scope.as_ref().map(|scope| format!(" in {scope}")).unwrap_or_default();
                match &state.failure {
                    Some(failure) => format!("{}{place} ({})", kind.as_str(), failure.message),
                    None => format!("{}{place}", kind.as_str()),
                }
            })
            .collect();
        (!missing.is_empty()).then(|| format!("the API server has not listed {} yet", missing.join(", ")))
    }

    /// Returns why the API server does not list a kind in a namespace.
    pub(super) fn refusal(&self, kind: Kind, namespace: &str) -> Option<String> {
        let states = self.states();
        let here = states
            .iter()
            .filter(|((of, scope), _)| *of == kind && scope.as_ref().is_none_or(|scope| scope == namespace));
        here.filter_map(|(_, state)| state.refusal()).map(str::to_owned).next()
    }

    /// Waits until every kind was listed once.
    pub(super) async fn all_listed(&self) {
        let mut listed = self.listed.subscribe();
        while self.unlisted().is_some() {
            if listed.changed().await.is_err() {
                return;
            }
        }
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<(Kind, Option<String>), State>> {
        self.states.lock()
    }
}

impl Known {
    /// Assigns an object to an instance. Returns its former instance, if its label was removed or
    /// changed by hand.
    fn assign(&mut self, kind: Kind, namespace: &str, name: &str, now: Option<&Key>) -> Option<Key> {
        let object = (kind, namespace.to_owned(), name.to_owned());
        let owner = self.owners.get(&object);
        if owner == now.map(|(_, instance)| instance) {
            return None;
        }
        let former = match now {
            Some((_, instance)) => self.owners.insert(object, instance.clone()),
            None => self.owners.remove(&object),
        };
        let former = (namespace.to_owned(), former?);
        self.remove_entry(kind, &former, name);
        Some(former)
    }

    /// Inserts an object; returns whether it differs from the known one.
    fn insert(&mut self, kind: Kind, key: &Key, name: String, entry: Entry) -> bool {
        let of_instance = self.objects.entry(key.clone()).or_default();
        match of_instance.get_mut(&(kind, name.clone())) {
            // An answer may be newer than a later event of the watch.
            Some(known) if known.version > entry.version => return false,
            Some(known) if known.json == entry.json => {
                known.version = entry.version;
                return false;
            }
            _ => {}
        }
        of_instance.insert((kind, name), entry);
        true
    }

    fn remove(&mut self, kind: Kind, key: &Key, name: &str) {
        self.owners.remove(&(kind, key.0.clone(), name.to_owned()));
        self.remove_entry(kind, key, name);
    }

    fn remove_entry(&mut self, kind: Kind, key: &Key, name: &str) {
        if let Some(of_instance) = self.objects.get_mut(key) {
            of_instance.remove(&(kind, name.to_owned()));
            if of_instance.is_empty() {
                self.objects.remove(key);
            }
        }
    }
}

fn key(object: &DynamicObject) -> Option<Key> {
    Some((object.namespace()?, object.labels().get(INSTANCE)?.clone()))
}
