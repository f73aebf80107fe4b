//! What Prometheus reads: counted as it happens for the operator, and told from the store for each instance. Every set of labels is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::api::{ConditionKind, MaiInstance};
use crate::reconcile::{ReconcileError, ReconcileMetrics};

const KIND: (&str, &str) = ("kind", "MaiInstance");

type Labels = Vec<(&'static str, &'static str)>;

/// Every figure.
pub(super) struct Metrics {
    registry: Registry,
    passes: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    took: Family<Labels, Histogram>,
    watch_errors: Family<Labels, Counter>,
    last_pass: Arc<AtomicI64>,
    last_pass_gauge: Family<Labels, Gauge>,
    leader: Gauge,
    crd_missing: Family<Labels, Gauge>,
    crd_is_missing: AtomicBool,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::default();
        let (passes, errors) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
        let watch_errors = Family::<Labels, Counter>::default();
        let took =
            Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8)));
        let (last_pass_gauge, crd_missing) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        let leader = Gauge::default();
        registry.register("mai_operator_reconcile", "Passes over an object", passes.clone());
        registry.register("mai_operator_reconcile_errors", "Passes that failed, by reason", errors.clone());
        registry.register("mai_operator_reconcile_duration_seconds", "How long a pass took", took.clone());
        registry.register(
            "mai_operator_watch_errors",
            "Watches that failed and were tried again",
            watch_errors.clone(),
        );
        registry.register(
            "mai_operator_last_reconcile_timestamp_seconds",
            "When the last pass ended, in Unix time",
            last_pass_gauge.clone(),
        );
        registry.register("mai_operator_leader", "1 on the operator that is at work", leader.clone());
        registry.register(
            "mai_operator_crd_missing",
            "1 while the cluster does not serve the kind",
            crd_missing.clone(),
        );
        registry.register(
            "mai_operator_build",
            "The version that runs",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        crd_missing.get_or_create(&vec![KIND]).set(0);
        // Present from the start, so that a rate over them is right from the first one on.
        for outcome in ["ok", "error"] {
            passes.get_or_create(&vec![KIND, ("outcome", outcome)]).inc_by(0);
        }
        Self {
            registry,
            passes,
            errors,
            took,
            watch_errors,
            last_pass: Arc::new(AtomicI64::new(0)),
            last_pass_gauge,
            leader,
            crd_missing,
            crd_is_missing: AtomicBool::new(false),
        }
    }

    /// Tells the figures of each instance of this store from now on.
    pub(super) fn instances(&mut self, instances: Instances) {
        self.registry.register_collector(Box::new(instances));
    }

    pub(super) fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(super) fn watch_failed(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&vec![("kind", kind)]).inc();
    }

    pub(super) fn crd_is_missing(&self, missing: bool) {
        self.crd_is_missing.store(missing, Ordering::Relaxed);
        self.crd_missing.get_or_create(&vec![KIND]).set(i64::from(missing));
    }

    /// HTTPRoutes are only missed where an instance declares one.
    pub(super) fn routes_are_missing(&self, missing: bool) {
        self.crd_missing.get_or_create(&vec![("kind", "HTTPRoute")]).set(i64::from(missing));
    }

    pub(super) fn is_crd_missing(&self) -> bool {
        self.crd_is_missing.load(Ordering::Relaxed)
    }

    /// When the last pass ended, in seconds of Unix time; 0 before the first.
    pub(super) fn last_pass(&self) -> i64 {
        self.last_pass.load(Ordering::Relaxed)
    }

    pub(super) fn text(&self) -> String {
        let mut all = String::new();
        // Writing into a text cannot fail.
        let _ = text::encode(&mut all, &self.registry);
        all
    }

    fn count(&self, took: Duration, outcome: Result<(), &ReconcileError>) {
        let result = if outcome.is_ok() { "ok" } else { "error" };
        self.passes.get_or_create(&vec![KIND, ("outcome", result)]).inc();
        if let Err(error) = outcome {
            self.errors.get_or_create(&vec![KIND, ("reason", error.reason())]).inc();
        }
        self.took.get_or_create(&vec![KIND]).observe(took.as_secs_f64());
        let now = Timestamp::now().as_second();
        self.last_pass.store(now, Ordering::Relaxed);
        self.last_pass_gauge.get_or_create(&vec![KIND]).set(now);
    }
}

/// Counts each pass of the loop.
pub(super) struct Passes(pub(super) Arc<Metrics>);

impl ReconcileMetrics for Passes {
    fn record_reconciliation(&self, took: Duration, outcome: Result<(), &ReconcileError>) {
        self.0.count(took, outcome);
    }
}

/// The instances whose figures are told, once they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances(Arc<Mutex<Option<Store<MaiInstance>>>>);

impl Instances {
    pub(super) fn set(&self, store: Store<MaiInstance>) {
        *self.0.lock() = Some(store);
    }

    pub(super) fn all(&self) -> Vec<Arc<MaiInstance>> {
        self.0.lock().as_ref().map(Store::state).unwrap_or_default()
    }
}

impl Collector for Instances {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let all = self.all();
        if all.is_empty() {
            return Ok(());
        }
        let place = |instance: &MaiInstance| {
            vec![("namespace", instance.namespace().unwrap_or_default()), ("name", instance.name_any())]
        };
        let is_ready = |instance: &MaiInstance| {
            instance.status.iter().any(|status| status.condition_holds(ConditionKind::Ready) == Some(true))
        };
        let mut gauges = |name: &str, help: &str, value: &dyn Fn(&MaiInstance) -> i64| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for instance in &all {
                ConstGauge::new(value(instance)).encode(family.encode_family(&place(instance))?)?;
            }
            Ok::<(), std::fmt::Error>(())
        };
        gauges("mai_instance_ready", "1 while the instance answers its people", &|instance| {
            i64::from(is_ready(instance))
        })?;
        gauges("mai_instance_suspended", "1 while it is stopped as declared", &|instance| {
            i64::from(instance.spec.suspend)
        })?;
        let mut family = encoder.encode_descriptor("mai_instance_info", "What serves", None, MetricType::Gauge)?;
        for instance in &all {
            let version = instance.status.as_ref().and_then(|status| status.version.clone()).unwrap_or_default();
            let mut labels = place(instance);
            labels.extend([("version", version), ("image", instance.spec.image.clone())]);
            ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
