//! The loop: keyed, deduplicated, bounded, with a back-off for each instance; the same for every source and every runtime.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config, Error as ApplierError, ReconcileRequest};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, applier, predicates, watcher};
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::backoff::retry_delay;
use super::desired::{listen, references};
use super::look::{View, identity};
use super::{Decision, Kept, Memory, Record, RecordError, Step, decide, status};
use crate::api::{ConditionKind, FINALIZER, MaiInstance, MaiInstanceStatus, Reason};
use crate::runtime::{Ground, InstanceId, Runtime, RuntimeError, in_logs};
use crate::source::{Documents, Rotated, Source};
use crate::state::EventKind;

/// More steps than any way from one state to another takes; a pass that needs more goes on in the next.
const STEPS_IN_A_PASS: usize = 6;

/// How the loop runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instances worked on at once.
    pub concurrency: u16,
    /// How often every instance is looked at, whatever was missed.
    pub resync: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 16, resync: Duration::from_secs(20) }
    }
}

/// The documents of a source on their way into a store that others may read as well.
pub struct Feed {
    documents: Documents,
    store: Store<MaiInstance>,
    writer: reflector::store::Writer<MaiInstance>,
}

impl Feed {
    /// A feed of these documents.
    pub fn new(documents: Documents) -> Self {
        let (store, writer) = reflector::store();
        Self { documents, store, writer }
    }

    /// Every instance that is known, as it was last seen.
    pub fn store(&self) -> Store<MaiInstance> {
        self.store.clone()
    }
}

/// Told of each pass, to count it.
pub trait Meter: Send + Sync {
    /// A pass over one instance has ended.
    fn pass(&self, took: Duration, outcome: Result<(), &ReconcileError>);
}

impl Meter for () {
    fn pass(&self, _: Duration, _: Result<(), &ReconcileError>) {}
}

/// What the loop works with.
pub struct Context<S, R, K> {
    /// Gives secrets and lets deleted documents go.
    pub source: S,
    /// Observes and applies.
    pub runtime: R,
    /// Keeps what has to survive.
    pub record: K,
    /// Told of each change of readiness, for whoever watches.
    pub transitions: UnboundedSender<Transition>,
    /// Told of each pass.
    pub meter: Box<dyn Meter>,
}

/// A change of how an instance stands.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Namespace of the instance.
    pub namespace: String,
    /// Name of the instance.
    pub name: String,
    /// Whether it answers now.
    pub ready: bool,
    /// Reason of its Ready condition.
    pub reason: String,
    /// Message of its Ready condition.
    pub message: String,
    /// Where people open it.
    pub address: Option<String>,
    /// Where it listens on this machine.
    pub listen: Option<SocketAddr>,
    /// Its document and its workload are gone.
    pub gone: bool,
}

/// Why a pass over an instance did not end well. It is repeated with back-off.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The document has no uid or name yet, which no source should let happen.
    #[error("the document has no {0}")]
    Incomplete(&'static str),
    /// A step could not be done.
    #[error(transparent)]
    Step(#[from] RuntimeError),
    /// What is kept could not be recalled.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The source could not hold a document or let it go.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
}

impl ReconcileError {
    /// In one word, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "Incomplete",
            Self::Step(error) => reason(error).into(),
            Self::Record(_) => "RecordFailed",
            Self::Source(_) => "SourceFailed",
        }
    }
}

struct Shared<S, R, K> {
    context: Arc<Context<S, R, K>>,
    store: Store<MaiInstance>,
    /// Failed passes in a row, for the back-off; worth nothing after a restart, so it is not kept.
    failures: Mutex<HashMap<String, u32>>,
    /// What is on record, by uid. Nobody else writes there while this reconciler is at work, so a pass need not read.
    kept: Mutex<HashMap<String, Kept>>,
    /// Instances whose documents were held by this run.
    held: Mutex<HashSet<String>>,
    /// Instances of which this run has told something: what is found as it should be is told once, too.
    told: Mutex<HashSet<String>>,
}

/// Runs until `shutdown` resolves; passes under way are finished.
pub async fn run<S: Source, R: Runtime, K: Record>(
    feed: Feed,
    context: Arc<Context<S, R, K>>,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let Feed { documents, store, writer } = feed;
    let shutdown = shutdown.boxed().shared();
    let queue = requests(documents, writer, &store, &context, options.resync).take_until(shutdown.clone());
    let shared = Arc::new(Shared {
        context,
        store: store.clone(),
        failures: Mutex::default(),
        kept: Mutex::default(),
        held: Mutex::default(),
        told: Mutex::default(),
    });
    let config = Config::default().concurrency(options.concurrency);
    let passes =
        applier(reconcile::<S, R, K>, on_error, shared, store.clone(), queue, config).for_each(|outcome| async move {
            match outcome {
                // A trigger for what has just left; nothing to do.
                Ok(_) | Err(ApplierError::ObjectNotFound(_)) => {}
                Err(ApplierError::ReconcilerFailed(error, instance)) => {
                    let namespace = instance.namespace.unwrap_or_default();
                    tracing::warn!(instance = in_logs(&namespace, &instance.name), "{error}")
                }
                Err(error) => tracing::warn!("{error}"),
            }
        });
    // The applier waits for the first full list before it does anything, even before it ends.
    let called_off = async {
        shutdown.await;
        if store.wait_until_ready().now_or_never().is_some() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = passes => {}
        () = called_off => {}
    }
}

/// Everything that is a reason to look at an instance.
fn requests<S: Source, R: Runtime, K: Record>(
    documents: Documents,
    writer: reflector::store::Writer<MaiInstance>,
    store: &Store<MaiInstance>,
    context: &Context<S, R, K>,
    resync: Duration,
) -> BoxStream<'static, Result<ReconcileRequest<MaiInstance>, watcher::Error>> {
    let everything = |store: Store<MaiInstance>| {
        move || stream::iter(store.state().into_iter().map(|instance| ObjectRef::from_obj(instance.as_ref())))
    };
    let touched = reflector::reflector(writer, documents)
        .touched_objects()
        .predicate_filter(declared(), PredicateConfig::default())
        .map_ok(|instance| ObjectRef::from_obj(&instance));
    let changed = context.runtime.changes().map(|id| ObjectRef::new(&id.name).within(&id.namespace));
    let rotated = {
        let (store, ground) = (store.clone(), context.runtime.ground());
        context.source.secret_changes().flat_map(move |rotated| {
            let told = store.state().into_iter().filter(move |instance| uses(instance, &rotated, ground));
            stream::iter(told.map(|instance| ObjectRef::from_obj(instance.as_ref())))
        })
    };
    let ticks = {
        let everything = everything(store.clone());
        let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + resync, resync);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        stream::unfold(interval, |mut interval| async move {
            interval.tick().await;
            Some(((), interval))
        })
        .flat_map(move |()| everything())
    };
    let by_ourselves = stream::select_all([changed.boxed(), rotated.boxed(), ticks.boxed()]).map(Ok);
    stream::select(touched, by_ourselves).map_ok(ReconcileRequest::from).boxed()
}

/// What is decided by of a document. Its status is written by the loop itself.
fn declared() -> impl Predicate<MaiInstance> {
    let leaving = |instance: &MaiInstance| Some(instance.metadata.deletion_timestamp.is_some().into());
    predicates::generation.combine(leaving).combine(predicates::labels).combine(predicates::annotations)
}

/// Whether an image that could not be had is only tried for again.
fn is_retry(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> bool {
    previous.reason(ConditionKind::Ready) == Some(Reason::ImageUnavailable)
        && previous.observed_generation == status.observed_generation
}

fn uses(instance: &MaiInstance, rotated: &Rotated, ground: Ground) -> bool {
    match rotated {
        Rotated::Any => true,
        Rotated::One { namespace, name } => {
            instance.metadata.namespace.as_ref() == Some(namespace)
                && references(instance, ground).iter().any(|reference| reference.name == *name)
        }
    }
}

fn on_error<S, R, K>(instance: Arc<MaiInstance>, _: &ReconcileError, shared: Arc<Shared<S, R, K>>) -> Action {
    let mut failures = shared.failures.lock();
    let count = failures.entry(key(&instance)).or_default();
    *count += 1;
    Action::requeue(retry_delay(*count, rand::random()))
}

fn reconcile<S: Source, R: Runtime, K: Record>(
    instance: Arc<MaiInstance>,
    shared: Arc<Shared<S, R, K>>,
) -> BoxFuture<'static, Result<Action, ReconcileError>> {
    async move {
        let began = Instant::now();
        let outcome = shared.pass(&instance).await;
        shared.context.meter.pass(began.elapsed(), outcome.as_ref().map(drop));
        outcome
    }
    .boxed()
}

impl<S: Source, R: Runtime, K: Record> Shared<S, R, K> {
    async fn pass(&self, instance: &MaiInstance) -> Result<Action, ReconcileError> {
        let id = identity(instance).map_err(ReconcileError::Incomplete)?;
        for _ in 0..STEPS_IN_A_PASS {
            if let Some(action) = self.step(instance, &id).await? {
                self.failures.lock().remove(&key(instance));
                return Ok(action);
            }
        }
        Ok(Action::requeue(Duration::ZERO))
    }

    /// Observes, decides, does one step. `None` means: look again at once.
    async fn step(&self, instance: &MaiInstance, id: &InstanceId) -> Result<Option<Action>, ReconcileError> {
        let Context { runtime, source, .. } = self.context.as_ref();
        let Kept { status: mut previous, memory, session_key } = self.kept(instance, id).await?;
        let view = View::of(instance, id, || self.store.state(), &session_key, source, runtime).await;
        let Decision { step, status, mut memory, wake } = decide(&view.facts(instance, &memory, &previous));

        match step {
            Step::Wait => {
                self.note(instance, id, &previous, &status, &memory).await;
                return Ok(Some(wake.map_or_else(Action::await_change, Action::requeue)));
            }
            Step::Start | Step::Resume | Step::Update(_) | Step::Replace(_) | Step::Prepare(_) => {
                // Without a workload the brain never says any of these.
                let Ok(workload) = view.wanted else { return Ok(None) };
                tracing::info!(instance = id.in_logs(), "{step}");
                self.hold(instance, id).await?;
                // On a server these take a while, so people are told before; of an image that is tried for again they know more already.
                let takes_a_while = match step {
                    Step::Replace(_) => runtime.ground() == Ground::Server,
                    Step::Prepare(_) => !is_retry(&previous, &status),
                    _ => false,
                };
                if takes_a_while {
                    self.note(instance, id, &previous, &status, &memory).await;
                    previous.clone_from(&status);
                }
                let outcome = match step {
                    Step::Prepare(_) => runtime.prepare(&workload).await,
                    Step::Start => runtime.start(&workload).await,
                    Step::Resume => runtime.resume(id).await,
                    Step::Update(_) => runtime.update(&workload).await,
                    _ => runtime.replace(&workload).await,
                };
                let status = match &outcome {
                    Ok(()) => status,
                    Err(error) => {
                        status::with_failure(&previous, &status, reason(error), &error.to_string(), Timestamp::now())
                    }
                };
                self.note(instance, id, &previous, &status, &memory).await;
                outcome?;
            }
            Step::Commit => {
                self.note(instance, id, &previous, &status, &memory).await;
                runtime.commit(id).await?;
            }
            Step::RollBack(why) => {
                tracing::warn!(instance = id.in_logs(), "rolling back: {why}");
                // Written down first: after a crash in the middle the rejected workload must not be taken for a new one.
                self.note(instance, id, &previous, &status, &memory).await;
                runtime.roll_back(id).await?;
            }
            Step::Stop(why) => {
                tracing::info!(instance = id.in_logs(), "stopping: {why}");
                self.note(instance, id, &previous, &status, &memory).await;
                runtime.stop(id).await?;
                memory.counted_exit = memory.counted_exit.max(Some(Timestamp::now()));
                self.remember(id, &memory).await;
            }
            Step::Remove => {
                runtime.remove(id).await?;
                memory.removed = true;
                self.remember(id, &memory).await;
            }
            Step::RemoveData => {
                runtime.remove_data(id).await?;
                memory.data_removed = true;
                self.remember(id, &memory).await;
            }
            Step::Release => {
                self.remember(id, &Memory::default()).await;
                source.release(&id.namespace, &id.name).await?;
                self.tell(instance, id, &status, true).await;
                self.kept.lock().remove(&id.uid);
                self.told.lock().remove(&id.uid);
                self.held.lock().remove(&id.uid);
                return Ok(Some(Action::await_change()));
            }
        }
        Ok(None)
    }

    /// Nothing is made for an instance whose document could go without a word.
    async fn hold(&self, instance: &MaiInstance, id: &InstanceId) -> Result<(), ReconcileError> {
        let marked = instance.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
        if !marked && !self.held.lock().contains(&id.uid) {
            self.context.source.hold(&id.namespace, &id.name, &id.uid).await?;
            self.held.lock().insert(id.uid.clone());
        }
        Ok(())
    }

    async fn kept(&self, instance: &MaiInstance, id: &InstanceId) -> Result<Kept, RecordError> {
        if let Some(kept) = self.kept.lock().get(&id.uid) {
            return Ok(kept.clone());
        }
        let leaving = instance.metadata.deletion_timestamp.is_some();
        let kept = self.context.record.recall(instance, id, !leaving).await?;
        if kept.session_key.is_ok() {
            self.kept.lock().insert(id.uid.clone(), kept.clone());
        }
        Ok(kept)
    }

    /// Writes down what changed and nothing else. A state database that refuses (a full disk) does not keep a server from being
    /// repaired, so it is logged and not returned.
    async fn note(
        &self,
        instance: &MaiInstance,
        id: &InstanceId,
        previous: &MaiInstanceStatus,
        status: &MaiInstanceStatus,
        memory: &Memory,
    ) {
        self.remember(id, memory).await;
        let first = self.told.lock().insert(id.uid.clone());
        if status == previous {
            if first {
                self.announce(instance, status, false);
            }
            return;
        }
        match self.context.record.put_status(id, status).await {
            Ok(()) => self.keep(id, |kept| kept.status.clone_from(status)),
            Err(error) => tracing::error!(instance = id.in_logs(), "the status could not be kept: {error}"),
        }
        fn readiness(status: &MaiInstanceStatus) -> Option<(&str, &str)> {
            status.condition(ConditionKind::Ready).map(|ready| (ready.status.as_str(), ready.reason.as_str()))
        }
        if readiness(previous) != readiness(status) {
            self.tell(instance, id, status, false).await;
        }
    }

    async fn remember(&self, id: &InstanceId, memory: &Memory) {
        if self.kept.lock().get(&id.uid).is_some_and(|kept| kept.memory == *memory) {
            return;
        }
        match self.context.record.put_memory(id, memory).await {
            Ok(()) => self.keep(id, |kept| kept.memory.clone_from(memory)),
            Err(error) => tracing::error!(instance = id.in_logs(), "what was done could not be kept: {error}"),
        }
    }

    fn keep(&self, id: &InstanceId, change: impl FnOnce(&mut Kept)) {
        if let Some(kept) = self.kept.lock().get_mut(&id.uid) {
            change(kept);
        }
    }

    /// An event for the record, and word for whoever watches.
    async fn tell(&self, instance: &MaiInstance, id: &InstanceId, status: &MaiInstanceStatus, gone: bool) {
        let Some(ready) = status.condition(ConditionKind::Ready) else { return };
        let stalled = status.condition_holds(ConditionKind::Stalled) == Some(true);
        let kind = if stalled { EventKind::Warning } else { EventKind::Normal };
        let (reason, message) = if gone {
            ("Deleted", "the server is stopped and the document is gone")
        } else {
            (ready.reason.as_str(), ready.message.as_str())
        };
        if let Err(error) = self.context.record.event(id, kind, reason, message).await {
            tracing::error!(instance = id.in_logs(), "an event could not be kept: {error}");
        }
        self.announce(instance, status, gone);
    }

    fn announce(&self, instance: &MaiInstance, status: &MaiInstanceStatus, gone: bool) {
        let Some(ready) = status.condition(ConditionKind::Ready) else { return };
        let transition = Transition {
            namespace: instance.namespace().unwrap_or_default(),
            name: instance.name_any(),
            ready: status.condition_holds(ConditionKind::Ready) == Some(true),
            reason: ready.reason.clone(),
            message: ready.message.clone(),
            address: status.address.clone(),
            listen: listen(instance).ok(),
            gone,
        };
        // Nobody has to listen.
        let _ = self.context.transitions.send(transition);
    }
}

/// What failures are counted by.
fn key(instance: &MaiInstance) -> String {
    format!("{}/{}", instance.namespace().unwrap_or_default(), instance.name_any())
}

fn reason(error: &RuntimeError) -> Reason {
    match error {
        RuntimeError::NotWritable { .. } => Reason::DataNotWritable,
        RuntimeError::PortTaken { .. } => Reason::PortTaken,
        RuntimeError::Unsupported(_) => Reason::UnsupportedByRuntime,
        RuntimeError::Image { .. } => Reason::ImageUnavailable,
        RuntimeError::NameTaken { .. } => Reason::NameTaken,
        RuntimeError::Engine { .. } | RuntimeError::Failed { .. } => Reason::ApplyFailed,
    }
}
