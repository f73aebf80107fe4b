//! The jobs that run at the moment, of all instances, so that only as many run at the same time as
//! the platform can bear.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Time after the start within which jobs may run that have not been observed yet.
const DISCOVERY: Duration = Duration::from_secs(60);

/// The instances with a running job.
pub(super) struct RunningJobs {
    known: Mutex<Known>,
    started: Instant,
}

#[derive(Default)]
struct Known {
    running: HashSet<String>,
    observed: HashSet<String>,
}

impl RunningJobs {
    pub(super) fn new() -> Self {
        Self { known: Mutex::default(), started: Instant::now() }
    }

    /// Records whether a job of an instance runs.
    pub(super) fn record(&self, uid: &str, runs: bool) {
        let mut known = self.known.lock();
        known.observed.insert(uid.to_owned());
        if runs {
            known.running.insert(uid.to_owned());
        } else {
            known.running.remove(uid);
        }
    }

    /// Returns the number of instances other than this one with a running job. Just after the start
    /// it is the largest number until each of `all` has been observed.
    pub(super) fn count_others(&self, uid: &str, all: impl FnOnce() -> Vec<String>) -> usize {
        let all = if self.started.elapsed() < DISCOVERY { all() } else { Vec::new() };
        let known = self.known.lock();
        if all.iter().any(|other| !known.observed.contains(other)) {
            return usize::MAX;
        }
        known.running.iter().filter(|other| *other != uid).count()
    }

    /// Takes a place for a job of an instance. Returns whether there is one.
    pub(super) fn reserve(&self, uid: &str, most: usize) -> bool {
        let mut known = self.known.lock();
        let free = known.running.contains(uid) || known.running.len() < most;
        if free {
            known.running.insert(uid.to_owned());
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_once_all_jobs_are_known() {
        let jobs = RunningJobs::new();
        let all = || vec!["a".to_owned(), "b".to_owned()];
        jobs.record("a", true);
        assert_eq!(jobs.count_others("b", all), usize::MAX);
        jobs.record("b", false);
        assert_eq!((jobs.count_others("b", all), jobs.count_others("a", all)), (1, 0));
        assert!(!jobs.reserve("b", 1) && jobs.reserve("a", 1));
        jobs.record("a", false);
        assert!(jobs.reserve("b", 1) && !jobs.reserve("a", 1));
    }
}
