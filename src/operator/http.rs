//! Liveness, readiness and metrics of the operator over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use mai_listener::{Limits, raise_file_limit};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::metrics::{Instances, Metrics};
use crate::core::Record;
use crate::reconcile::Context;
use crate::runtime::kubernetes::KubernetesRuntime;
use crate::source::cluster::ClusterSource;

/// State that the answers are made from.
pub(super) struct Health {
    pub(super) metrics: Arc<Metrics>,
    pub(super) instances: Instances,
    /// Longest time without an answer of the API server or a reconciliation while instances exist.
    pub(super) silence: Duration,
    /// Time of the API server's last answer, in seconds of Unix time.
    answered: std::sync::atomic::AtomicI64,
    /// Returns the kinds that are not listed yet; not set while another operator leads.
    unlisted: std::sync::OnceLock<Box<dyn Fn() -> Option<String> + Send + Sync>>,
    /// The instances were listed.
    listed: AtomicBool,
    /// Sentence about what the definition in the cluster lacks.
    outdated: Mutex<Option<String>>,
}

impl Health {
    pub(super) fn new(metrics: Arc<Metrics>, instances: Instances, silence: Duration) -> Self {
        Self {
            metrics,
            instances,
            silence,
            answered: std::sync::atomic::AtomicI64::new(Timestamp::now().as_second()),
            unlisted: std::sync::OnceLock::new(),
            listed: AtomicBool::new(false),
            outdated: Mutex::default(),
        }
    }

    /// Records an answer of the API server.
    pub(super) fn record_answer(&self) {
        self.answered.store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    /// Records that the instances were listed.
    pub(super) fn record_list(&self) {
        self.listed.store(true, Ordering::Relaxed);
    }

    /// Sets what the definition in the cluster lacks.
    pub(super) fn set_outdated(&self, outdated: Option<String>) {
        *self.outdated.lock() = outdated;
    }

    /// Returns whether the instances were listed.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    /// Sets the context once this operator leads.
    pub(super) fn set_context<K: Record>(&self, context: Arc<Context<ClusterSource, KubernetesRuntime, K>>) {
        // It leads once.
        let _ = self.unlisted.set(Box::new(move || context.runtime.unlisted()));
    }

    /// Returns the cause for which it is not ready.
    fn unready_cause(&self) -> Option<String> {
        if self.metrics.is_crd_missing() {
            return Some("the cluster does not serve maiinstances.mai.dev; apply crds/maiinstances.yaml".to_owned());
        }
        if let Some(outdated) = self.outdated.lock().clone() {
            return Some(outdated);
        }
        // One that stands by needs nothing else.
        let unlisted = self.unlisted.get()?;
        if let Some(cause) = unlisted() {
            return Some(cause);
        }
        (!self.listed.load(Ordering::Relaxed)).then(|| "the MaiInstances have not been listed yet".to_owned())
    }

    /// Returns why the instances may not be as they are known to be.
    pub(super) fn obstacle(&self) -> Option<String> {
        self.unready_cause().or_else(|| self.stuck_cause())
    }

    /// Returns the cause for which it has to be restarted.
    fn stuck_cause(&self) -> Option<String> {
        if self.unlisted.get().is_none() || self.instances.all().is_empty() {
            return None;
        }
        let ago = |then: i64| Timestamp::now().as_second().saturating_sub(then);
        let silence = i64::try_from(self.silence.as_secs()).unwrap_or(i64::MAX);
        let (answered, reconciled) =
            (ago(self.answered.load(Ordering::Relaxed)), ago(self.metrics.last_reconciliation()));
        if answered > silence {
            return Some(format!("the API server has not answered for {answered} s"));
        }
        (self.listed.load(Ordering::Relaxed) && self.metrics.last_reconciliation() > 0 && reconciled > silence)
            .then(|| format!("no instance has been reconciled for {reconciled} s"))
    }
}

/// Serves until the program ends.
pub(super) async fn serve(listen: SocketAddr, health: Arc<Health>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/livez", get(async |State(health): State<Arc<Health>>| probe_answer(health.stuck_cause())))
        .route("/readyz", get(async |State(health): State<Arc<Health>>| probe_answer(health.unready_cause())))
        .route("/metrics", get(metrics))
        .with_state(health);
    let limits = Limits::with_files(raise_file_limit());
    tokio::spawn(mai_listener::serve(listener, routes, limits, CancellationToken::new()));
    Ok(address)
}

fn probe_answer(problem: Option<String>) -> Response {
    match problem {
        None => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.metrics.text()).into_response()
}
