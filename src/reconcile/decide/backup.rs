//! Backups: which job is started, when one is over, and what the status says of them. They come
//! after everything else: only while nothing is to be done for the server, or that has failed.

use std::time::Duration;

use jiff::Timestamp;
use mai_contract::job::{BackupId, Outcome as JobOutcome};

use super::{Outcome, has_annotation, since};
use crate::api::{BackupStatus, LastBackup, PAUSED};
use crate::core::{Action, JobRequest, JobState, JobWork, Memory, Observed};
use crate::reconcile::Facts;
use crate::reconcile::backoff::backup_retry_delay;
use crate::reconcile::backup_report::record_end;
use crate::reconcile::schedule::{due, whole_second};

/// Interval between checks of a job that runs; its end is announced.
const RUNNING_INTERVAL: Duration = Duration::from_secs(60);
/// Time within which a job that was started has to show.
const APPEARANCE: Duration = Duration::from_secs(30);
/// Interval between checks for a place among the jobs that run at the same time.
pub(in crate::reconcile) const QUEUE_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time until a due time is checked again, since a clock may be changed.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);

/// Longest time that a job may run. One that hangs would keep its place, and no other backup would be
/// made.
const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);

/// The next step of backups.
pub(super) enum Step {
    Act(Action),
    Wait(Option<Duration>),
    /// It is due, and as many jobs as may run at the same time do.
    Queue,
}

/// Adds backups to an outcome that leaves the instance alone. Returns whether one has to wait for
/// those of other instances.
pub(super) fn add(facts: &Facts<'_>, outcome: &mut Outcome, memory: &mut Memory) -> bool {
    let leave_alone = has_annotation(facts.instance, PAUSED) || facts.instance.metadata.deletion_timestamp.is_some();
    let Ok(observed) = facts.observed else { return false };
    if outcome.action != Action::Wait || leave_alone || observed.maintenance.is_some() {
        return false;
    }
    let step = step(facts, observed, &mut memory.backup);
    let is_queued = matches!(step, Step::Queue);
    let interval = match step {
        Step::Act(action) => {
            outcome.action = action;
            outcome.requeue_after = None;
            return false;
        }
        Step::Wait(interval) => interval,
        Step::Queue => Some(QUEUE_INTERVAL),
    };
    outcome.requeue_after = [outcome.requeue_after, interval].into_iter().flatten().min();
    is_queued
}

/// Returns whether a job of an instance runs. One that was started shows a little later; while
/// nothing is observed, what is remembered counts.
pub(in crate::reconcile) fn job_runs(observed: Option<&Observed>, backup: &BackupStatus, now: Timestamp) -> bool {
    match observed.map(|observed| &observed.jobs.current) {
        Some(Some(job)) => matches!(job.state, JobState::Running { .. }),
        Some(None) => backup.running().is_some_and(|last| time_to_appear(last, now).is_some()),
        None => backup.running().is_some(),
    }
}

/// Returns the time that a job which was started has left to show.
fn time_to_appear(last: &LastBackup, now: Timestamp) -> Option<Duration> {
    let elapsed = since(last.started_at, now).max(since(now, last.started_at));
    APPEARANCE.checked_sub(elapsed).filter(|left| !left.is_zero())
}

fn step(facts: &Facts<'_>, observed: &Observed, backup: &mut BackupStatus) -> Step {
    let now = whole_second(facts.now);
    if let Some(step) = follow(observed, backup, now) {
        return step;
    }
    let has_ended = |name: &str| backup.last.as_ref().is_some_and(|last| last.id == name);
    match &observed.jobs.request {
        // It has been answered, or cannot be.
        Some(request) if has_ended(&request.name) || request.name.parse::<BackupId>().is_err() => {
            Step::Act(Action::RemoveJob(request.name.clone()))
        }
        Some(request) => start(facts, backup, backup.last_due.max(Some(now)), request.clone()),
        None => follow_schedule(facts, backup, now),
    }
}

/// Returns the next step of a backup that was started, or whose job exists.
pub(super) fn follow(observed: &Observed, backup: &mut BackupStatus, now: Timestamp) -> Option<Step> {
    if let Some(job) = &observed.jobs.current {
        return Some(match &job.state {
            JobState::Running { .. } => {
                adopt(backup, &job.name, now);
                if backup.last.as_ref().is_some_and(|last| since(last.started_at, now) > LONGEST_RUN) {
                    let message = "it ran longer than a day and was ended".to_owned();
                    return Some(end(backup, &job.name, &JobOutcome::Failed { message }, now));
                }
                Step::Wait(Some(RUNNING_INTERVAL))
            }
            JobState::Ended(outcome) => end(backup, &job.name, outcome, now),
            JobState::Lost(cause) => end(backup, &job.name, &JobOutcome::Failed { message: cause.clone() }, now),
        });
    }
    let last = backup.running().cloned()?;
    if let Some(left) = time_to_appear(&last, now) {
        return Some(Step::Wait(Some(left)));
    }
    let message = "its job is gone: mai was interrupted while it started it, or somebody removed it".to_owned();
    Some(end(backup, &last.id, &JobOutcome::Failed { message }, now))
}

fn follow_schedule(facts: &Facts<'_>, backup: &mut BackupStatus, now: Timestamp) -> Step {
    let Some(Ok(schedule)) = facts.schedule() else {
        backup.next = None;
        return Step::Wait(None);
    };
    let due = due(&schedule, facts.created(), backup.last_due, now);
    backup.last_due = due.corrected.or(backup.last_due);
    let failed_at = backup.last.as_ref().and_then(|last| last.ended_at).filter(|_| backup.failures > 0);
    let retry_at = failed_at.and_then(|ended| ended.checked_add(backup_retry_delay(backup.failures)).ok());
    backup.next = [due.next, retry_at].into_iter().flatten().min();
    let reason = match (due.now, retry_at.filter(|at| *at <= now)) {
        (Some(due), _) => format!("scheduled for {}", due.strftime("%Y-%m-%d %H:%M UTC")),
        (None, Some(_)) => format!("attempt {} after a failure", i64::from(backup.failures) + 1),
        (None, None) => {
            let interval = backup.next.map(|next| since(now, next).min(LONGEST_INTERVAL));
            return Step::Wait(interval.map(|interval| interval.max(Duration::from_secs(1))));
        }
    };
    let handled = due.now.or(backup.last_due);
    let name = BackupId::new(now, facts.random).to_string();
    let step = start(facts, backup, handled, JobRequest { name, reason, work: JobWork::Backup });
    if matches!(step, Step::Act(_)) {
        backup.next = due.next;
    }
    step
}

/// Starts a job if a place is free. `handled` is remembered with it, so that a restart at any point
/// starts no second one.
pub(super) fn start(
    facts: &Facts<'_>,
    backup: &mut BackupStatus,
    handled: Option<Timestamp>,
    request: JobRequest,
) -> Step {
    if facts.jobs_running >= facts.platform.concurrent_jobs {
        return Step::Queue;
    }
    backup.last_due = handled;
    adopt(backup, &request.name, whole_second(facts.now));
    if let Some(last) = &mut backup.last {
        last.message.clone_from(&request.reason);
    }
    Step::Act(Action::StartJob(request))
}

/// Remembers that a job runs.
fn adopt(backup: &mut BackupStatus, name: &str, now: Timestamp) {
    if backup.last.as_ref().is_none_or(|last| last.id != name) {
        backup.last = Some(LastBackup::started(name, now));
    }
}

/// Remembers the end of a job once, and removes it. The outcome is recorded before that, so a job
/// that is still there after an interruption is only removed.
fn end(backup: &mut BackupStatus, name: &str, outcome: &JobOutcome, now: Timestamp) -> Step {
    record_end(backup, name, outcome, now);
    Step::Act(Action::RemoveJob(name.to_owned()))
}
