//! The operator of a cluster: the same reconciler, with the API server as source and runtime.
//!
//! `leader` elects one of several operators and `lease_guard` blocks the writes of a former leader,
//! `record` stores status, events and session keys in the cluster, `http` answers probes and
//! Prometheus, `metrics` counts, `usage_metrics` shows what servers tell of their use, `requests` shows
//! in requests why they wait and how far a restore is, `notified` stores what webhooks were told.

mod definition;
mod http;
mod leader;
mod lease_guard;
mod metrics;
mod notified;
mod record;
mod requests;
mod usage_metrics;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, Patch, PatchParams};
use kube::client::ClientBuilder;
use kube::runtime::watcher;
use kube::{Client, Config};
use serde_json::json;
use tokio::sync::{Mutex, mpsc};
use tower::BoxError;

use crate::api::{API_VERSION, ConditionKind, Conditions, MaiInstance, Reason};
use crate::cluster::{error_message, names};
use crate::core::{EventKind, InstanceId, Record as _, log_name};
use crate::fleet::{CountsMonitor, CountsOptions};
use crate::notification::{self, Senders};
use crate::reconcile::{self, Context, InstanceFeed, Options, Overview, Transition};
use crate::runtime::kubernetes::{KubernetesOptions, KubernetesRuntime, OperatorPlace, WarningEvent};
use crate::source::cluster::{ClusterOptions, ClusterSource, Invalid, problem_of};
use crate::source::policy::Policy;
use http::Health;
use leader::Candidate;
use lease_guard::LeaseGuard;
use metrics::{Instances, Metrics, ReconcileRecorder};
use notified::ClusterNotified;
pub(crate) use record::ClusterRecord;

/// Requests under way at once, and instances reconciled at once.
const CONCURRENCY: u16 = 16;
/// Interval between requests that check the API server.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// Name of the operator's container in its pod.
const CONTAINER: &str = "operator";
/// Name of the Lease.
const LEASE: &str = "mai-operator";

/// Options of the operator.
#[derive(Clone, Debug)]
pub struct OperatorOptions {
    /// Namespaces that are reconciled; all when empty.
    pub namespaces: BTreeSet<String>,
    /// Address of probes and metrics.
    pub listen: SocketAddr,
    /// Interval after which every instance is reconciled, whatever was missed.
    pub resync: Duration,
    /// Requests to servers for their counts.
    pub counts: CountsOptions,
    /// Namespace of the Lease; without one this operator leads at once, and must be the only one.
    pub lease_namespace: Option<String>,
    /// Identity among several operators: the name of its pod.
    pub identity: String,
    /// Namespaces of the controllers that serve Ingresses and Gateways.
    pub ingress_namespaces: BTreeSet<String>,
    /// Namespace of its pod; none outside a cluster.
    pub pod_namespace: Option<String>,
    /// Name of its pod; none outside a cluster.
    pub pod_name: Option<String>,
    /// Image that holds this program, for jobs; that of its pod when absent.
    pub helper_image: Option<String>,
    /// The provider's policy.
    pub policy: Arc<Policy>,
    /// Notices to webhooks, and heartbeats.
    pub senders: Option<Senders>,
}

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// No API server is configured.
    #[error("no cluster is configured: {0}; set KUBECONFIG, or run it in a pod with a service account")]
    NoCluster(#[source] BoxError),
    /// The address is taken.
    #[error("{0} cannot be listened on: {1}; stop the other program or name another address with --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Another operator may lead from now on.
    #[error("{0}; another operator may lead now, so this one ends at once")]
    LeadershipLost(String),
}

/// Runs until `stop` resolves.
pub async fn run(
    options: OperatorOptions,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), OperatorError> {
    let config = Config::infer().await.map_err(|error| OperatorError::NoCluster(error.into()))?;
    let no_cluster = |error: kube::Error| OperatorError::NoCluster(error.into());
    let elections = Client::try_from(config.clone()).map_err(no_cluster)?;
    let lease_guard = LeaseGuard::unlimited();
    let client = ClientBuilder::try_from(config).map_err(no_cluster)?.with_layer(&lease_guard).build();
    let stop = stop.boxed().shared();

    let instances = Instances::default();
    let mut metrics = Metrics::new();
    metrics.register_instances(instances.clone());
    let metrics = Arc::new(metrics);
    let silence = (options.resync * 3).max(Duration::from_secs(300));
    let health = Arc::new(Health::new(Arc::clone(&metrics), instances.clone(), silence));
    let address = http::serve(options.listen, Arc::clone(&health))
        .await
        .map_err(|error| OperatorError::Listen(options.listen, error))?;
    tracing::info!("probes and metrics are served on {address}");

    let candidate = options
        .lease_namespace
        .as_ref()
        .map(|namespace| Candidate::new(elections, namespace, LEASE, options.identity.clone(), lease_guard));
    let Some(candidate) = candidate else {
        lead(client, &options, &health, &instances, stop).await;
        return Ok(());
    };
    let lease = tokio::select! {
        lease = candidate.acquire() => Mutex::new(lease),
        () = stop.clone() => return Ok(()),
    };
    tokio::select! {
        biased;
        // Reconciliations under way are dropped: they must not overlap with those of another
        // operator.
        lost = candidate.renew(&lease) => Err(OperatorError::LeadershipLost(lost)),
        () = lead(client, &options, &health, &instances, stop) => {
            candidate.release(&*lease.lock().await).await;
            Ok(())
        }
    }
}

/// Reconciles until `stop` resolves.
async fn lead(
    client: Client,
    options: &OperatorOptions,
    health: &Arc<Health>,
    instances: &Instances,
    stop: impl Future<Output = ()> + Clone + Send + 'static,
) {
    health.metrics.set_leader(true);
    let (warnings, warned) = mpsc::unbounded_channel();
    let (invalid, invalid_objects) = mpsc::unbounded_channel();
    // A little shorter than the interval between resyncs, so that each of them checks again.
    let cache_ttl = options.resync.mul_f64(0.9);
    let counted = Arc::clone(&health.metrics);
    let helper_image = helper_image(&client, options).await;
    let runtime = KubernetesRuntime::open(
        client.clone(),
        KubernetesOptions {
            namespaces: options.namespaces.clone(),
            ingress_namespaces: options.ingress_namespaces.clone(),
            operator_place: match &options.pod_namespace {
                Some(namespace) => OperatorPlace::Namespace(namespace.clone()),
                None => OperatorPlace::Outside,
            },
            asks_versions: true,
            tries_differences: false,
            helper_image: helper_image.clone(),
            refusal_interval: cache_ttl,
            on_watch_error: Arc::new(move |kind| counted.count_watch_error(kind)),
            warnings,
        },
    )
    .await;
    let counted = Arc::clone(&health.metrics);
    let (source, documents) = ClusterSource::open(
        client.clone(),
        ClusterOptions {
            namespaces: options.namespaces.clone(),
            secrets_ttl: cache_ttl,
            policy: Arc::clone(&options.policy),
            invalid,
            on_watch_error: Arc::new(move |is_not_served| {
                counted.count_watch_error("MaiInstance");
                if is_not_served {
                    counted.set_crd_missing(true);
                }
            }),
        },
    )
    .await;
    let (transitions, transitioned) = mpsc::unbounded_channel();
    let record = ClusterRecord::new(client.clone(), options.identity.clone());
    let metrics = Box::new(ReconcileRecorder(Arc::clone(&health.metrics)));
    let overview = Arc::<Overview>::default();
    let known = Arc::clone(&overview);
    let counts = CountsMonitor::new(options.counts);
    instances.set_counts(Arc::clone(&counts));
    let context = Arc::new(Context { source, runtime, record, transitions, metrics, overview, counts, helper_image });
    health.set_context(Arc::clone(&context));
    let listed = Arc::clone(health);
    let feed = InstanceFeed::new(
        documents
            .inspect_ok(move |event| {
                if matches!(event, watcher::Event::InitDone) {
                    listed.metrics.set_crd_missing(false);
                    listed.record_list();
                }
            })
            .boxed(),
    );
    instances.set(feed.store());
    let declared = notification::Instances { store: feed.store(), overview: known };
    let sending = tokio::spawn(send(client.clone(), options.clone(), declared, Arc::clone(health)));

    let helpers = [
        sending,
        tokio::spawn(log_transitions(transitioned)),
        tokio::spawn(publish_warnings(Arc::clone(&context), warned)),
        tokio::spawn(report_invalid(client.clone(), Arc::clone(&context), invalid_objects)),
        tokio::spawn(definition::check(client.clone(), Arc::clone(health))),
        tokio::spawn(check_api_server(client, Arc::clone(health))),
        tokio::spawn(count_missing_routes(Arc::clone(&context), Arc::clone(health))),
        tokio::spawn(requests::report(Arc::clone(&context), Arc::clone(health))),
    ];
    // The objects are known before anything is decided. Without the permission for a kind they stay
    // unknown, and each instance reports it.
    tokio::select! {
        () = context.runtime.all_listed() => {}
        () = tokio::time::sleep(Duration::from_secs(10)) => {}
        () = stop.clone() => {}
    }
    let loop_options = Options { concurrency: CONCURRENCY, resync: options.resync };
    reconcile::run(feed, Arc::clone(&context), loop_options, stop).await;
    helpers.iter().for_each(tokio::task::JoinHandle::abort);
    health.metrics.set_leader(false);
}

/// Tells webhooks and sends heartbeats, as far as they are wanted.
async fn send(client: Client, options: OperatorOptions, instances: notification::Instances, health: Arc<Health>) {
    let Some(senders) = options.senders else { return };
    let namespace = options.lease_namespace.or(options.pod_namespace).unwrap_or_else(|| "default".to_owned());
    let record = ClusterNotified::new(client, &namespace);
    let metrics = Arc::clone(&health.metrics);
    senders.run(instances, record, move || health.obstacle(), move |sent| metrics.count_delivery(sent)).await;
}

/// Returns the image for jobs: the given one, or that of the operator's pod.
async fn helper_image(client: &Client, options: &OperatorOptions) -> Option<String> {
    if options.helper_image.is_some() {
        return options.helper_image.clone();
    }
    let (namespace, name) = (options.pod_namespace.as_ref()?, options.pod_name.as_ref()?);
    match Api::<Pod>::namespaced(client.clone(), namespace).get(name).await {
        Ok(pod) => pod.spec?.containers.into_iter().find(|container| container.name == CONTAINER)?.image,
        Err(error) => {
            let message = error_message(&error);
            tracing::warn!("the image of this operator is not known, so name one in MAI_HELPER_IMAGE: {message}");
            None
        }
    }
}

async fn log_transitions(mut transitions: mpsc::UnboundedReceiver<Transition>) {
    while let Some(Transition { namespace, name, reason, message, gone, .. }) = transitions.recv().await {
        let instance = log_name(&namespace, &name);
        if gone {
            tracing::info!(instance, "gone");
        } else {
            tracing::info!(instance, "{reason}: {message}");
        }
    }
}

type ClusterContext = Context<ClusterSource, KubernetesRuntime, ClusterRecord>;

async fn publish_warnings(context: Arc<ClusterContext>, mut warnings: mpsc::UnboundedReceiver<WarningEvent>) {
    while let Some(WarningEvent { id, reason, message }) = warnings.recv().await {
        if let Err(error) = context.record.put_event(&id, EventKind::Warning, reason, &message).await {
            tracing::warn!(instance = id.log_name(), "an event could not be recorded: {error}");
        }
    }
}

/// Sets the conditions of objects that do not match the schema, and leaves everything else of them.
async fn report_invalid(client: Client, context: Arc<ClusterContext>, mut invalid: mpsc::UnboundedReceiver<Invalid>) {
    while let Some(Invalid { namespace, name, uid, generation, problem }) = invalid.recv().await {
        let api: Api<kube::api::DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &resource());
        let object = api.get_status(&name).await.ok();
        // The validation rules name the field, which the deserializer does not.
        let problem = object.as_ref().and_then(|object| problem_of(&name, &object.data["spec"])).unwrap_or(problem);
        let message = format!("the document is not understood by this version of mai: {problem}");
        let instance = log_name(&namespace, &name);
        tracing::warn!(instance, "{message}");
        let previous = object.map(|object| object.data["status"]["conditions"].clone());
        let previous = previous.and_then(|value| serde_json::from_value::<Vec<_>>(value).ok()).unwrap_or_default();
        let mut conditions = Conditions::from_previous(&previous, generation, jiff::Timestamp::now());
        conditions.set(ConditionKind::Stalled, Some(true), Reason::InvalidDocument, &message);
        conditions.set(ConditionKind::DocumentValid, Some(false), Reason::InvalidDocument, &message);
        if !previous.iter().any(|condition| condition.type_ == ConditionKind::Ready.as_ref()) {
            conditions.set(ConditionKind::Ready, Some(false), Reason::InvalidDocument, &message);
        }
        let conditions = conditions.into_vec();
        if conditions != previous {
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

async fn check_api_server(client: Client, health: Arc<Health>) {
    loop {
        if client.apiserver_version().await.is_ok() {
            health.record_answer();
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// Counts HTTPRoutes as missing while the cluster does not serve them and an instance declares one.
async fn count_missing_routes(context: Arc<ClusterContext>, health: Arc<Health>) {
    loop {
        let declared = || health.instances.all().iter().any(|instance| instance.spec.expose.gateway.is_some());
        health.metrics.set_routes_missing(!context.runtime.serves_routes() && declared());
        tokio::time::sleep(HEARTBEAT).await;
    }
}
