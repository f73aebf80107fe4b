//! Backups: which job is started, when one is over, and what the status says of them.

use jiff::Timestamp;
use mai_contract::job::{BackupId, Outcome as JobOutcome};

use super::jobs::{GONE, RUNNING_INTERVAL, Step, Turn, ended, failed, time_to_appear, turn};
use crate::api::{BackupStatus, LastBackup};
use crate::core::{Action, JobRequest, JobState, JobWork, Observed, ObservedJob};
use crate::reconcile::Facts;
use crate::reconcile::backoff::backup_retry_delay;
use crate::reconcile::backup_report::record_end;
use crate::reconcile::schedule::{due, whole_second};

/// Returns whether a backup was started that is not shown, and may yet be.
pub(super) fn is_awaited(backup: &BackupStatus, now: Timestamp) -> bool {
    backup.running().is_some_and(|last| time_to_appear(last.started_at, now).is_some())
}

/// Follows the job of a backup.
pub(super) fn follow(backup: &mut BackupStatus, job: &ObservedJob, now: Timestamp) -> Step {
    if matches!(job.state, JobState::Running { .. }) {
        adopt(backup, &job.name, now);
    }
    let started = backup.last.as_ref().map_or(now, |last| last.started_at);
    match ended(job, started, now) {
        Some(outcome) => end(backup, &job.name, &outcome, now),
        None => Step::Wait(Some(RUNNING_INTERVAL)),
    }
}

/// Waits for a job that was started and is not there, for a while.
pub(super) fn await_started(backup: &mut BackupStatus, now: Timestamp) -> Option<Step> {
    let last = backup.running().cloned()?;
    if let Some(left) = time_to_appear(last.started_at, now) {
        return Some(Step::Wait(Some(left)));
    }
    Some(end(backup, &last.id, &failed(GONE), now))
}

/// Starts the next backup, if one was asked for or is due.
pub(super) fn next(facts: &Facts<'_>, observed: &Observed, backup: &mut BackupStatus) -> Step {
    let now = whole_second(facts.now);
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

fn follow_schedule(facts: &Facts<'_>, backup: &mut BackupStatus, now: Timestamp) -> Step {
    let Some(Ok(schedule)) = facts.schedule() else {
        backup.next = None;
        return Step::Wait(None);
    };
    let due = due(&schedule, facts.created(), backup.last_due, now);
    backup.last_due = due.corrected.or(backup.last_due);
    let (next, turn) = turn(&due, retry_at(backup), backup.failures, now);
    backup.next = next;
    let reason = match turn {
        Turn::Start(reason) => reason,
        Turn::Wait(interval) => return Step::Wait(interval),
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
    // People are told of the failure together with the next attempt.
    backup.next = backup.next.map(|due| retry_at(backup).map_or(due, |retry| due.min(retry)));
    Step::Act(Action::RemoveJob(name.to_owned()))
}

/// Returns when a backup that failed is made again.
fn retry_at(backup: &BackupStatus) -> Option<Timestamp> {
    let ended = backup.last.as_ref().filter(|_| backup.failures > 0)?.ended_at?;
    ended.checked_add(backup_retry_delay(backup.failures)).ok()
}
