//! What the operator is asked over HTTP: whether it lives, whether it is ready, and its figures.

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
use tokio::net::TcpListener;

use super::metrics::{Instances, Metrics};
use crate::core::Record;
use crate::reconcile::Context;
use crate::runtime::kubernetes::KubernetesRuntime;
use crate::source::cluster::ClusterSource;

/// What answers are told from.
pub(super) struct Health {
    pub(super) metrics: Arc<Metrics>,
    pub(super) instances: Instances,
    /// How long nothing may be heard while there are instances.
    pub(super) silence: Duration,
    /// When the API server last answered, in seconds of Unix time.
    heard: std::sync::atomic::AtomicI64,
    /// Who is at work; nobody while standing by.
    runtime: std::sync::OnceLock<Box<dyn Fn() -> Option<String> + Send + Sync>>,
    /// The instances were listed.
    listed: AtomicBool,
}

impl Health {
    pub(super) fn new(metrics: Arc<Metrics>, instances: Instances, silence: Duration) -> Self {
        Self {
            metrics,
            instances,
            silence,
            heard: std::sync::atomic::AtomicI64::new(Timestamp::now().as_second()),
            runtime: std::sync::OnceLock::new(),
            listed: AtomicBool::new(false),
        }
    }

    /// The API server answered.
    pub(super) fn heard(&self) {
        self.heard.store(Timestamp::now().as_second(), Ordering::Relaxed);
    }

    /// The instances were listed for the first time.
    pub(super) fn listed(&self) {
        self.listed.store(true, Ordering::Relaxed);
    }

    /// Work has begun: what is not known of the cluster is told by `context`.
    pub(super) fn works<K: Record>(&self, context: Arc<Context<ClusterSource, KubernetesRuntime, K>>) {
        // It begins once.
        let _ = self.runtime.set(Box::new(move || context.runtime.unknown()));
    }

    /// What keeps it from being ready.
    fn missing(&self) -> Option<String> {
        if self.metrics.is_crd_missing() {
            return Some("the cluster does not serve maiinstances.mai.dev; apply crds/maiinstances.yaml".to_owned());
        }
        // Whoever stands by has all it needs.
        let works = self.runtime.get()?;
        if let Some(unknown) = works() {
            return Some(unknown);
        }
        (!self.listed.load(Ordering::Relaxed)).then(|| "the MaiInstances have not been listed yet".to_owned())
    }

    /// Why it should be started again.
    fn wedged(&self) -> Option<String> {
        if self.runtime.get().is_none() || self.instances.all().is_empty() {
            return None;
        }
        let ago = |then: i64| Timestamp::now().as_second().saturating_sub(then);
        let silence = i64::try_from(self.silence.as_secs()).unwrap_or(i64::MAX);
        let (heard, passed) = (ago(self.heard.load(Ordering::Relaxed)), ago(self.metrics.last_pass()));
        if heard > silence {
            return Some(format!("the API server has not answered for {heard} s"));
        }
        (self.listed.load(Ordering::Relaxed) && self.metrics.last_pass() > 0 && passed > silence)
            .then(|| format!("no instance has been looked at for {passed} s"))
    }
}

/// Serves until the program ends.
pub(super) async fn serve(listen: SocketAddr, health: Arc<Health>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let routes = Router::new()
        .route("/livez", get(async |State(health): State<Arc<Health>>| verdict(health.wedged())))
        .route("/readyz", get(async |State(health): State<Arc<Health>>| verdict(health.missing())))
        .route("/metrics", get(metrics))
        .with_state(health);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!("{address} is not served any more: {error}");
        }
    });
    Ok(address)
}

fn verdict(problem: Option<String>) -> Response {
    match problem {
        None => (StatusCode::OK, "ok\n".to_owned()).into_response(),
        Some(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")).into_response(),
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], health.metrics.text()).into_response()
}
