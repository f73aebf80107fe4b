//! The reconciler of a cluster: the same loop, fed by the API server and working on it, with what a cluster asks of such a program.
//!
//! `leader` decides who of several is at work, `record` keeps what has to be kept in the cluster itself, `http` answers probes and
//! Prometheus, `metrics` counts.

mod fence;
mod http;
mod leader;
mod metrics;
mod record;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use kube::api::{Api, Patch, PatchParams};
use kube::client::ClientBuilder;
use kube::runtime::watcher;
use kube::{Client, Config};
use serde_json::json;
use tokio::sync::{Mutex, mpsc};

use crate::api::{API_VERSION, ConditionKind, Conditions, MaiInstance, Reason};
use crate::cluster::{error_message, names};
use crate::core::{EventKind, InstanceId, Record as _, log_name};
use crate::reconcile::{self, Context, InstanceFeed, Options, Transition};
use crate::runtime::kubernetes::{KubernetesOptions, KubernetesRuntime, Notice};
use crate::source::cluster::{ClusterOptions, ClusterSource, Invalid, problem_of};
use fence::Fence;
use http::Health;
use leader::Candidate;
use metrics::{Instances, Metrics, Passes};
pub(crate) use record::ClusterRecord;

/// Requests that may be under way at once, and instances worked on at once.
const CONCURRENCY: u16 = 16;
/// How often the API server is asked whether it is there.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Name of the Lease.
const LEASE: &str = "mai-operator";

/// How the operator runs.
#[derive(Clone, Debug)]
pub struct OperatorOptions {
    /// Namespaces that are looked after; all when empty.
    pub namespaces: BTreeSet<String>,
    /// Where probes and figures are served.
    pub listen: SocketAddr,
    /// How often every instance is looked at, whatever was missed.
    pub resync: Duration,
    /// Namespace of the Lease; without one this operator is at work at once, and must be the only one.
    pub lease_namespace: Option<String>,
    /// Who it is among several: the name of its pod.
    pub identity: String,
    /// Namespaces of the controllers that serve Ingresses and Gateways.
    pub entrances: BTreeSet<String>,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no way to an API server.
    #[error("there is no way to a cluster: {0}; set KUBECONFIG, or run it in a pod with a service account")]
    NoCluster(String),
    /// The address is taken.
    #[error("{0} cannot be listened on: {1}; stop the other program or name another address with --listen")]
    Listen(SocketAddr, std::io::Error),
    /// Somebody else may be at work from now on.
    #[error("{0}; another operator may be at work now, so this one ends at once")]
    LeadershipLost(String),
}

/// Runs until `stop` resolves.
pub async fn run(
    options: OperatorOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), OperatorError> {
    let config = Config::infer().await.map_err(|error| OperatorError::NoCluster(error.to_string()))?;
    let no_cluster = |error: kube::Error| OperatorError::NoCluster(error.to_string());
    let elections = Client::try_from(config.clone()).map_err(no_cluster)?;
    let fence = Fence::open();
    let client = ClientBuilder::try_from(config).map_err(no_cluster)?.with_layer(&fence).build();
    let stop = stop.boxed().shared();

    let instances = Instances::default();
    let mut metrics = Metrics::new();
    metrics.instances(instances.clone());
    let metrics = Arc::new(metrics);
    let silence = (options.resync * 3).max(Duration::from_secs(300));
    let health = Arc::new(Health::new(Arc::clone(&metrics), instances.clone(), silence));
    let address = http::serve(options.listen, Arc::clone(&health))
        .await
        .map_err(|error| OperatorError::Listen(options.listen, error))?;
    tracing::info!("probes and figures are served on {address}");

    let candidate = options
        .lease_namespace
        .as_ref()
        .map(|namespace| Candidate::new(elections, namespace, LEASE, options.identity.clone(), fence));
    let Some(candidate) = candidate else {
        work(client, &options, &health, &instances, stop).await;
        return Ok(());
    };
    let held = tokio::select! {
        held = candidate.win() => Mutex::new(held),
        () = stop.clone() => return Ok(()),
    };
    tokio::select! {
        biased;
        // Dropped where it stands: whatever is under way must not go on beside another operator.
        lost = candidate.keep(&held) => Err(OperatorError::LeadershipLost(lost)),
        () = work(client, &options, &health, &instances, stop) => {
            candidate.give_up(&*held.lock().await).await;
            Ok(())
        }
    }
}

/// What a leader does.
async fn work(
    client: Client,
    options: &OperatorOptions,
    health: &Arc<Health>,
    instances: &Instances,
    stop: impl Future<Output = ()> + Clone + Send + 'static,
) {
    health.metrics.leads(true);
    let (notices, noticed) = mpsc::unbounded_channel();
    let (invalid, misunderstood) = mpsc::unbounded_channel();
    let counted = Arc::clone(&health.metrics);
    let runtime = KubernetesRuntime::open(
        client.clone(),
        KubernetesOptions {
            namespaces: options.namespaces.clone(),
            entrances: options.entrances.clone(),
            on_watch_error: Arc::new(move |kind| counted.watch_failed(kind)),
            notices,
        },
    )
    .await;
    let counted = Arc::clone(&health.metrics);
    let (source, documents) = ClusterSource::open(
        client.clone(),
        ClusterOptions {
            namespaces: options.namespaces.clone(),
            // A little less than the time between two looks, so that each look reads anew.
            secrets_for: options.resync.mul_f64(0.9),
            invalid,
            on_watch_error: Arc::new(move |is_not_served| {
                counted.watch_failed("MaiInstance");
                if is_not_served {
                    counted.crd_is_missing(true);
                }
            }),
        },
    )
    .await;
    let (transitions, told) = mpsc::unbounded_channel();
    let record = ClusterRecord::new(client.clone(), options.identity.clone());
    let meter = Box::new(Passes(Arc::clone(&health.metrics)));
    let context = Arc::new(Context { source, runtime, record, transitions, metrics: meter });
    health.works(Arc::clone(&context));
    let listed = Arc::clone(health);
    let feed = InstanceFeed::new(
        documents
            .inspect_ok(move |event| {
                if matches!(event, watcher::Event::InitDone) {
                    listed.metrics.crd_is_missing(false);
                    listed.listed();
                }
            })
            .boxed(),
    );
    instances.set(feed.store());

    let helpers = [
        tokio::spawn(log_transitions(told)),
        tokio::spawn(publish(Arc::clone(&context), noticed)),
        tokio::spawn(tell_invalid(client.clone(), Arc::clone(&context), misunderstood)),
        tokio::spawn(listen_for_life(client, Arc::clone(health))),
        tokio::spawn(miss_routes(Arc::clone(&context), Arc::clone(health))),
    ];
    // What is there is known before anything is decided. Without permission for a kind it stays unknown, and each instance says so.
    tokio::select! {
        () = context.runtime.all_listed() => {}
        () = tokio::time::sleep(Duration::from_secs(10)) => {}
        () = stop.clone() => {}
    }
    let loop_options = Options { concurrency: CONCURRENCY, resync: options.resync };
    reconcile::run(feed, Arc::clone(&context), loop_options, stop).await;
    helpers.iter().for_each(tokio::task::JoinHandle::abort);
    health.metrics.leads(false);
}

async fn log_transitions(mut told: mpsc::UnboundedReceiver<Transition>) {
    while let Some(Transition { namespace, name, reason, message, gone, .. }) = told.recv().await {
        let instance = log_name(&namespace, &name);
        if gone {
            tracing::info!(instance, "gone");
        } else {
            tracing::info!(instance, "{reason}: {message}");
        }
    }
}

type Work = Context<ClusterSource, KubernetesRuntime, ClusterRecord>;

async fn publish(context: Arc<Work>, mut noticed: mpsc::UnboundedReceiver<Notice>) {
    while let Some(Notice { id, reason, message }) = noticed.recv().await {
        if let Err(error) = context.record.put_event(&id, EventKind::Warning, reason, &message).await {
            tracing::warn!(instance = id.log_name(), "an event could not be recorded: {error}");
        }
    }
}

/// Says on an object that is not understood that it is not, and leaves all else of it as it is.
async fn tell_invalid(client: Client, context: Arc<Work>, mut invalid: mpsc::UnboundedReceiver<Invalid>) {
    while let Some(Invalid { namespace, name, uid, generation, problem }) = invalid.recv().await {
        let api: Api<kube::api::DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource());
        let object = api.get_status(&name).await.ok();
        // The rules name the field, which who could not read it does not.
        let problem = object.as_ref().and_then(|object| problem_of(&name, &object.data["spec"])).unwrap_or(problem);
        let message = format!("the document is not understood by this version of mai: {problem}");
        let instance = log_name(&namespace, &name);
        tracing::warn!(instance, "{message}");
        let standing = object.map(|object| object.data["status"]["conditions"].clone());
        let standing = standing.and_then(|value| serde_json::from_value::<Vec<_>>(value).ok()).unwrap_or_default();
        let mut conditions = Conditions::from_previous(&standing, generation, jiff::Timestamp::now());
        conditions.set(ConditionKind::Stalled, Some(true), Reason::InvalidDocument, &message);
        conditions.set(ConditionKind::DocumentValid, Some(false), Reason::InvalidDocument, &message);
        if !standing.iter().any(|condition| condition.type_ == ConditionKind::Ready.as_ref()) {
            conditions.set(ConditionKind::Ready, Some(false), Reason::InvalidDocument, &message);
        }
        let conditions = conditions.into_vec();
        if conditions != standing {
            let patch = json!({
                "apiVersion": API_VERSION,
                "kind": "MaiInstance",
                "metadata": {"name": name, "uid": uid},
                "status": {"conditions": conditions},
            });
            let params = PatchParams::apply(names::FIELD_MANAGER).force();
            if let Err(error) = api.patch_status(&name, &params, &Patch::Apply(patch)).await {
                tracing::warn!(instance, "its status could not be written: {}", error_message(&error));
            }
            let id = InstanceId { namespace, name, uid };
            if let Err(error) = context.record.put_event(&id, EventKind::Warning, "InvalidDocument", &message).await {
                tracing::warn!(instance = id.log_name(), "an event could not be recorded: {error}");
            }
        }
    }
}

fn resource() -> kube::core::ApiResource {
    kube::core::ApiResource::erase::<MaiInstance>(&())
}

async fn listen_for_life(client: Client, health: Arc<Health>) {
    loop {
        if client.apiserver_version().await.is_ok() {
            health.heard();
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// Counts HTTPRoutes as missing while the cluster does not know them and an instance declares one.
async fn miss_routes(context: Arc<Work>, health: Arc<Health>) {
    loop {
        let declared = || health.instances.all().iter().any(|instance| instance.spec.expose.gateway.is_some());
        health.metrics.routes_are_missing(!context.runtime.routes_served() && declared());
        tokio::time::sleep(HEARTBEAT).await;
    }
}
