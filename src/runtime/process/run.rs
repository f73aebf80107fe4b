//! One run of one server, from its start or discovery until it has ended.

use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::watch;

use super::labels::Labels;
use super::process_handle::Process;
use crate::core::{EnvValue, Exit, Readiness, Workload};
use crate::runtime::readiness::{JUST_STARTED, ReadinessMonitor, default_probe, just_started};

/// Grace period of a server whose document is not known yet.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// One run of one server.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) process: Process,
    pub(super) labels: Labels,
    pub(super) log: PathBuf,
    /// Length of the log at its start; what is before belongs to former runs.
    pub(super) log_from: u64,
    pub(super) readiness: ReadinessMonitor,
    stop_grace: Mutex<Duration>,
    /// Closed to stop the server, and by the kernel when this reconciler ends, however it ends.
    stdin: Mutex<Option<ChildStdin>>,
    /// Values to remove from the end of its log.
    secrets: OnceLock<Vec<SecretString>>,
    /// Its end is wanted and therefore no failure.
    stop_requested: AtomicBool,
    /// Its limits are set. Unknown of a found one: a reconciler may be killed between start and
    /// limit.
    limited: AtomicBool,
    /// It was started by a former reconciler.
    pub(super) was_found: bool,
    /// Orphaned: it ends together with its reconciler, which is gone.
    orphaned: bool,
}

impl Run {
    pub(super) fn started(
        process: Process,
        labels: Labels,
        log: PathBuf,
        log_from: u64,
        stdin: Option<ChildStdin>,
    ) -> Self {
        let readiness = ReadinessMonitor::new(labels.listen, default_probe(), just_started());
        Self {
            process,
            labels,
            log,
            log_from,
            readiness,
            stop_grace: Mutex::new(DEFAULT_GRACE),
            stdin: Mutex::new(stdin),
            secrets: OnceLock::new(),
            stop_requested: AtomicBool::new(false),
            limited: AtomicBool::new(true),
            was_found: false,
            orphaned: false,
        }
    }

    pub(super) fn found(process: Process, labels: Labels, log: PathBuf) -> Self {
        let orphaned = labels.attached;
        let age = Duration::try_from(Timestamp::now().duration_since(labels.started_at)).unwrap_or_default();
        let mut run = Self::started(process, labels, log, 0, None);
        if age > JUST_STARTED {
            // It was ready once, so that a first failure gets its retries like any other.
            let assumed = Readiness::Ready { version: None };
            run.readiness = ReadinessMonitor::new(run.labels.listen, default_probe(), assumed);
        }
        Self { orphaned, limited: AtomicBool::new(false), was_found: true, ..run }
    }

    /// Sets what its document declares and may change while it runs.
    pub(super) fn set_declared(&self, workload: &Workload) {
        self.readiness.set_probe(self.labels.listen, &workload.probe);
        *self.stop_grace.lock() = workload.stop_grace;
        self.secrets.get_or_init(|| {
            let secret = |value: &EnvValue| match value {
                EnvValue::Secret(secret) => Some(secret.clone()),
                EnvValue::Plain(_) => None,
            };
            workload.env.values().filter_map(secret).collect()
        });
    }

    pub(super) fn secrets(&self) -> &[SecretString] {
        self.secrets.get().map_or(&[], Vec::as_slice)
    }

    /// Returns whether it is ending.
    pub(super) fn is_ending(&self) -> bool {
        self.orphaned || self.is_stop_requested()
    }

    /// Returns whether its end is wanted and therefore no failure.
    pub(super) fn is_stop_requested(&self) -> bool {
        self.stop_requested.load(Ordering::Acquire)
    }

    /// Returns true once, when its limits have yet to be set.
    pub(super) fn claim_limits(&self) -> bool {
        !self.limited.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_orphaned(&self) -> bool {
        self.orphaned
    }

    /// Ends it. Its supervision records the exit.
    pub(super) async fn end(&self) -> std::io::Result<()> {
        self.stop_requested.store(true, Ordering::Release);
        let grace = *self.stop_grace.lock();
        drop(self.stdin.lock().take());
        self.process.end(grace).await
    }
}

/// The runs of one instance, one after the other.
#[derive(Debug)]
pub(super) struct Slot {
    /// Held by a start, a stop or a removal.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) state: watch::Sender<SlotState>,
}

/// The current run, and the failure of the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct SlotState {
    pub(super) run: Option<Arc<Run>>,
    pub(super) last_exit: Option<Exit>,
}

impl Default for Slot {
    fn default() -> Self {
        Self { turn: tokio::sync::Mutex::new(()), state: watch::Sender::new(SlotState::default()) }
    }
}

impl Slot {
    /// Returns the current run. Waits until the exit of one that has just ended is recorded, which
    /// takes milliseconds.
    pub(super) async fn settled(&self) -> SlotState {
        let state = self.state.borrow().clone();
        match &state.run {
            Some(run) if run.process.has_ended() => self.without(run).await,
            _ => state,
        }
    }

    /// Waits until `run` is no longer the current one.
    pub(super) async fn without(&self, run: &Arc<Run>) -> SlotState {
        let mut changes = self.state.subscribe();
        let other = |state: &SlotState| state.run.as_ref().is_none_or(|current| !Arc::ptr_eq(current, run));
        match changes.wait_for(other).await {
            Ok(state) => state.clone(),
            // The sender lives as long as this slot.
            Err(_) => SlotState::default(),
        }
    }
}
