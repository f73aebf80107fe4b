//! Supervises one run until it has ended: probes it, rotates its log and records its exit.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::limits::Limiter;
use super::run::{Run, Slot};
use super::stat::Stat;
use super::{log, restart_request};
use crate::core::Exit;
use crate::runtime::changes::Changes;

/// Interval between checks whether the reconciler of an orphan has ended.
const PARENT_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Supervision of one run.
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
        let mut rounds = self.run.readiness.rounds();
        loop {
            let is_news = rounds.next().await;
            // The end of the process is reported by itself.
            if is_news && !self.run.process.has_ended() {
                self.changes.name(&self.run.labels.id);
            }
            self.rotate_large_log().await;
        }
    }

    /// Ends an orphan that does not end with its standard input.
    async fn end_orphan(&self) {
        let pid = self.run.process.pid();
        while Stat::read(pid).is_ok_and(|stat| stat.parent == self.run.labels.started_by)
            && self.run.labels.started_by != std::process::id()
        {
            tokio::time::sleep(PARENT_CHECK_INTERVAL).await;
        }
        if let Err(error) = self.run.end().await {
            tracing::error!(instance = %self.run.labels.id, pid, %error, "a server whose reconciler has ended could not be stopped");
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
        let wanted = run.is_ending() || restart_request::consume(home, run.process.pid(), run.process.start_ticks());
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
