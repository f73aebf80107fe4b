//! The loop: keyed, deduplicated, bounded, with back-off for each instance; the same for every
//! source and every runtime.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use kube::runtime::controller::{Config, Error as ApplierError, ReconcileRequest};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, PredicateConfig, WatchStreamExt, applier, predicates, watcher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::desired::watched;
use super::overview::Overview;
use super::reconciler::{Reconciler, on_error, reconcile};
use crate::api::MaiInstance;
use crate::core::{Platform, Record, RecordError, log_name};
use crate::fleet::CountsMonitor;
use crate::runtime::{Apply, RuntimeError};
use crate::source::{Documents, Rotated, Source};

/// Options of the loop.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Instances reconciled at once.
    pub concurrency: u16,
    /// Interval between reconciliations of every instance, whatever was missed.
    pub resync: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { concurrency: 16, resync: Duration::from_secs(20) }
    }
}

/// The documents of a source on their way into a store that others may read as well.
pub struct InstanceFeed {
    documents: Documents,
    store: Store<MaiInstance>,
    writer: reflector::store::Writer<MaiInstance>,
}

impl InstanceFeed {
    /// Makes a feed of these documents.
    pub fn new(documents: Documents) -> Self {
        let (store, writer) = reflector::store();
        Self { documents, store, writer }
    }

    /// Returns the store with every known instance, as last seen.
    pub fn store(&self) -> Store<MaiInstance> {
        self.store.clone()
    }
}

/// Metrics of reconciliations.
pub trait ReconcileMetrics: Send + Sync {
    /// Records a reconciliation that has ended.
    fn record_reconciliation(&self, took: Duration, outcome: Result<(), &ReconcileError>);
}

impl ReconcileMetrics for () {
    fn record_reconciliation(&self, _: Duration, _: Result<(), &ReconcileError>) {}
}

/// Everything the loop works with.
pub struct Context<S, R, K> {
    /// Resolves secrets and manages finalizers.
    pub source: S,
    /// Observes and applies.
    pub runtime: R,
    /// Stores what has to survive.
    pub record: K,
    /// Receives each change of readiness.
    pub transitions: UnboundedSender<Transition>,
    /// Records each reconciliation.
    pub metrics: Box<dyn ReconcileMetrics>,
    /// Knows the present state of each instance.
    pub overview: Arc<Overview>,
    /// Asks servers for their counts.
    pub counts: Arc<CountsMonitor>,
    /// Image that makes backups of instances whose own image does not hold our program.
    pub helper_image: Option<String>,
}

/// A change of the readiness of an instance.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Namespace of the instance.
    pub namespace: String,
    /// Name of the instance.
    pub name: String,
    /// It is ready now.
    pub ready: bool,
    /// Reason of its Ready condition.
    pub reason: String,
    /// Message of its Ready condition.
    pub message: String,
    /// URL people open.
    pub address: Option<String>,
    /// Address it listens on.
    pub listen: Option<SocketAddr>,
    /// Its document and its workload are gone.
    pub gone: bool,
}

/// Failure of a reconciliation. It is repeated with back-off.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The document lacks a field of its metadata, which no source should let happen.
    #[error("the document has no {0}")]
    Incomplete(&'static str),
    /// An action failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The record could not be loaded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A finalizer could not be added or removed.
    #[error(transparent)]
    Source(#[from] crate::source::SourceError),
}

impl ReconcileError {
    /// Returns its reason, one of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "Incomplete",
            Self::Runtime(error) => error.reason().into(),
            Self::Record(_) => "RecordFailed",
            Self::Source(_) => "SourceFailed",
        }
    }
}

/// Runs until `shutdown` resolves. Reconciliations under way are finished.
pub async fn run<S: Source, R: Apply, K: Record>(
    feed: InstanceFeed,
    context: Arc<Context<S, R, K>>,
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let InstanceFeed { documents, store, writer } = feed;
    let shutdown = shutdown.boxed().shared();
    let (keys, changed_keys) = unbounded_channel();
    let queue =
        requests(documents, writer, &store, &context, options.resync, changed_keys).take_until(shutdown.clone());
    let reconciler = Arc::new(Reconciler::new(context, store.clone(), keys));
    let config = Config::default().concurrency(options.concurrency);
    let reconciliations = applier(reconcile::<S, R, K>, on_error, reconciler, store.clone(), queue, config).for_each(
        |outcome| async move {
            match outcome {
                // A trigger for an instance that has just gone.
                Ok(_) | Err(ApplierError::ObjectNotFound(_)) => {}
                Err(ApplierError::ReconcilerFailed(error, instance)) => {
                    let namespace = instance.namespace.unwrap_or_default();
                    tracing::warn!(instance = log_name(&namespace, &instance.name), "{error}")
                }
                Err(error) => tracing::warn!("{error}"),
            }
        },
    );
    // The applier waits for the first full list even before it ends.
    let ended_early = async {
        shutdown.await;
        if store.wait_until_ready().now_or_never().is_some() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = reconciliations => {}
        () = ended_early => {}
    }
}

/// Returns everything that is a reason to reconcile an instance.
fn requests<S: Source, R: Apply, K: Record>(
    documents: Documents,
    writer: reflector::store::Writer<MaiInstance>,
    store: &Store<MaiInstance>,
    context: &Context<S, R, K>,
    resync: Duration,
    changed_keys: UnboundedReceiver<ObjectRef<MaiInstance>>,
) -> BoxStream<'static, Result<ReconcileRequest<MaiInstance>, watcher::Error>> {
    let everything = |store: Store<MaiInstance>| {
        move || stream::iter(store.state().into_iter().map(|instance| ObjectRef::from_obj(instance.as_ref())))
    };
    let overview = Arc::clone(&context.overview);
    let declared = reflector::reflector(writer, documents)
        .inspect_ok(move |event| {
            if matches!(event, watcher::Event::InitDone) {
                overview.record_list();
            }
        })
        .touched_objects()
        .predicate_filter(decisive_parts(), PredicateConfig::default())
        .map_ok(|instance| ObjectRef::from_obj(&instance));
    let changed = stream::select(context.runtime.changes(), context.counts.changes())
        .map(|id| ObjectRef::new(&id.name).within(&id.namespace));
    let rotated = {
        let (store, platform) = (store.clone(), context.runtime.platform());
        context.source.secret_changes().flat_map(move |rotated| {
            let affected = store.state().into_iter().filter(move |instance| uses(instance, &rotated, &platform));
            stream::iter(affected.map(|instance| ObjectRef::from_obj(instance.as_ref())))
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
    let undeclared = {
        let keys = UnboundedReceiverStream::new(changed_keys);
        stream::select_all([changed.boxed(), rotated.boxed(), ticks.boxed(), keys.boxed()]).map(Ok)
    };
    stream::select(declared, undeclared).map_ok(ReconcileRequest::from).boxed()
}

/// Returns a predicate over the parts of a document that decisions depend on. Its status is written
/// by the loop itself.
fn decisive_parts() -> impl Predicate<MaiInstance> {
    let deleted = |instance: &MaiInstance| Some(instance.metadata.deletion_timestamp.is_some().into());
    predicates::generation.combine(deleted).combine(predicates::labels).combine(predicates::annotations)
}

/// Returns whether an instance uses a secret that may have changed.
fn uses(instance: &MaiInstance, rotated: &Rotated, platform: &Platform) -> bool {
    match rotated {
        Rotated::Any => true,
        Rotated::One { namespace, name } => {
            instance.metadata.namespace.as_ref() == Some(namespace)
                && watched(instance, platform).iter().any(|reference| reference.name == *name)
        }
    }
}
