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

    /// Returns the number of instances other than this one with a running job, and forgets those that
    /// are not among `all`. Just after the start it is the largest number until each of `all` has been
    /// observed.
    pub(super) fn count_others(&self, uid: &str, all: impl FnOnce() -> HashSet<String>) -> usize {
        let mut known = self.known.lock();
        let is_discovery = self.started.elapsed() < DISCOVERY;
        if is_discovery || known.running.iter().any(|other| other != uid) {
            let all = all();
            if is_discovery && !all.is_subset(&known.observed) {
                return usize::MAX;
            }
            known.running.retain(|other| all.contains(other));
            known.observed.retain(|other| all.contains(other));
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
        let all = || HashSet::from(["a".to_owned(), "b".to_owned()]);
        jobs.record("a", true);
        assert_eq!(jobs.count_others("b", all), usize::MAX);
        jobs.record("b", false);
        assert_eq!((jobs.count_others("b", all), jobs.count_others("a", all)), (1, 0));
        assert!(!jobs.reserve("b", 1) && jobs.reserve("a", 1));
        jobs.record("a", false);
        assert!(jobs.reserve("b", 1) && !jobs.reserve("a", 1));
        assert_eq!(jobs.count_others("a", || HashSet::from(["a".to_owned()])), 0, "b is gone");
        assert!(jobs.reserve("a", 1));
    }
}
