//! Keys of instances at their upstream: the steps are taken in the background, so that an upstream that
//! does not answer keeps no server from being repaired. `fleet::keys` decides and makes the calls.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc::UnboundedSender;

use super::backoff::key_retry_delay;
use super::observation::{Observation, OwnSecrets};
use super::reconciler::Reconciler;
use super::refusal;
use super::run::{Context, ReconcileError};
use crate::api::{ConditionKind, KEY_ROTATION_REQUESTED, MaiInstance, MaiInstanceStatus, PAUSED, Reason};
use crate::core::{
    Blocked, Effect, EventKind, InstanceId, KeyPlace, KeyRecord, Observed, Presence, Readiness, Record, RecordSnapshot,
    hash_texts,
};
use crate::fleet::BilledAccount;
use crate::fleet::keys::{
    KeyFacts, KeyFailure, KeyHand, KeyOutcome, KeyState, KeyStep, KeyUse, SeenKeys, Wanted, after, key_value, next,
    state,
};
use crate::runtime::Apply;
use crate::source::{Reader, SecretError, Source};

/// More steps than any way from one state to another takes. What is left is done after the next
/// reconciliation.
const STEPS: usize = 8;
/// Longest request that is remembered, in characters.
const LONGEST_REQUEST: usize = 64;

/// The keys of all instances, and their steps under way.
pub(super) struct Keys {
    hand: KeyHand,
    /// By uid.
    known: Mutex<HashMap<String, Known>>,
    /// Instances that are to be reconciled since a step was taken.
    changed: UnboundedSender<ObjectRef<MaiInstance>>,
}

/// The keys of one instance.
#[derive(Clone, Debug, Default)]
struct Known {
    record: KeyRecord,
    seen: Option<SeenKeys>,
    failure: Option<Failure>,
    is_busy: bool,
    /// The management key that was read last. A deleted instance may outlive its Secret.
    management_key: Option<(KeyPlace, SecretString)>,
}

#[derive(Clone, Debug)]
struct Failure {
    what: KeyFailure,
    /// In a row.
    times: u32,
    retry_at: Instant,
    /// Hash of the document and the management key that it is about.
    cause: String,
}

/// Knowledge of the keys of one instance for one decision.
pub(super) struct KeyObservation {
    wanted: Wanted,
    used: KeyUse,
    requests: BTreeSet<String>,
}

impl KeyObservation {
    /// Returns what an observation says. `key` is the hash of the key of the declared workload.
    pub(super) fn new(instance: &MaiInstance, observation: &Observation, key: Option<String>) -> Self {
        let is_paused = instance.annotations().get(PAUSED).is_some_and(|value| value == "true");
        let asked = instance.annotations().get(KEY_ROTATION_REQUESTED);
        let observed = observation.observed.as_ref().ok();
        let commanded = observed.and_then(|observed| observed.jobs.key_rotation.as_ref());
        let shortened = |request: &String| request.chars().take(LONGEST_REQUEST).collect();
        Self {
            wanted: Wanted::from_instance(instance, is_paused || refusal(instance).is_some()),
            used: used(observed, observation.desired.is_ok(), key),
            requests: asked.into_iter().chain(commanded).map(shortened).collect(),
        }
    }

    /// Returns whether a key may be made, of which nobody would know if the document went unnoticed.
    pub(super) fn makes_keys(&self) -> bool {
        matches!(self.wanted, Wanted::Key(_))
    }

    fn facts<'a>(&'a self, known: &'a Known) -> KeyFacts<'a> {
        KeyFacts {
            wanted: &self.wanted,
            record: &known.record,
            seen: known.seen.as_ref(),
            used: &self.used,
            requests: &self.requests,
            now: Timestamp::now(),
        }
    }
}

/// Returns the key that a server uses. One that is being replaced may come back.
fn used(observed: Option<&Observed>, is_derived: bool, key: Option<String>) -> KeyUse {
    let Some(observed) = observed.filter(|observed| observed.retained.is_none()) else { return KeyUse::Unknown };
    match &observed.presence {
        Presence::Absent | Presence::Stopped => KeyUse::Nothing,
        Presence::Running { readiness: Readiness::Ready { .. }, .. }
            if is_derived && observed.effect() != Some(Effect::Recreate) =>
        {
            KeyUse::Key(key.unwrap_or_default())
        }
        _ => KeyUse::Unknown,
    }
}

impl Keys {
    pub(super) fn new(changed: UnboundedSender<ObjectRef<MaiInstance>>) -> Self {
        Self { hand: KeyHand::default(), known: Mutex::default(), changed }
    }

    /// Takes up what is recorded of an instance, unless more is known.
    pub(super) fn load(&self, uid: &str, record: &KeyRecord) {
        self.known.lock().entry(uid.to_owned()).or_insert_with(|| Known { record: record.clone(), ..Known::default() });
    }

    /// Returns the hash and the value of the key for the server of an instance.
    pub(super) fn value(
        &self,
        instance: &MaiInstance,
        uid: &str,
    ) -> (Option<String>, Result<Option<SecretString>, Blocked>) {
        let known = self.get(uid);
        let failure = known.failure.as_ref().map(|failure| &failure.what);
        let hash = known.record.current.as_ref().map(|key| key.hash.clone());
        (hash, key_value(instance, &known.record, failure))
    }

    /// Returns the account that has the bill of an instance, once its management key was read.
    pub(super) fn account(&self, uid: &str) -> Option<BilledAccount> {
        let known = self.get(uid);
        let (place, key) = known.management_key?;
        let current = known.record.current.as_ref().filter(|current| current.place == place);
        current.and_then(|_| BilledAccount::new(&known.record, key))
    }

    /// Returns the state of the key of an instance.
    pub(super) fn state(&self, uid: &str, observation: &KeyObservation) -> KeyState {
        let known = self.get(uid);
        state(&observation.facts(&known), known.failure.as_ref().map(|failure| &failure.what))
    }

    /// Forgets an instance that is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.known.lock().remove(uid);
    }

    /// Begins the next step for an instance, if one is due. Returns the time until the next may be.
    pub(super) async fn advance<S: Source, R: Apply, K: Record>(
        self: &Arc<Self>,
        context: &Arc<Context<S, R, K>>,
        instance: &MaiInstance,
        id: &InstanceId,
        observation: KeyObservation,
    ) -> Option<Duration> {
        let known = self.get(&id.uid);
        let step = next(&observation.facts(&known));
        if let KeyStep::Wait(left) = step {
            return left;
        }
        if let Some(failure) = &known.failure {
            let left = failure.retry_at.saturating_duration_since(Instant::now());
            if !left.is_zero() && failure.cause == self.cause(context, instance, &step).await {
                return Some(left);
            }
        }
        {
            let mut all = self.known.lock();
            let known = all.entry(id.uid.clone()).or_default();
            if std::mem::replace(&mut known.is_busy, true) {
                return None;
            }
        }
        let (keys, context) = (Arc::clone(self), Arc::clone(context));
        let (instance, id) = (instance.clone(), id.clone());
        tokio::spawn(async move {
            keys.take_steps(&context, &instance, &id, &observation).await;
            keys.update(&id.uid, |known| known.is_busy = false);
            // Nobody listens while the program ends.
            let _ = keys.changed.send(ObjectRef::new(&id.name).within(&id.namespace));
        });
        None
    }

    async fn take_steps<S: Source, R: Apply, K: Record>(
        &self,
        context: &Context<S, R, K>,
        instance: &MaiInstance,
        id: &InstanceId,
        observation: &KeyObservation,
    ) {
        for _ in 0..STEPS {
            let known = self.get(&id.uid);
            let facts = observation.facts(&known);
            let step = next(&facts);
            let taken = match &step {
                KeyStep::Wait(_) => return,
                KeyStep::Record(record) => self.record(context, id, record).await,
                _ => self.take(context, instance, id, &facts, &step).await,
            };
            let Err(what) = taken else {
                self.update(&id.uid, |known| known.failure = None);
                continue;
            };
            tracing::warn!(instance = id.log_name(), "key at the upstream: {}", what.message);
            let times = known.failure.as_ref().map_or(1, |failure| failure.times.saturating_add(1));
            let delay = key_retry_delay(times).max(what.retry_after.unwrap_or_default());
            let cause = self.cause(context, instance, &step).await;
            let failure = Failure { what, times, retry_at: Instant::now() + delay, cause };
            self.update(&id.uid, |known| known.failure = Some(failure));
            return;
        }
    }

    /// Takes one step, and records what came of it.
    async fn take<S: Source, R: Apply, K: Record>(
        &self,
        context: &Context<S, R, K>,
        instance: &MaiInstance,
        id: &InstanceId,
        facts: &KeyFacts<'_>,
        step: &KeyStep,
    ) -> Result<(), KeyFailure> {
        let Some(place) = step.place() else { return Ok(()) };
        let key = self.management_key(context, instance, id, place).await?;
        if !matches!(step, KeyStep::List(_)) {
            // Whatever becomes of the call, what was listed may not be so any more.
            self.update(&id.uid, |known| known.seen = None);
        }
        let outcome = self.hand.perform(id, step, &key).await?;
        if let KeyOutcome::Listed(keys) = &outcome {
            let seen = SeenKeys { place: place.clone(), at: facts.now, keys: keys.clone() };
            self.update(&id.uid, |known| known.seen = Some(seen));
        }
        let record = after(facts, step, &outcome);
        if record != *facts.record {
            self.record(context, id, &record).await?;
        }
        tracing::debug!(instance = id.log_name(), "key at the upstream: {}", word(step));
        Ok(())
    }

    async fn record<S, R, K: Record>(
        &self,
        context: &Context<S, R, K>,
        id: &InstanceId,
        record: &KeyRecord,
    ) -> Result<(), KeyFailure> {
        context.record.put_keys(id, record).await.map_err(|error| KeyFailure {
            reason: Reason::ApplyFailed,
            message: format!("the key could not be recorded: {error}"),
            retry_after: None,
        })?;
        self.update(&id.uid, |known| known.record = record.clone());
        Ok(())
    }

    async fn management_key<S: Source, R, K>(
        &self,
        context: &Context<S, R, K>,
        instance: &MaiInstance,
        id: &InstanceId,
        place: &KeyPlace,
    ) -> Result<SecretString, KeyFailure> {
        match context.source.secret(&Reader::from(instance), &place.management).await {
            Ok(key) => {
                self.update(&id.uid, |known| known.management_key = Some((place.clone(), key.clone())));
                Ok(key)
            }
            Err(error) => {
                let known = self.get(&id.uid).management_key.filter(|(of, _)| of == place);
                let known = known.filter(|_| instance.metadata.deletion_timestamp.is_some());
                known.map(|(_, key)| key).ok_or_else(|| KeyFailure {
                    reason: error.reason(),
                    message: error.to_string(),
                    retry_after: None,
                })
            }
        }
    }

    /// Returns a hash of what a failure may be about, so that a correction is tried at once.
    async fn cause<S: Source, R, K>(
        &self,
        context: &Context<S, R, K>,
        instance: &MaiInstance,
        step: &KeyStep,
    ) -> String {
        let generation = instance.metadata.generation.unwrap_or_default().to_string();
        let Some(place) = step.place() else { return generation };
        let key = context.source.secret(&Reader::from(instance), &place.management).await;
        let key = key.unwrap_or_else(|error: SecretError| SecretString::from(error.to_string()));
        hash_texts([generation.as_str(), place.base_url.as_str(), key.expose_secret()])
    }

    fn get(&self, uid: &str) -> Known {
        self.known.lock().get(uid).cloned().unwrap_or_default()
    }

    fn update(&self, uid: &str, update: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known.lock().get_mut(uid) {
            update(known);
        }
    }
}

impl<S: Source, R: Apply, K: Record> Reconciler<S, R, K> {
    /// Returns the hash of the key of an instance at its upstream, and the secrets that were made for it.
    pub(super) fn own_secrets<'a>(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        snapshot: &'a RecordSnapshot,
    ) -> (Option<String>, OwnSecrets<'a>) {
        let (hash, upstream_key) = match &snapshot.keys {
            Ok(record) => {
                self.keys.load(&id.uid, record);
                self.keys.value(instance, &id.uid)
            }
            Err(problem) => (None, Err(Blocked::new(Reason::MissingSecret, problem.clone()))),
        };
        (hash, OwnSecrets { session_key: &snapshot.session_key, upstream_key })
    }

    /// Begins the next step for the key of an instance. Returns its state, and the time until the next
    /// step may be due.
    pub(super) async fn advance_key(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        snapshot: &RecordSnapshot,
        observation: &Observation,
        key: Option<String>,
    ) -> Result<(KeyState, Option<Duration>), ReconcileError> {
        if snapshot.keys.is_err() {
            return Ok((KeyState::default(), None));
        }
        let seen = KeyObservation::new(instance, observation, key);
        let state = self.keys.state(&id.uid, &seen);
        if seen.makes_keys() {
            self.add_finalizer(instance, id).await?;
        }
        let left = self.keys.advance(&self.context, instance, id, seen).await;
        Ok((state, left))
    }
}

/// Returns the event of a change of the key, if there is one.
pub(super) fn event(
    previous: &MaiInstanceStatus,
    status: &MaiInstanceStatus,
) -> Option<(EventKind, &'static str, String)> {
    let of = |status: &MaiInstanceStatus| {
        status
            .condition(ConditionKind::KeyHealthy)
            .map(|condition| (condition.status.clone(), condition.reason.clone()))
    };
    let hash = |status: &MaiInstanceStatus| status.open_router_key.as_ref().map(|key| key.hash.clone());
    let condition = status.condition(ConditionKind::KeyHealthy)?;
    if of(previous) != of(status) && condition.status == "False" {
        return Some((EventKind::Warning, "KeyFailed", condition.message.clone()));
    }
    let key = status.open_router_key.as_ref().filter(|_| hash(previous) != hash(status))?;
    Some((EventKind::Normal, "KeyMade", format!("a key of the client was made at the upstream (hash {})", key.hash)))
}

fn word(step: &KeyStep) -> &'static str {
    match step {
        KeyStep::Wait(_) => "nothing to do",
        KeyStep::Record(_) => "recorded",
        KeyStep::List(_) => "listed",
        KeyStep::Mint(..) => "made",
        KeyStep::Change(..) => "changed",
        KeyStep::Disable(..) => "disabled",
        KeyStep::Delete(..) => "deleted",
    }
}
