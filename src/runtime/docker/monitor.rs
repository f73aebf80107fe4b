//! Readiness of every running container, by probes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use crate::core::{InstanceId, Readiness, Workload};
use crate::runtime::changes::Changes;
use crate::runtime::readiness::{JUST_STARTED, ReadinessMonitor, Target, default_probe, just_started};

/// Start period of a container whose document is not known yet.
const DEFAULT_START_PERIOD: Duration = Duration::from_secs(60);

/// One run of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunKey {
    pub(super) container: String,
    pub(super) since: Timestamp,
}

#[derive(Debug)]
struct Watch {
    run: RunKey,
    readiness: Arc<ReadinessMonitor>,
    _task: AbortOnDropHandle<()>,
}

/// The runs that are probed.
#[derive(Debug)]
pub(super) struct Monitor {
    /// By uid of the instance.
    watches: Mutex<HashMap<String, Watch>>,
    changes: Arc<Changes>,
    /// Age below which a run is reported as starting without a first probe, since the next one is
    /// soon.
    just_started: Duration,
}

impl Monitor {
    pub(super) fn new(changes: Arc<Changes>) -> Self {
        Self { watches: Mutex::default(), changes, just_started: JUST_STARTED }
    }

    /// Returns a monitor for a single observation, which probes every run first.
    pub(super) fn observing_once(changes: Arc<Changes>) -> Self {
        Self { just_started: Duration::ZERO, ..Self::new(changes) }
    }

    /// Returns the readiness of a run, which is probed from now on. An older run is probed before
    /// the first answer.
    pub(super) async fn readiness(
        &self,
        id: &InstanceId,
        run: RunKey,
        target: Target,
        workload: Option<&Workload>,
    ) -> Readiness {
        if let Some(monitor) = self.watched(id, &run) {
            if let Some(workload) = workload {
                monitor.set_probe(target, &workload.probe);
            }
            return monitor.readiness();
        }
        let age = Duration::try_from(Timestamp::now().duration_since(run.since)).unwrap_or_default();
        let start_period = workload.map_or(DEFAULT_START_PERIOD, |workload| workload.container.start_period);
        let assumed = match age < start_period.max(self.just_started) {
            true => just_started(),
            false => Readiness::Ready { version: None },
        };
        let probe = workload.map_or_else(default_probe, |workload| workload.probe.clone());
        let monitor = Arc::new(ReadinessMonitor::new(target, probe, assumed));
        if age >= self.just_started {
            monitor.probe_first().await;
        }
        let readiness = monitor.readiness();
        self.watch(id, run, monitor);
        readiness
    }

    /// Returns the address at which an instance is probed.
    pub(super) fn address(&self, id: &InstanceId) -> Option<SocketAddr> {
        self.watches.lock().get(&id.uid).map(|watch| watch.readiness.address())
    }

    /// Ends the probes of an instance.
    pub(super) fn forget(&self, id: &InstanceId) {
        self.watches.lock().remove(&id.uid);
    }

    fn watched(&self, id: &InstanceId, run: &RunKey) -> Option<Arc<ReadinessMonitor>> {
        let watches = self.watches.lock();
        watches.get(&id.uid).filter(|watch| watch.run == *run).map(|watch| Arc::clone(&watch.readiness))
    }

    fn watch(&self, id: &InstanceId, run: RunKey, readiness: Arc<ReadinessMonitor>) {
        let (probed, changes, owner) = (Arc::clone(&readiness), Arc::clone(&self.changes), id.clone());
        let task = tokio::spawn(async move {
            let mut rounds = probed.rounds();
            loop {
                if rounds.next().await {
                    changes.name(&owner);
                }
            }
        });
        self.watches.lock().insert(id.uid.clone(), Watch { run, readiness, _task: AbortOnDropHandle::new(task) });
    }
}
