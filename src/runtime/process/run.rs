//! One run of one server: from the moment it is started or found until it has ended.

use std::path::PathBuf;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mai_contract::http::READY_PATH;
use parking_lot::Mutex;
use secrecy::SecretString;
use tokio::sync::watch;

use super::labels::Labels;
use super::process_handle::Process;
use crate::core::{EnvValue, Exit, Probe, Readiness, Workload};
use crate::runtime::probe::Answer;
use crate::runtime::readiness::after;

/// The grace period of a server of which no document is known.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// What may change while a server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) probe: Probe,
    pub(super) stop_grace: Duration,
}

impl Default for Terms {
    /// For a server that was found before its document was read.
    fn default() -> Self {
        let probe =
            Probe { path: READY_PATH.to_owned(), interval: Duration::from_secs(30), timeout: Duration::from_secs(10) };
        Self { probe, stop_grace: DEFAULT_GRACE }
    }
}

/// A server that was found and has been running for longer than this was looked after by a reconciler before.
const STARTED_RECENTLY: SignedDuration = SignedDuration::from_secs(5);

/// One run of one server.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) process: Process,
    pub(super) labels: Labels,
    pub(super) log: PathBuf,
    /// Length of the log when it was started; what is before belongs to former runs.
    pub(super) log_from: u64,
    pub(super) terms: watch::Sender<Terms>,
    pub(super) readiness: watch::Sender<Readiness>,
    /// Closed when it is told to stop, and by the kernel when this reconciler dies, however it dies.
    stdin: Mutex<Option<ChildStdin>>,
    /// Values that must not show in the end of its log.
    secrets: OnceLock<Vec<SecretString>>,
    /// Somebody wants it to end, so that its end is no failure.
    stop_requested: AtomicBool,
    /// Its limits are set. Of one that was found it is not known: a reconciler may be killed between start and limit.
    limited: AtomicBool,
    /// It was asked at least once whether it is ready.
    answered: AtomicBool,
    /// RunningServer on its way out: the reconciler that it ends with is gone.
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
        Self {
            process,
            labels,
            log,
            log_from,
            terms: watch::Sender::new(Terms::default()),
            readiness: watch::Sender::new(Readiness::Starting { detail: "it was only just started".to_owned() }),
            stdin: Mutex::new(stdin),
            secrets: OnceLock::new(),
            stop_requested: AtomicBool::new(false),
            limited: AtomicBool::new(true),
            answered: AtomicBool::new(true),
            orphaned: false,
        }
    }

    pub(super) fn found(process: Process, labels: Labels, log: PathBuf) -> Self {
        let orphaned = labels.attached;
        let old = Timestamp::now().duration_since(labels.started_at) > STARTED_RECENTLY;
        let run = Self::started(process, labels, log, 0, None);
        if old {
            // One that has run for long was ready once: should its first answer fail, it gets its retries like any other.
            run.readiness.send_replace(Readiness::Ready { version: None });
        }
        Self { orphaned, limited: AtomicBool::new(false), answered: AtomicBool::new(false), ..run }
    }

    /// Takes over what a document says of a server that runs already.
    pub(super) fn set_terms(&self, workload: &Workload) {
        let terms = Terms { probe: workload.probe.clone(), stop_grace: workload.stop_grace };
        self.terms.send_if_modified(|known| {
            let changed = *known != terms;
            *known = terms;
            changed
        });
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

    /// Whether it is on its way out.
    pub(super) fn is_ending(&self) -> bool {
        self.orphaned || self.is_stop_requested()
    }

    /// Whether its end is wanted and therefore no failure.
    pub(super) fn is_stop_requested(&self) -> bool {
        self.stop_requested.load(Ordering::Acquire)
    }

    /// Whether its limits have yet to be set; says so once.
    pub(super) fn claim_limits(&self) -> bool {
        !self.limited.swap(true, Ordering::AcqRel)
    }

    /// Whether it has yet to be asked before anything can be said about it; says so once.
    pub(super) fn claim_first_probe(&self) -> bool {
        !self.answered.swap(true, Ordering::AcqRel)
    }

    pub(super) fn is_orphaned(&self) -> bool {
        self.orphaned
    }

    /// Ends it; the rest of its life is up to whoever supervises it.
    pub(super) async fn end(&self) -> std::io::Result<()> {
        self.stop_requested.store(true, Ordering::Release);
        let grace = self.terms.borrow().stop_grace;
        drop(self.stdin.lock().take());
        self.process.end(grace).await
    }

    /// Takes in what a probe found; tells whether anybody wants to know.
    pub(super) fn record_answer(&self, answer: Answer) -> bool {
        self.readiness.send_if_modified(|known| {
            let (next, worth_telling) = after(known, answer);
            *known = next;
            worth_telling
        })
    }
}

/// Where the runs of one instance are kept, one after the other.
#[derive(Debug)]
pub(super) struct Slot {
    /// Starting, stopping and removing take turns.
    pub(super) turn: tokio::sync::Mutex<()>,
    pub(super) state: watch::Sender<SlotState>,
}

/// The run there is now, and how the one before it failed.
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
    /// The run there is now. One that has just ended is waited for until its end is written down, which takes milliseconds.
    pub(super) async fn settled(&self) -> SlotState {
        let state = self.state.borrow().clone();
        match &state.run {
            Some(run) if run.process.has_ended() => self.without(run).await,
            _ => state,
        }
    }

    /// Waits until `run` is no longer the run there is.
    pub(super) async fn without(&self, run: &Arc<Run>) -> SlotState {
        let mut changes = self.state.subscribe();
        let other = |state: &SlotState| state.run.as_ref().is_none_or(|current| !Arc::ptr_eq(current, run));
        match changes.wait_for(other).await {
            Ok(state) => state.clone(),
            // The sender is this slot's own and lives as long as it does.
            Err(_) => SlotState::default(),
        }
    }
}
