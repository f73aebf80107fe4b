//! The record of a restore: its beginning, and the step that follows on each end of a job. The same
//! record is the memory of the reconciler and `status.restore`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use mai_contract::job::{BackupId, OTHER_WORK, Outcome, SwapStep};

use super::backoff::{backup_retry_delay, step_retry_delay};
use super::backup_report::{shortened, shown};
use super::schedule::whole_second;
use crate::api::{KeptData, MaiInstanceStatus, RestoreCause, RestoreStatus, RestoreStep};
use crate::core::{EventKind, JobWork, Memory};

/// Time that the data before a restore is kept in the data volume.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Attempts at a step that changes no data, after which the restore ends.
const ATTEMPTS: i32 = 3;
/// Attempts at putting restored data in place, after which the former data is put back.
const SWAP_ATTEMPTS: i32 = 5;
/// Message of a new instance that found data.
const DATA_KEPT: &str = "data was there already and is kept, so spec.restoreFrom brought nothing back; to replace that data, run `mai restore`, in a cluster `kubectl mai restore`";

/// End of a job of a restore.
#[derive(Clone, Copy, Debug)]
pub(super) enum JobEnd<'a> {
    /// It ended with this outcome.
    Outcome(&'a Outcome),
    /// It cannot be started until a person acts.
    Blocked(&'a str),
    /// It was not started or did not end by itself, for this cause.
    Lost(&'a str),
}

impl JobEnd<'_> {
    /// Returns it as an outcome.
    pub(super) fn into_outcome(self) -> Outcome {
        match self {
            Self::Outcome(outcome) => outcome.clone(),
            Self::Blocked(message) | Self::Lost(message) => Outcome::Failed { message: message.to_owned() },
        }
    }
}

/// An event about restores.
pub(super) struct RestoreEvent {
    pub(super) kind: EventKind,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// Begins a restore in the place of one that has ended. What the former replaced stays kept.
pub(super) fn begin(memory: &mut Memory, mut restore: RestoreStatus) {
    if let Some(former) = memory.restore.take() {
        restore.earlier = former.earlier;
        restore.earlier.extend(former.kept_until.map(|until| KeptData { restore: former.id, until }));
        if former.cause == RestoreCause::NewInstance && !former.step.has_data() {
            // Its server still has to wait for data.
            restore.cause = RestoreCause::NewInstance;
        }
    }
    memory.restore = Some(restore);
}

/// Returns the restore that has not ended.
pub(super) fn in_progress(memory: &Memory) -> Option<&RestoreStatus> {
    memory.restore.as_ref().filter(|restore| !restore.step.is_end())
}

impl RestoreStatus {
    /// Goes on with a step.
    pub(super) fn enter(&mut self, step: RestoreStep, now: Timestamp) {
        self.step = step;
        self.step_since = whole_second(now);
        self.failures = 0;
        self.problem.clear();
        self.job = None;
    }

    /// Returns whether the server must not run now. One whose new image failed does not serve while its
    /// data is unpacked.
    pub(super) fn holds_server(&self) -> bool {
        let is_undone = self.cause == RestoreCause::Upgrade && self.step == RestoreStep::Unpacking;
        is_undone || self.step.holds_server()
    }

    /// Returns the work of the job of the present step, or of the data that is kept no longer.
    pub(super) fn work(&self, now: Timestamp) -> Option<JobWork> {
        let restore = self.id.parse().ok()?;
        let step = match self.step {
            RestoreStep::Unpacking => {
                let keeps_data = self.cause == RestoreCause::NewInstance;
                return Some(JobWork::Restore { restore, source: Box::new(self.source.clone()), keeps_data });
            }
            RestoreStep::BackingUp => return Some(JobWork::SafetyBackup),
            RestoreStep::Stopping | RestoreStep::Starting | RestoreStep::StoppingAgain => return None,
            RestoreStep::Swapping => SwapStep::Forward,
            RestoreStep::Returning => SwapStep::Back,
            RestoreStep::Discarding => SwapStep::Discard,
            RestoreStep::Completed | RestoreStep::Skipped | RestoreStep::Failed => {
                return Some(JobWork::Swap { restore: self.outdated(now)?, step: SwapStep::Discard });
            }
        };
        Some(JobWork::Swap { restore, step })
    }

    /// Returns the restore whose kept data goes next, once its time is up.
    fn outdated(&self, now: Timestamp) -> Option<BackupId> {
        let own = self.kept_until.filter(|until| *until <= now).map(|_| &self.id);
        let earlier = self.earlier.iter().find(|kept| kept.until <= now).map(|kept| &kept.restore);
        earlier.or(own)?.parse().ok()
    }

    /// Returns the next time at which kept data goes.
    pub(super) fn next_discard(&self) -> Option<Timestamp> {
        self.earlier.iter().map(|kept| kept.until).chain(self.kept_until).min()
    }

    /// Returns the delay before the next attempt at the present step. It is short while the server
    /// waits for it, and after the first failure, since mai may have been interrupted while it started
    /// the job.
    pub(super) fn retry_delay(&self) -> Duration {
        match (self.failures, self.holds_server()) {
            (0, _) => Duration::ZERO,
            (failures, true) | (failures @ 1, false) => step_retry_delay(failures),
            (failures, false) => backup_retry_delay(failures - 1),
        }
    }

    /// Records the end of the job of the present step. `is_down` says that the server does not run.
    pub(super) fn record_end(&mut self, end: JobEnd<'_>, is_down: bool, now: Timestamp) {
        self.job = None;
        let outcome = match end {
            JobEnd::Outcome(outcome) => outcome,
            JobEnd::Blocked(problem) => return self.refused(problem, true, now),
            JobEnd::Lost(cause) => return self.repeat(cause, now),
        };
        match (self.step, outcome) {
            (RestoreStep::Unpacking, Outcome::Restored(report)) => {
                self.backup = report.backup.as_ref().map(ToString::to_string);
                self.taken_at = report.taken_at.map(whole_second);
                // There is nothing to stop and to back up where there is no data yet.
                let is_first = is_down && !report.replaces_data;
                self.enter(if is_first { RestoreStep::Swapping } else { RestoreStep::Stopping }, now);
            }
            (RestoreStep::Unpacking, Outcome::DataKept) => {
                self.message = DATA_KEPT.to_owned();
                self.enter(RestoreStep::Skipped, now);
                self.ended_at = Some(whole_second(now));
            }
            (RestoreStep::BackingUp, Outcome::Backup(report)) => match report.safety_problem() {
                None => {
                    self.safety_backup = Some(report.id.to_string());
                    self.enter(RestoreStep::Swapping, now);
                }
                Some(problem) => self.refused(&problem, false, now),
            },
            (RestoreStep::Swapping, Outcome::Swapped) => self.enter(RestoreStep::Starting, now),
            (RestoreStep::Returning, Outcome::Swapped) => {
                self.message = shortened(format!("{}; the data before it is in its place again", self.message));
                self.fail(now);
            }
            (RestoreStep::Discarding, Outcome::Swapped) => self.fail(now),
            (RestoreStep::Completed | RestoreStep::Skipped | RestoreStep::Failed, Outcome::Swapped) => {
                self.forget_outdated(now)
            }
            (_, Outcome::Failed { message }) => self.refused(message, false, now),
            _ => self.refused(OTHER_WORK, false, now),
        }
    }

    /// Records that the present step cannot be done.
    fn refused(&mut self, problem: &str, is_blocked: bool, now: Timestamp) {
        match self.step {
            RestoreStep::Unpacking if is_blocked && self.failures == 0 => {
                // Nothing was unpacked.
                self.message = shortened(problem.to_owned());
                self.fail(now);
            }
            RestoreStep::Unpacking | RestoreStep::BackingUp => self.give_up(problem, now),
            _ => self.repeat(problem, now),
        }
    }

    /// Records a failed attempt at the present step.
    fn repeat(&mut self, problem: &str, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.problem = shortened(problem.to_owned());
        self.step_since = whole_second(now);
        match self.step {
            RestoreStep::Unpacking | RestoreStep::BackingUp if self.failures >= ATTEMPTS => self.give_up(problem, now),
            RestoreStep::Discarding if self.failures >= ATTEMPTS => {
                self.message = shortened(format!("{}; what was unpacked is still there: {problem}", self.message));
                self.fail(now);
            }
            RestoreStep::Swapping if self.failures >= SWAP_ATTEMPTS => {
                self.message = shortened(format!("the restored data could not be put in place: {problem}"));
                self.enter(RestoreStep::Returning, now);
            }
            _ => {}
        }
    }

    /// Ends a restore before it changed anything.
    fn give_up(&mut self, problem: &str, now: Timestamp) {
        self.message = shortened(match self.step {
            RestoreStep::BackingUp => format!("the present data could not be backed up before: {problem}"),
            _ => problem.to_owned(),
        });
        self.enter(RestoreStep::Discarding, now);
    }

    /// Puts the former data back, since the server did not become ready on the restored data.
    pub(super) fn turn_back(&mut self, cause: &str, now: Timestamp) {
        self.message = shortened(format!("the server did not become ready on the restored data: {cause}"));
        self.enter(RestoreStep::StoppingAgain, now);
    }

    fn fail(&mut self, now: Timestamp) {
        self.enter(RestoreStep::Failed, now);
        self.ended_at = Some(whole_second(now));
    }

    /// Ends a restore whose data is in place. `untried` says why no server is ready on it.
    pub(super) fn complete(&mut self, untried: Option<&str>, now: Timestamp) {
        let now = whole_second(now);
        let replaced = self.safety_backup.is_some() || self.cause == RestoreCause::Upgrade;
        let kept_until = now.checked_add(KEPT).ok().filter(|_| replaced);
        let restored = match (&self.backup, self.taken_at) {
            (Some(backup), Some(taken_at)) => format!("the data of backup {backup} of {} is in place", shown(taken_at)),
            (Some(backup), None) => format!("the data of backup {backup} is in place"),
            (None, _) => "the restored data is in place".to_owned(),
        };
        let untried = untried.map(|untried| format!("; {untried}")).unwrap_or_default();
        let before = kept_until.map(|until| format!("; the data before it is kept until {}", shown(until)));
        let safety = self.safety_backup.as_ref().map(|id| format!(", and is backup {id} in the backups volume"));
        self.message =
            shortened([restored.as_str(), &untried, &before.unwrap_or_default(), &safety.unwrap_or_default()].concat());
        self.enter(RestoreStep::Completed, now);
        self.ended_at = Some(now);
        // Where nothing was replaced, no more than an empty directory is left.
        self.kept_until = Some(kept_until.unwrap_or(now));
    }

    fn forget_outdated(&mut self, now: Timestamp) {
        match self.earlier.iter().position(|kept| kept.until <= now) {
            Some(index) => {
                self.earlier.remove(index);
            }
            None => self.kept_until = None,
        }
        self.failures = 0;
        self.problem.clear();
    }

    /// Returns the present step in words; none of one that has ended.
    pub(super) fn progress(&self) -> Option<String> {
        let words = match self.step {
            RestoreStep::Unpacking if self.job.is_none() => "its job has not been started yet".to_owned(),
            RestoreStep::Unpacking => "a backup is unpacked next to the data and checked".to_owned(),
            RestoreStep::Stopping => "the server is stopped, to replace its data".to_owned(),
            RestoreStep::BackingUp => "the present data is backed up before it is replaced".to_owned(),
            RestoreStep::Swapping => "the restored data takes the place of the present data".to_owned(),
            RestoreStep::Starting => "the restored data is in place".to_owned(),
            RestoreStep::StoppingAgain => {
                format!("{}; the server is stopped, to put the data before it back", self.message)
            }
            RestoreStep::Returning => format!("{}; the data before it is put back", self.message),
            RestoreStep::Discarding => format!("{}; what was unpacked is removed", self.message),
            RestoreStep::Completed | RestoreStep::Skipped | RestoreStep::Failed => return None,
        };
        Some(match self.problem.as_str() {
            "" => format!("restore {}: {words}", self.id),
            problem => format!("restore {}: {words}; attempt {} failed: {problem}", self.id, self.failures),
        })
    }
}

impl RestoreStep {
    /// Returns whether the server must not run in this step.
    pub(super) fn holds_server(self) -> bool {
        match self {
            Self::Stopping | Self::BackingUp | Self::Swapping | Self::StoppingAgain | Self::Returning => true,
            Self::Unpacking | Self::Starting | Self::Discarding | Self::Completed | Self::Skipped | Self::Failed => {
                false
            }
        }
    }

    /// Returns whether a new instance has the data that it is to begin with.
    fn has_data(self) -> bool {
        matches!(self, Self::Completed | Self::Skipped)
    }

    /// Returns whether data may be half replaced in this step, or about to be put back.
    pub(super) fn is_turning(self) -> bool {
        matches!(self, Self::Swapping | Self::StoppingAgain | Self::Returning)
    }
}

/// Returns the event of a change of the status: the end of a restore.
pub(super) fn event(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> Option<RestoreEvent> {
    let is_end = |restore: &&RestoreStatus| restore.step.is_end();
    let ended = status.restore.as_ref().filter(is_end)?;
    if previous.restore.as_ref().filter(is_end).is_some_and(|former| former.id == ended.id) {
        return None;
    }
    let (kind, reason) = match ended.step {
        RestoreStep::Completed => (EventKind::Normal, "Restored"),
        RestoreStep::Skipped => (EventKind::Normal, "RestoreSkipped"),
        _ => (EventKind::Warning, "RestoreFailed"),
    };
    Some(RestoreEvent { kind, reason, message: format!("restore {}: {}", ended.id, ended.message) })
}
