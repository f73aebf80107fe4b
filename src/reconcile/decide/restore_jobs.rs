//! Jobs of a restore: the one of its present step, and those that remove data which is kept no
//! longer.

use jiff::Timestamp;
use mai_contract::job::BackupId;

use super::jobs::{GONE, LONGEST_INTERVAL, LONGEST_RUN, OVERDUE, RUNNING_INTERVAL, Step, time_to_appear};
use super::since;
use crate::api::RestoreStatus;
use crate::core::{Action, JobRequest, JobState, Observed, ObservedJob, Presence};
use crate::reconcile::Facts;
use crate::reconcile::restore_record::JobEnd;

/// Follows the job of a restore.
pub(super) fn follow(restore: &mut RestoreStatus, observed: &Observed, job: &ObservedJob, now: Timestamp) -> Step {
    let end = match &job.state {
        JobState::Running { .. } if since(restore.step_since, now) > LONGEST_RUN => JobEnd::Lost(OVERDUE),
        JobState::Running { .. } => return Step::Wait(Some(RUNNING_INTERVAL)),
        JobState::Ended(outcome) => JobEnd::Outcome(outcome),
        JobState::Lost(cause) => JobEnd::Lost(cause),
    };
    restore.record_end(end, is_down(observed), now);
    Step::Act(Action::RemoveJob(job.name.clone()))
}

/// Starts the next job of a restore, if there is something for one to do.
pub(super) fn next(facts: &Facts<'_>, restore: &mut RestoreStatus, observed: &Observed, now: Timestamp) -> Step {
    if let Some(name) = restore.job.clone() {
        if let Some(left) = time_to_appear(restore.step_since, now) {
            return Step::Wait(Some(left));
        }
        restore.record_end(JobEnd::Lost(GONE), is_down(observed), now);
        return Step::Act(Action::RemoveJob(name));
    }
    let Some(work) = restore.work(now) else {
        let until = restore.next_discard().map(|until| since(now, until).min(LONGEST_INTERVAL));
        return Step::Wait(until.filter(|_| restore.step.is_end()));
    };
    if restore.step.holds_server() && !is_down(observed) {
        return Step::Wait(None);
    }
    let left = restore.retry_delay().saturating_sub(since(restore.step_since, now));
    if !left.is_zero() {
        return Step::Wait(Some(left));
    }
    if facts.jobs_running >= facts.platform.concurrent_jobs {
        return Step::Queue;
    }
    let name = BackupId::new(now, facts.random).to_string();
    restore.job = Some(name.clone());
    restore.step_since = now;
    let reason = format!("restore {}, {}", restore.id, restore.step);
    Step::Act(Action::StartJob(JobRequest { name, reason, work }))
}

/// Returns whether a job of a restore runs that is not shown, and may yet be.
pub(super) fn is_awaited(restore: &RestoreStatus, now: Timestamp) -> bool {
    restore.job.is_some() && time_to_appear(restore.step_since, now).is_some()
}

fn is_down(observed: &Observed) -> bool {
    matches!(observed.presence, Presence::Absent | Presence::Stopped)
}
