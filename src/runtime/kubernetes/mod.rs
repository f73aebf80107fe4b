//! Instances on Kubernetes: a Deployment, claims, a Service and what protects them, kept by server-side apply.
//!
//! The cluster keeps a pod running, starts it again and moves it by itself; what is left to do here is to apply what is declared where it
//! differs ([`children`], `compare`), to say in the cluster's own words why a server is not ready (`diagnose`), and to keep what a
//! replacement replaced until it answers: the ReplicaSet of the former pod template, named by labels of the Deployment.
//! All that is known comes from one watch for each kind (`watches`), so a look costs no request.

mod apply;
mod children;
mod claim;
mod compare;
mod deployment;
mod diagnose;
mod disruption_budget;
mod http_route;
mod ingress;
mod kind;
mod live;
mod network_policy;
mod observe;
mod platform;
mod pod_security;
#[cfg(test)]
mod rendered;
mod replaced;
mod secret;
mod service;
mod service_account;
mod watches;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use kube::Client;
use tokio::sync::mpsc::UnboundedSender;

use super::changes::Changes;
use super::{Apply, Observe, RuntimeError, required};
use crate::cluster::watch_config;
use crate::core::{Action, InstanceId, Observed, Platform, Workload};
use claim::Refusals;
pub(crate) use kind::Kind;
pub use platform::PLATFORM;
pub use watches::OnWatchError;
use watches::Watches;

/// How often it is looked whether the cluster has learned to serve what it did not serve before.
const DISCOVER_AGAIN: Duration = Duration::from_secs(60);
/// The controllers of a cluster take many small steps one after another; so many of them are looked at together.
const STEPS_TOGETHER: Duration = Duration::from_millis(500);

/// How the runtime is opened.
pub struct KubernetesOptions {
    /// Namespaces that are looked after; all when empty.
    pub namespaces: BTreeSet<String>,
    /// Namespaces of the controllers that serve Ingresses and Gateways: their pods may reach the instances.
    pub entrances: BTreeSet<String>,
    /// Told the kind of each watch that fails.
    pub on_watch_error: OnWatchError,
    /// Told of what people should hear of as an event.
    pub notices: UnboundedSender<Notice>,
}

/// Something about an instance that people should hear of.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The instance.
    pub id: InstanceId,
    /// In one word.
    pub reason: &'static str,
    /// As a sentence.
    pub message: String,
}

/// The hands on a cluster.
pub struct KubernetesRuntime {
    client: Client,
    watches: Arc<Watches>,
    changes: Arc<Changes>,
    entrances: BTreeSet<String>,
    routes_served: Arc<AtomicBool>,
    notices: UnboundedSender<Notice>,
    /// What claims of an instance were refused.
    refused: Mutex<HashMap<InstanceId, Refusals>>,
    /// Secrets that were found where they should be, and when: they are not watched, and looked at now and then.
    found: Mutex<HashMap<(InstanceId, String), Instant>>,
}

impl KubernetesRuntime {
    /// Starts to follow the objects of all instances.
    pub async fn open(client: Client, options: KubernetesOptions) -> Self {
        let KubernetesOptions { namespaces, entrances, on_watch_error, notices } = options;
        let changes = Arc::new(Changes::spaced(STEPS_TOGETHER));
        let served = serves_routes(&client).await;
        let kinds: Vec<Kind> = Kind::WATCHED.into_iter().filter(|kind| served || !kind.is_optional()).collect();
        let config = watch_config(&client).await;
        let watches = Watches::start(&client, config, &kinds, &namespaces, Arc::clone(&changes), &on_watch_error);
        let routes_served = Arc::new(AtomicBool::new(served));
        if !served {
            let (client, watches, flag) = (client.clone(), Arc::clone(&watches), Arc::clone(&routes_served));
            tokio::spawn(async move {
                while !serves_routes(&client).await {
                    tokio::time::sleep(DISCOVER_AGAIN).await;
                }
                tracing::info!("the cluster serves HTTPRoutes now");
                watches.follow(&client, Kind::HttpRoute, &namespaces, &on_watch_error);
                flag.store(true, Ordering::Relaxed);
            });
        }
        Self {
            client,
            watches,
            changes,
            entrances,
            routes_served,
            notices,
            refused: Mutex::default(),
            found: Mutex::default(),
        }
    }

    /// What is not known of the cluster because a watch does not work.
    pub fn unknown(&self) -> Option<String> {
        self.watches.unknown()
    }

    /// Waits until everything there is has been listed once.
    pub async fn all_listed(&self) {
        self.watches.all_listed().await;
    }

    /// Whether the cluster knows HTTPRoutes.
    pub fn routes_served(&self) -> bool {
        self.routes_served.load(Ordering::Relaxed)
    }
}

async fn serves_routes(client: &Client) -> bool {
    kube::discovery::pinned_kind(
        client,
        &kube::core::GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"),
    )
    .await
    .is_ok()
}

impl Observe for KubernetesRuntime {
    fn platform(&self) -> Platform {
        PLATFORM
    }

    async fn observe(&self, id: &InstanceId, workload: Option<&Workload>) -> Result<Observed, RuntimeError> {
        self.observe_objects(id, workload).await
    }
}

impl Apply for KubernetesRuntime {
    async fn apply(&self, id: &InstanceId, action: &Action, workload: Option<&Workload>) -> Result<(), RuntimeError> {
        match action {
            Action::Start => self.apply_all(required(action, workload)?, apply::Mode::Start).await,
            Action::Update(_) => self.apply_all(required(action, workload)?, apply::Mode::Keep).await,
            Action::Recreate(_) => self.apply_all(required(action, workload)?, apply::Mode::Replace).await,
            Action::Resume => self.scale(id, 1).await,
            Action::Stop(_) => self.scale(id, 0).await,
            Action::Commit => self.release_retained(id).await,
            Action::RollBack(_) => self.restore_retained(id).await,
            Action::Remove => self.remove_all(id).await,
            Action::RemoveData => self.remove_claims(id).await,
            // The nodes pull images.
            Action::Prepare(_) | Action::Wait | Action::RemoveFinalizer => Ok(()),
        }
    }

    fn changes(&self) -> BoxStream<'static, InstanceId> {
        Arc::clone(&self.changes).read()
    }
}
