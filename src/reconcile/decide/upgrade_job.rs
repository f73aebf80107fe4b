//! The job of an upgrade: the backup that is made before another image gets the data.

use std::time::Duration;

use jiff::Timestamp;
use mai_contract::job::{BackupId, OTHER_WORK, Outcome as JobOutcome};

use super::jobs::{GONE, QUEUE_INTERVAL, RUNNING_INTERVAL, Step, ended, failed, time_to_appear};
use super::since;
use super::turn::Hold;
use crate::api::{Reason, UpgradeStatus};
use crate::core::{Action, JobRequest, JobWork, Observed, ObservedJob};
use crate::reconcile::Facts;
use crate::reconcile::backoff::backup_retry_delay;
use crate::reconcile::schedule::whole_second;
use crate::reconcile::upgrade_report::held_by_backup;

/// Starts the backup of an upgrade, or returns what it waits for.
pub(super) fn start(facts: &Facts<'_>, observed: &Observed, upgrade: &mut UpgradeStatus) -> Hold {
    let to = &upgrade.to;
    // The first failure is made up for at once: mai may have been interrupted while it started the job.
    if upgrade.job.is_none() && upgrade.backup_failures > 1 {
        let delay = backup_retry_delay(upgrade.backup_failures - 1);
        let left = delay.saturating_sub(since(upgrade.step_since, facts.now));
        if !left.is_zero() {
            let message = held_by_backup(to, &upgrade.message);
            return Hold::stalled(Reason::UpgradeBackupFailed, message, Some(left));
        }
    }
    if let Some(problem) = facts.backup_problem {
        upgrade.message = problem.to_owned();
        let message = held_by_backup(to, problem);
        return Hold::stalled(Reason::UpgradeBackupFailed, message, Some(facts.platform.blocked_interval));
    }
    let message = format!("the data is backed up before the upgrade to {to}");
    let wait = |interval| Hold::brief(Reason::Upgrading, message.clone(), interval);
    if upgrade.job.is_some() || observed.jobs.current.is_some() {
        return wait(RUNNING_INTERVAL);
    }
    if facts.jobs_running >= facts.platform.concurrent_jobs {
        return wait(QUEUE_INTERVAL);
    }
    let name = BackupId::new(whole_second(facts.now), facts.random).to_string();
    let request =
        JobRequest { name: name.clone(), reason: format!("before the upgrade to {to}"), work: JobWork::SafetyBackup };
    upgrade.job = Some(name);
    upgrade.step_since = whole_second(facts.now);
    upgrade.message.clear();
    Hold { action: Action::StartJob(request), ..wait(RUNNING_INTERVAL) }
}

/// Follows the job of an upgrade, whatever becomes of the server.
pub(super) fn follow(upgrade: &mut UpgradeStatus, job: &ObservedJob, now: Timestamp) -> Step {
    if !has_ended(upgrade) {
        let Some(end) = ended(job, upgrade.step_since, now) else { return Step::Wait(Some(RUNNING_INTERVAL)) };
        upgrade.record_end(&job.name, &end, now);
    }
    Step::Act(Action::RemoveJob(job.name.clone()))
}

/// Waits for a job that was started and is not there, for a while; or goes on at once after one whose
/// end was recorded.
pub(super) fn await_started(upgrade: &mut UpgradeStatus, now: Timestamp) -> Option<Step> {
    let name = upgrade.job.clone()?;
    if has_ended(upgrade) {
        upgrade.job = None;
        return Some(Step::Wait(Some(Duration::ZERO)));
    }
    if let Some(left) = time_to_appear(upgrade.step_since, now) {
        return Some(Step::Wait(Some(left)));
    }
    upgrade.record_end(&name, &failed(GONE), now);
    Some(Step::Act(Action::RemoveJob(name)))
}

/// Returns whether a job was started that is not shown, and may yet be.
pub(super) fn is_awaited(upgrade: &UpgradeStatus, now: Timestamp) -> bool {
    upgrade.job.is_some() && !has_ended(upgrade) && time_to_appear(upgrade.step_since, now).is_some()
}

/// Returns whether the end of the job is recorded.
fn has_ended(upgrade: &UpgradeStatus) -> bool {
    !upgrade.message.is_empty() || upgrade.backup == upgrade.job
}

impl UpgradeStatus {
    /// Records the end of the backup that is made before the upgrade.
    pub(in crate::reconcile) fn record_end(&mut self, name: &str, outcome: &JobOutcome, now: Timestamp) {
        let problem = match outcome {
            JobOutcome::Backup(report) => report.safety_problem(),
            JobOutcome::Failed { message } => Some(message.clone()),
            _ => Some(OTHER_WORK.to_owned()),
        };
        match problem {
            None => {
                self.backup = Some(name.to_owned());
                self.backup_failures = 0;
                self.message.clear();
            }
            Some(problem) => {
                self.backup_failures = self.backup_failures.saturating_add(1);
                self.message = problem;
                self.step_since = now;
            }
        }
    }
}
