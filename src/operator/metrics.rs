//! Metrics of the operator, counted as they happen, and of each instance, read from the store.
//! Every set of labels is closed.

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

use super::usage_metrics::UsageMetrics;
use crate::api::{ConditionKind, Drill, MaiInstance, RestoreStep};
use crate::fleet::CountsMonitor;
use crate::notification::Delivery;
use crate::reconcile::{ReconcileError, ReconcileMetrics};

const KIND: (&str, &str) = ("kind", "MaiInstance");

type Labels = Vec<(&'static str, &'static str)>;

/// Every metric.
pub(super) struct Metrics {
    registry: Registry,
    reconciliations: Family<Labels, Counter>,
    errors: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
    watch_errors: Family<Labels, Counter>,
    notifications: Family<Labels, Counter>,
    heartbeats: Family<Labels, Counter>,
    last_reconciliation: Arc<AtomicI64>,
    last_reconciliation_gauge: Family<Labels, Gauge>,
    leader: Gauge,
    crd_missing: Family<Labels, Gauge>,
    crd_is_missing: AtomicBool,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::default();
        let (reconciliations, errors) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
        let watch_errors = Family::<Labels, Counter>::default();
        let (notifications, heartbeats) = (Family::<Labels, Counter>::default(), Family::<Labels, Counter>::default());
        let durations =
            Family::<Labels, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8)));
        let (last_reconciliation_gauge, crd_missing) =
            (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
        let leader = Gauge::default();
        registry.register("mai_operator_reconcile", "Reconciliations of an object", reconciliations.clone());
        registry.register("mai_operator_reconcile_errors", "Reconciliations that failed, by reason", errors.clone());
        registry.register("mai_operator_reconcile_duration_seconds", "Duration of a reconciliation", durations.clone());
        registry.register("mai_operator_watch_errors", "Watches that failed and were repeated", watch_errors.clone());
        registry.register(
            "mai_operator_notifications",
            "Notices that webhooks took, or did not",
            notifications.clone(),
        );
        registry.register("mai_operator_heartbeats", "Heartbeats that were answered, or were not", heartbeats.clone());
        registry.register(
            "mai_operator_last_reconcile_timestamp_seconds",
            "End of the last reconciliation, in Unix time",
            last_reconciliation_gauge.clone(),
        );
        registry.register("mai_operator_leader", "1 on the operator that leads", leader.clone());
        registry.register(
            "mai_operator_crd_missing",
            "1 while the cluster does not serve the kind",
            crd_missing.clone(),
        );
        registry.register(
            "mai_operator_build",
            "Version of the operator",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        crd_missing.get_or_create(&vec![KIND]).set(0);
        // Present from the start, so that a rate over them is right from the first one on.
        for outcome in ["ok", "error"] {
            reconciliations.get_or_create(&vec![KIND, ("outcome", outcome)]).inc_by(0);
            for family in [&notifications, &heartbeats] {
                family.get_or_create(&vec![("outcome", outcome)]).inc_by(0);
            }
        }
        Self {
            registry,
            reconciliations,
            errors,
            durations,
            watch_errors,
            notifications,
            heartbeats,
            last_reconciliation: Arc::new(AtomicI64::new(0)),
            last_reconciliation_gauge,
            leader,
            crd_missing,
            crd_is_missing: AtomicBool::new(false),
        }
    }

    /// Registers the metrics of each instance.
    pub(super) fn register_instances(&mut self, instances: Instances) {
        self.registry.register_collector(Box::new(UsageMetrics(instances.clone())));
        self.registry.register_collector(Box::new(instances));
    }

    pub(super) fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(super) fn count_watch_error(&self, kind: &'static str) {
        self.watch_errors.get_or_create(&vec![("kind", kind)]).inc();
    }

    pub(super) fn count_delivery(&self, delivery: Delivery) {
        let (family, taken) = match delivery {
            Delivery::Notice { taken } => (&self.notifications, taken),
            Delivery::Heartbeat { taken } => (&self.heartbeats, taken),
        };
        family.get_or_create(&vec![("outcome", if taken { "ok" } else { "error" })]).inc();
    }

    pub(super) fn set_crd_missing(&self, missing: bool) {
        self.crd_is_missing.store(missing, Ordering::Relaxed);
        self.crd_missing.get_or_create(&vec![KIND]).set(i64::from(missing));
    }

    /// Sets whether an instance declares an HTTPRoute and the cluster does not serve them.
    pub(super) fn set_routes_missing(&self, missing: bool) {
        self.crd_missing.get_or_create(&vec![("kind", "HTTPRoute")]).set(i64::from(missing));
    }

    pub(super) fn is_crd_missing(&self) -> bool {
        self.crd_is_missing.load(Ordering::Relaxed)
    }

    /// Returns the end of the last reconciliation, in seconds of Unix time; 0 before the first.
    pub(super) fn last_reconciliation(&self) -> i64 {
        self.last_reconciliation.load(Ordering::Relaxed)
    }

    pub(super) fn text(&self) -> String {
        let mut all = String::new();
        // Writing into a text cannot fail.
        let _ = text::encode(&mut all, &self.registry);
        all
    }

    fn record(&self, took: Duration, outcome: Result<(), &ReconcileError>) {
        let result = if outcome.is_ok() { "ok" } else { "error" };
        self.reconciliations.get_or_create(&vec![KIND, ("outcome", result)]).inc();
        if let Err(error) = outcome {
            self.errors.get_or_create(&vec![KIND, ("reason", error.reason())]).inc();
        }
        self.durations.get_or_create(&vec![KIND]).observe(took.as_secs_f64());
        let now = Timestamp::now().as_second();
        self.last_reconciliation.store(now, Ordering::Relaxed);
        self.last_reconciliation_gauge.get_or_create(&vec![KIND]).set(now);
    }
}

/// Records each reconciliation.
pub(super) struct ReconcileRecorder(pub(super) Arc<Metrics>);

impl ReconcileMetrics for ReconcileRecorder {
    fn record_reconciliation(&self, took: Duration, outcome: Result<(), &ReconcileError>) {
        self.0.record(took, outcome);
    }
}

/// The instances whose metrics are served, once they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Instances {
    store: Arc<Mutex<Option<Store<MaiInstance>>>>,
    counts: Arc<Mutex<Option<Arc<CountsMonitor>>>>,
}

impl Instances {
    pub(super) fn set(&self, store: Store<MaiInstance>) {
        *self.store.lock() = Some(store);
    }

    pub(super) fn set_counts(&self, counts: Arc<CountsMonitor>) {
        *self.counts.lock() = Some(counts);
    }

    /// Returns who knows the counts of the instances.
    pub(super) fn counts(&self) -> Option<Arc<CountsMonitor>> {
        self.counts.lock().clone()
    }

    pub(super) fn all(&self) -> Vec<Arc<MaiInstance>> {
        self.store.lock().as_ref().map(Store::state).unwrap_or_default()
    }
}

impl Collector for Instances {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let all = self.all();
        if all.is_empty() {
            return Ok(());
        }
        let labels_of = |instance: &MaiInstance| {
            vec![("namespace", instance.namespace().unwrap_or_default()), ("name", instance.name_any())]
        };
        let is_ready = |instance: &MaiInstance| {
            instance.status.iter().any(|status| status.condition_holds(ConditionKind::Ready) == Some(true))
        };
        let newest_backup = |instance: &MaiInstance| {
            let backup = instance.status.as_ref().and_then(|status| status.backup.as_ref());
            backup.and_then(|backup| backup.last_verified).map_or(0, Timestamp::as_second)
        };
        let backups_fail = |instance: &MaiInstance| {
            instance.status.iter().any(|status| status.condition_holds(ConditionKind::BackupHealthy) == Some(false))
        };
        let upgrade = |instance: &MaiInstance| {
            instance.status.as_ref().and_then(|status| {
                status.condition(ConditionKind::UpgradeHealthy)?;
                Some(i64::from(status.condition_holds(ConditionKind::UpgradeHealthy) != Some(false)))
            })
        };
        let restore_fails = |instance: &MaiInstance| {
            instance.status.iter().any(|status| status.condition_holds(ConditionKind::RestoreVerified) == Some(false))
        };
        let passed_drill = |instance: &MaiInstance| {
            let backup = instance.status.as_ref().and_then(|status| status.backup.as_ref());
            backup.and_then(|backup| backup.drill.as_ref()).and_then(|drills| drills.passed.clone())
        };
        let has_drills = |instance: &MaiInstance| {
            instance.spec.backup.as_ref().filter(|backup| backup.drill != Drill::Never).map(|_| ())
        };
        let mut gauges = |name: &str, help: &str, value: &dyn Fn(&MaiInstance) -> Option<i64>| {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for instance in &all {
                if let Some(value) = value(instance) {
                    ConstGauge::new(value).encode(family.encode_family(&labels_of(instance))?)?;
                }
            }
            Ok::<(), std::fmt::Error>(())
        };
        gauges("mai_instance_ready", "1 while the instance is ready", &|instance| Some(i64::from(is_ready(instance))))?;
        gauges("mai_instance_suspended", "1 while it is suspended as declared", &|instance| {
            Some(i64::from(instance.spec.suspend))
        })?;
        gauges(
            "mai_instance_backup_healthy",
            "0 while its backups fail, are overdue or are not verified",
            &|instance| instance.spec.backup.as_ref().map(|_| i64::from(!backups_fail(instance))),
        )?;
        gauges("mai_instance_upgrade_healthy", "0 while its upgrade failed or is held up", &upgrade)?;
        gauges(
            "mai_instance_last_verified_backup_timestamp_seconds",
            "Moment of the data in the newest verified backup, in Unix time; 0 before the first",
            &|instance| instance.spec.backup.as_ref().map(|_| newest_backup(instance)),
        )?;
        gauges("mai_instance_restore_verified", "0 while its drills fail or are overdue", &|instance| {
            has_drills(instance).map(|()| i64::from(!restore_fails(instance)))
        })?;
        gauges(
            "mai_instance_last_passed_drill_timestamp_seconds",
            "End of the newest drill that was passed, in Unix time; 0 before the first",
            &|instance| has_drills(instance).map(|()| passed_drill(instance).map_or(0, |passed| passed.at.as_second())),
        )?;
        gauges(
            "mai_instance_recovery_seconds",
            "Seconds until the backup of that drill was back and a server ready on it",
            &|instance| passed_drill(instance).map(|passed| passed.recovery_seconds),
        )?;
        gauges("mai_instance_restore_failed", "1 while its newest restore is one that failed", &|instance| {
            let restore = instance.status.as_ref()?.restore.as_ref()?;
            Some(i64::from(restore.step == RestoreStep::Failed))
        })?;
        let mut family = encoder.encode_descriptor(
            "mai_instance_info",
            "Version and image of the instance",
            None,
            MetricType::Gauge,
        )?;
        for instance in &all {
            let version = instance.status.as_ref().and_then(|status| status.version.clone()).unwrap_or_default();
            let mut labels = labels_of(instance);
            labels.extend([("version", version), ("image", instance.spec.image.clone())]);
            ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
