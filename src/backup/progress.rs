//! Progress of a job, and the way to stop it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mai_contract::job::{self, Step};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::BackupError;

/// Shortest time between two reports of the same step.
const INTERVAL: Duration = Duration::from_secs(1);

/// Counts the work of a job and reports it. Whoever counts is told when the job is to stop. Clones
/// share one count.
#[derive(Clone)]
pub struct Progress(Arc<Inner>);

struct Inner {
    report: Box<dyn Fn(job::Progress) + Send + Sync>,
    current: Mutex<Current>,
    done: AtomicU64,
    is_stopped: AtomicBool,
    stopped: Notify,
}

struct Current {
    step: Step,
    total: u64,
    reported: Instant,
}

impl Progress {
    /// Reports to `report`, at each step and then once a second at most.
    pub fn new(report: impl Fn(job::Progress) + Send + Sync + 'static) -> Self {
        let current = Current { step: Step::Snapshot, total: 0, reported: Instant::now() };
        Self(Arc::new(Inner {
            report: Box::new(report),
            current: Mutex::new(current),
            done: AtomicU64::new(0),
            is_stopped: AtomicBool::new(false),
            stopped: Notify::new(),
        }))
    }

    /// Reports to nobody.
    pub fn silent() -> Self {
        Self::new(|_| ())
    }

    /// Begins a step of `total` bytes.
    pub fn begin(&self, step: Step, total: u64) {
        let mut current = self.0.current.lock();
        *current = Current { step, total, reported: Instant::now() };
        self.0.done.store(0, Ordering::Relaxed);
        drop(current);
        (self.0.report)(job::Progress { step, done: 0, total });
    }

    /// Counts `bytes` of the current step. Fails with [`BackupError::Stopped`] once the job is to
    /// stop.
    pub fn add(&self, bytes: u64) -> Result<(), BackupError> {
        let done = self.0.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let mut current = self.0.current.lock();
        if current.reported.elapsed() >= INTERVAL {
            current.reported = Instant::now();
            let (step, total) = (current.step, current.total.max(done));
            drop(current);
            (self.0.report)(job::Progress { step, done, total });
        }
        self.check()
    }

    /// Fails with [`BackupError::Stopped`] once the job is to stop.
    pub fn check(&self) -> Result<(), BackupError> {
        if self.0.is_stopped.load(Ordering::Relaxed) { Err(BackupError::Stopped) } else { Ok(()) }
    }

    /// Stops the job: the next count fails.
    pub fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::SeqCst);
        self.0.stopped.notify_waiters();
    }

    /// Waits until the job is to stop.
    pub async fn stopped(&self) {
        let stopped = self.0.stopped.notified();
        if self.check().is_ok() {
            stopped.await;
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("done", &self.0.done).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_reported_and_a_stop_is_told() {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = reports.clone();
        let progress = Progress::new(move |report| sink.lock().push((report.step, report.done, report.total)));
        progress.begin(Step::Store, 10);
        progress.add(4).unwrap();
        progress.begin(Step::Verify, 20);
        progress.clone().stop();
        assert!(matches!(progress.add(1), Err(BackupError::Stopped)));
        assert_eq!(*reports.lock(), [(Step::Store, 0, 10), (Step::Verify, 0, 20)]);
    }
}
