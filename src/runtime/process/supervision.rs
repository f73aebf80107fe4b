//! Looks after one run until it has ended: probes it, keeps its log short, notices its end and writes down how it ended.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::limits::Limiter;
use super::run::{Run, Slot};
use super::stat::Stat;
use super::{log, restart_request};
use crate::core::{Exit, Readiness};
use crate::runtime::changes::Changes;
use crate::runtime::probe;

/// A server that is not ready yet is probed this soon, and then ever later …
const FIRST_PROBE: Duration = Duration::from_millis(20);
/// … but at least this often.
const SLOWEST_START_PROBE: Duration = Duration::from_millis(250);
/// How often it is looked whether the reconciler of an orphan is really gone.
const PARENT_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What the supervision of a run needs.
#[derive(Clone, Debug)]
pub(super) struct Supervision {
    pub(super) key: String,
    pub(super) slot: Arc<Slot>,
    pub(super) run: Arc<Run>,
    pub(super) changes: Arc<Changes>,
    pub(super) limiter: Arc<Limiter>,
}

impl Supervision {
    /// Runs until the server has ended.
    pub(super) async fn run(self) {
        tokio::select! {
            () = self.run.process.ended() => {}
            () = self.probe(), if !self.run.is_orphaned() => {}
            () = self.end_orphan(), if self.run.is_orphaned() => {}
        }
        self.record_exit().await;
    }

    async fn probe(&self) {
        let mut terms = self.run.terms.subscribe();
        let mut pause = FIRST_PROBE;
        loop {
            // Other terms than before are tried at once.
            let changed = tokio::time::timeout(pause, terms.changed()).await;
            if matches!(changed, Ok(Err(_))) {
                return std::future::pending().await;
            }
            let probe = terms.borrow_and_update().probe.clone();
            let answer = probe::ask(self.run.labels.listen, &probe).await;
            // A change of kind is worth a look, unless there is nothing left to look at.
            if self.run.record_answer(answer) && !self.run.process.has_ended() {
                self.changes.name(&self.run.labels.id);
            }
            self.rotate_large_log().await;
            pause = match *self.run.readiness.borrow() {
                Readiness::Starting { .. } | Readiness::Waiting(_) => (pause * 3 / 2).min(SLOWEST_START_PROBE),
                Readiness::Ready { .. } | Readiness::Failing { .. } => probe.interval,
            };
        }
    }

    /// An orphan ends by itself when its standard input does. One that does not is told, and then made to.
    async fn end_orphan(&self) {
        let pid = self.run.process.pid();
        while Stat::read(pid).is_ok_and(|stat| stat.parent == self.run.labels.started_by)
            && self.run.labels.started_by != std::process::id()
        {
            tokio::time::sleep(PARENT_CHECK_INTERVAL).await;
        }
        if let Err(error) = self.run.end().await {
            tracing::error!(instance = %self.run.labels.id, pid, %error, "a server whose reconciler is gone could not be ended");
            std::future::pending::<()>().await;
        }
    }

    async fn rotate_large_log(&self) {
        if !log::is_large(&self.run.log) {
            return;
        }
        let path = self.run.log.clone();
        match tokio::task::spawn_blocking(move || log::rotate(&path)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(instance = %self.run.labels.id, %error, "the log could not be rotated"),
            Err(error) => tracing::warn!(instance = %self.run.labels.id, %error, "the log could not be rotated"),
        }
    }

    async fn record_exit(&self) {
        let run = &self.run;
        let ending = run.process.reap();
        self.limiter.clear(&self.key);
        let home = run.log.parent().unwrap_or(&run.log);
        let wanted = run.is_ending() || restart_request::take(home, run.process.pid(), run.process.start_ticks());
        let exit = if wanted {
            None
        } else {
            let reader = Arc::clone(run);
            let tail = move || log::tail(&reader.log, reader.log_from, reader.secrets());
            let log_tail = tokio::task::spawn_blocking(tail).await.unwrap_or_default();
            Some(Exit { at: Timestamp::now(), code: ending.code, signal: ending.signal, log_tail })
        };
        tracing::debug!(instance = %run.labels.id, pid = run.process.pid(), code = ending.code, signal = ending.signal, wanted, "a server ended");
        self.slot.state.send_modify(|state| {
            state.run = None;
            state.last_exit = exit;
        });
        self.changes.name(&run.labels.id);
    }
}
