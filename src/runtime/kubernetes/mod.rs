//! Instances on Kubernetes: a Deployment, claims, a Service and what protects them, kept by
//! server-side apply.
//!
//! The cluster keeps a pod running, restarts it and moves it by itself. What is left to do here is
//! to apply the declared objects where they differ ([`children`], `compare`), to say in the
//! cluster's own words why a server is not ready (`diagnose`), and to retain what a replacement
//! replaced until it is ready (`rollback`): the ReplicaSet of the former pod template, named by
//! labels of the Deployment. The objects come from one watch for each kind (`watches`), so an
//! observation costs no request.
//!
//! Jobs (`jobs`) have objects of their own (`job`) and a state (`job_state`). People ask for them by
//! objects (`requests`), of a kind for backups and one for restores.

mod apply;
mod backup_requests;
mod children;
mod claim;
mod compare;
mod deployment;
mod diagnose;
mod disruption_budget;
mod http_route;
mod ingress;
mod job;
mod job_state;
mod jobs;
mod kind;
mod live_object;
mod network_policy;
mod observe;
mod owned_fields;
mod platform;
mod pod_security;
mod remove;
#[cfg(test)]
mod rendered;
mod requests;
mod restore_requests;
mod retained_template;
mod rollback;
mod scheduling;
mod secret;
mod service;
mod service_account;
mod version;
mod watches;

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use kube::Client;
use kube::core::GroupVersionKind;
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;

use super::changes::Changes;
use super::{Apply, Observe, RuntimeError, required};
use crate::api::{MaiBackup, MaiRestore, RestoreStatus};
use crate::cluster::{names, watch_config};
use mai_contract::job::Outcome;

use crate::core::{Action, Change, InstanceId, Job, Observed, Platform, Workload};
use apply::DeploymentMode;
use claim::Refusals;
pub(crate) use kind::Kind;
pub use platform::PLATFORM;
use requests::Requests;
pub use requests::{OpenRequest, RequestedWork};
use version::ServerVersions;
pub use watches::OnWatchError;
use watches::Watches;

/// Interval between checks whether the cluster serves HTTPRoutes by now.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(60);
/// The controllers of a cluster take many small steps one after another; so many of them are
/// observed together.
const CHANGE_GAP: Duration = Duration::from_millis(500);

/// Options of the runtime.
pub struct KubernetesOptions {
    /// Namespaces that are reconciled; all when empty.
    pub namespaces: BTreeSet<String>,
    /// Namespaces of the controllers that serve Ingresses and Gateways: their pods may reach the
    /// instances.
    pub ingress_namespaces: BTreeSet<String>,
    /// Place of the operator, whose pods may reach the instances.
    pub operator_place: OperatorPlace,
    /// Servers are asked for their versions.
    pub asks_versions: bool,
    /// Differences are tried by a dry run, so that those on which the cluster insists are known
    /// without an apply.
    pub tries_differences: bool,
    /// Image that holds our program, for jobs; without one that of the instance, where it does.
    pub helper_image: Option<String>,
    /// Interval after which a size that a claim was refused is requested again.
    pub refusal_interval: Duration,
    /// Receives the kind of each watch that fails.
    pub on_watch_error: OnWatchError,
    /// Receives warnings that are published as events.
    pub warnings: UnboundedSender<WarningEvent>,
}

/// Place of the operator, as the NetworkPolicies of instances see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperatorPlace {
    /// Outside the cluster.
    Outside,
    /// In a pod of this namespace.
    Namespace(String),
    /// As each policy has it: for somebody who does not know the operator.
    AsAdmitted,
}

/// A warning about an instance, to be published as an event.
#[derive(Clone, Debug)]
pub struct WarningEvent {
    /// The instance.
    pub id: InstanceId,
    /// Reason, in one word.
    pub reason: &'static str,
    /// Message, as a sentence.
    pub message: String,
}

/// Observes and applies the objects of instances in a cluster.
pub struct KubernetesRuntime {
    client: Client,
    watches: Arc<Watches>,
    changes: Arc<Changes>,
    ingress_namespaces: BTreeSet<String>,
    operator_place: OperatorPlace,
    serves_routes: Arc<AtomicBool>,
    backup_requests: Arc<Requests<MaiBackup>>,
    restore_requests: Arc<Requests<MaiRestore>>,
    helper_image: Option<String>,
    versions: Option<Arc<ServerVersions>>,
    tries_differences: bool,
    warnings: UnboundedSender<WarningEvent>,
    /// Sizes that claims were refused.
    refusals: Mutex<HashMap<InstanceId, Refusals>>,
    refusal_interval: Duration,
    /// Differences that an object kept although it was applied, by object.
    kept_differences: Mutex<HashMap<(InstanceId, Kind, String), Vec<Change>>>,
    /// Time of the last check of each Secret that exists. Secrets are not watched.
    found_secrets: Mutex<HashMap<(InstanceId, String), Instant>>,
}

impl KubernetesRuntime {
    /// Opens the runtime and starts its watches.
    pub async fn open(client: Client, options: KubernetesOptions) -> Self {
        let KubernetesOptions { namespaces, on_watch_error, .. } = options;
        let changes = Arc::new(Changes::spaced(CHANGE_GAP));
        let served = discover_routes(&client).await;
        let kinds: Vec<Kind> = Kind::WATCHED.into_iter().filter(|kind| served || !kind.is_optional()).collect();
        let config = watch_config(&client).await;
        let backup_requests =
            Requests::start(&client, config.clone(), &namespaces, Arc::clone(&changes), &on_watch_error);
        let restore_requests =
            Requests::start(&client, config.clone(), &namespaces, Arc::clone(&changes), &on_watch_error);
        let watches = Watches::start(&client, config, &kinds, &namespaces, Arc::clone(&changes), &on_watch_error);
        let serves_routes = Arc::new(AtomicBool::new(served));
        if !served {
            let (client, watches, flag) = (client.clone(), Arc::clone(&watches), Arc::clone(&serves_routes));
            tokio::spawn(async move {
                while !discover_routes(&client).await {
                    tokio::time::sleep(DISCOVERY_INTERVAL).await;
                }
                tracing::info!("the cluster serves HTTPRoutes now");
                watches.follow(&client, Kind::HttpRoute, &namespaces, &on_watch_error);
                flag.store(true, Ordering::Relaxed);
            });
        }
        Self {
            client,
            watches,
            versions: options.asks_versions.then(|| ServerVersions::new(Arc::clone(&changes))),
            changes,
            ingress_namespaces: options.ingress_namespaces,
            operator_place: options.operator_place,
            serves_routes,
            backup_requests,
            restore_requests,
            helper_image: options.helper_image,
            warnings: options.warnings,
            refusals: Mutex::default(),
            kept_differences: Mutex::default(),
            tries_differences: options.tries_differences,
            refusal_interval: options.refusal_interval,
            found_secrets: Mutex::default(),
        }
    }

    /// Returns the kinds that are not listed yet because a watch fails, as a sentence.
    pub fn unlisted(&self) -> Option<String> {
        self.watches.unlisted()
    }

    /// Waits until every kind was listed once.
    pub async fn all_listed(&self) {
        self.watches.all_listed().await;
    }

    /// Returns the requests for backups and restores that have no answer.
    pub fn open_requests(&self) -> Vec<OpenRequest> {
        self.backup_requests.open().into_iter().chain(self.restore_requests.open()).collect()
    }

    /// Shows in a request why it cannot be started until a person acts.
    pub async fn set_stalled(&self, request: &OpenRequest, reason: &str, message: String) {
        let key = (request.namespace.clone(), request.name.clone());
        match request.work {
            RequestedWork::Backup => self.backup_requests.set_stalled(&key, reason, message).await,
            RequestedWork::Restore => self.restore_requests.set_stalled(&key, reason, message).await,
        }
    }

    /// Answers a request that failed for this cause.
    pub async fn fail_request(&self, request: &OpenRequest, message: String) {
        let key = (request.namespace.clone(), request.name.clone());
        match request.work {
            RequestedWork::Backup => self.backup_requests.fail(&key, message).await,
            RequestedWork::Restore => self.restore_requests.fail(&key, message).await,
        }
    }

    /// Shows in the request for a restore how far it is, or that it has ended.
    pub async fn show_restore(&self, id: &InstanceId, restore: &RestoreStatus) {
        self.restore_requests.show(id, restore).await;
    }

    /// Returns the differences that objects of an instance keep although they are applied.
    pub fn kept_differences(&self, id: &InstanceId) -> Vec<Change> {
        let known = self.kept_differences.lock();
        let of_instance = known.iter().filter(|((of, ..), _)| of == id);
        let mut all: Vec<Change> = of_instance.flat_map(|(_, kept)| kept.iter().cloned()).collect();
        all.sort_by_cached_key(|change| change.field.to_string());
        all
    }

    /// Returns whether the cluster serves HTTPRoutes.
    pub fn serves_routes(&self) -> bool {
        self.serves_routes.load(Ordering::Relaxed)
    }
}

async fn discover_routes(client: &Client) -> bool {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    kube::discovery::pinned_kind(client, &kind).await.is_ok()
}

impl Observe for KubernetesRuntime {
    fn platform(&self) -> Platform {
        PLATFORM
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.observe_objects(id, workload).await
    }

    fn server_address(&self, id: &InstanceId, _: &Workload) -> Option<SocketAddr> {
        let mut live = self.watches.objects(id);
        live.retain(|live| live.label(names::JOB).is_none());
        version::ready_address(&live)
    }
}

impl Apply for KubernetesRuntime {
    async fn apply(&self, id: &InstanceId, action: &Action, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        match action {
            Action::Start => self.apply_all(required(action, workload)?, DeploymentMode::Create).await,
            Action::Update(_) => self.apply_all(required(action, workload)?, DeploymentMode::Keep).await,
            Action::Recreate(_) => self.apply_all(required(action, workload)?, DeploymentMode::Replace).await,
            Action::Resume => self.scale(id, 1).await,
            Action::Stop(_) => self.scale(id, 0).await,
            Action::Commit => self.release_retained(id).await,
            Action::RollBack(_) => self.restore_retained(id).await,
            Action::Remove => self.remove_all(id).await,
            Action::RemoveData { and_backups } => self.remove_claims(id, *and_backups).await,
            // The nodes pull images.
            Action::Prepare(_)
            | Action::Wait
            | Action::RemoveFinalizer
            | Action::StartJob(_)
            | Action::RemoveJob(_)
            | Action::AnswerRestore(_) => Ok(()),
        }
    }

    async fn start_job(&self, id: &InstanceId, job: &Job) -> Result<(), RuntimeError> {
        self.start(id, job).await
    }

    async fn remove_job(&self, id: &InstanceId, name: &str, outcome: &Outcome) -> Result<(), RuntimeError> {
        self.finish(id, name, outcome).await
    }

    async fn answer_restore(&self, id: &InstanceId, end: &RestoreStatus) -> Result<(), RuntimeError> {
        self.restore_requests.end(id, end).await
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        Arc::clone(&self.changes).read()
    }
}
