//! Asks every running container over HTTP whether it is ready, and remembers the answer for the next look.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mai_contract::http::READY_PATH;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::core::{InstanceId, Probe, Readiness, Workload};
use crate::runtime::changes::Changes;
use crate::runtime::probe::{self, Answer};
use crate::runtime::readiness::after;

/// A server that is not ready yet is asked this soon, and then ever later …
const FIRST_PROBE: Duration = Duration::from_millis(20);
/// … but at least this often.
const SLOWEST_START_PROBE: Duration = Duration::from_millis(250);
/// One that has been running for longer was looked after by a reconciler before.
const JUST_STARTED: Duration = Duration::from_secs(5);

/// One run of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunKey {
    pub(super) container: String,
    pub(super) since: Timestamp,
}

/// How a run is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Terms {
    target: SocketAddr,
    probe: Probe,
}

#[derive(Debug)]
struct Watch {
    run: RunKey,
    terms: watch::Sender<Terms>,
    readiness: watch::Receiver<Readiness>,
    _task: AbortOnDropHandle<()>,
}

/// All runs that are asked.
#[derive(Debug)]
pub(super) struct Monitor {
    /// By uid of the instance.
    watches: Mutex<HashMap<String, Watch>>,
    changes: Arc<Changes>,
    /// A run that is younger is not asked before something is said about it: it is asked again soon.
    just_started: Duration,
}

impl Monitor {
    pub(super) fn new(changes: Arc<Changes>) -> Self {
        Self { watches: Mutex::default(), changes, just_started: JUST_STARTED }
    }

    /// For who looks once: every run is asked before anything is said about it.
    pub(super) fn observing_once(changes: Arc<Changes>) -> Self {
        Self { just_started: Duration::ZERO, ..Self::new(changes) }
    }

    /// What is known of a run; from now on it is asked again and again. One that runs for long and is seen for the first time is asked
    /// before anything is said about it.
    pub(super) async fn readiness(
        &self,
        id: &InstanceId,
        run: RunKey,
        target: SocketAddr,
        workload: Option<&Workload>,
    ) -> Readiness {
        if let Some(known) = self.known(id, &run, target, workload) {
            return known;
        }
        let probe = workload.map_or_else(usual, |workload| workload.probe.clone());
        let age = Duration::try_from(Timestamp::now().duration_since(run.since)).unwrap_or_default();
        let start_period = workload.map_or(Duration::from_secs(60), |workload| workload.container.start_period);
        let first = if age < self.just_started {
            Readiness::Starting { detail: "it was only just started".to_owned() }
        } else {
            match probe::ask(target, &probe).await {
                Answer::Ready { version } => Readiness::Ready { version },
                Answer::NotReady { detail } if age < start_period => Readiness::Starting { detail },
                Answer::NotReady { detail } => Readiness::Failing { probes: 1, detail },
            }
        };
        self.watch(id, run, Terms { target, probe }, first.clone());
        first
    }

    /// Nothing runs any more.
    pub(super) fn forget(&self, id: &InstanceId) {
        self.lock().remove(&id.uid);
    }

    fn known(
        &self,
        id: &InstanceId,
        run: &RunKey,
        target: SocketAddr,
        workload: Option<&Workload>,
    ) -> Option<Readiness> {
        let watches = self.lock();
        let watch = watches.get(&id.uid).filter(|watch| watch.run == *run)?;
        watch.terms.send_if_modified(|known| {
            let probe = workload.map_or_else(|| known.probe.clone(), |workload| workload.probe.clone());
            let terms = Terms { target, probe };
            let changed = *known != terms;
            *known = terms;
            changed
        });
        Some(watch.readiness.borrow().clone())
    }

    fn watch(&self, id: &InstanceId, run: RunKey, terms: Terms, first: Readiness) {
        let (terms, asked) = watch::channel(terms);
        let (answers, readiness) = watch::channel(first);
        let task = tokio::spawn(ask_on(id.clone(), asked, answers, Arc::clone(&self.changes)));
        self.lock().insert(id.uid.clone(), Watch { run, terms, readiness, _task: AbortOnDropHandle::new(task) });
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Watch>> {
        self.watches.lock()
    }
}

/// For a container of which no document is known yet.
fn usual() -> Probe {
    Probe { path: READY_PATH.to_owned(), interval: Duration::from_secs(30), timeout: Duration::from_secs(10) }
}

async fn ask_on(
    id: InstanceId,
    mut terms: watch::Receiver<Terms>,
    answers: watch::Sender<Readiness>,
    changes: Arc<Changes>,
) {
    let mut pause = match *answers.borrow() {
        Readiness::Starting { .. } => FIRST_PROBE,
        _ => terms.borrow().probe.interval,
    };
    loop {
        // Other terms than before are tried at once.
        if matches!(tokio::time::timeout(pause, terms.changed()).await, Ok(Err(_))) {
            return;
        }
        let Terms { target, probe } = terms.borrow_and_update().clone();
        let answer = probe::ask(target, &probe).await;
        let news = answers.send_if_modified(|known| {
            let (next, news) = after(known, answer);
            *known = next;
            news
        });
        if news {
            changes.name(&id);
        }
        pause = match *answers.borrow() {
            Readiness::Starting { .. } | Readiness::Waiting(_) => (pause * 3 / 2).min(SLOWEST_START_PROBE),
            Readiness::Ready { .. } | Readiness::Failing { .. } => probe.interval,
        };
    }
}
