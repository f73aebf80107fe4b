//! Jobs: whose the present one is, and which is started next. They come after everything else: only
//! while nothing is to be done for the server, or that has failed. An instance has one at a time; a
//! restore and the backup of an upgrade go before other backups, they before drills, and those before
//! the removal of data that is kept no longer.

use std::time::Duration;

use jiff::Timestamp;
use mai_contract::job::Outcome as JobOutcome;

use super::{Outcome, backup, drill, has_annotation, restore, restore_jobs, since, trial, upgrade_job};
use crate::api::{BackupStatus, PAUSED};
use crate::core::{Action, JobRequest, JobState, JobWork, Memory, Observed, ObservedJob};
use crate::reconcile::Facts;
use crate::reconcile::backup_report::record_safety_backup;
use crate::reconcile::restore_record::in_progress;
use crate::reconcile::schedule::{Due, whole_second};

/// Interval between checks of a job that runs; its end is announced.
pub(super) const RUNNING_INTERVAL: Duration = Duration::from_secs(60);
/// Time within which a job that was started has to show.
const APPEARANCE: Duration = Duration::from_secs(30);
/// Interval between checks for a place among the jobs that run at the same time.
pub(in crate::reconcile) const QUEUE_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time until a due time is checked again, since a clock may be changed.
pub(super) const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// Longest time that a job may run. One that hangs would keep its place, and there would be no other.
pub(super) const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);
/// Cause of the end of a job that was ended for it.
pub(super) const OVERDUE: &str = "it ran longer than a day and was ended";
/// Cause of the end of a job that does not show.
pub(super) const GONE: &str = "its job is gone: mai was interrupted while it started it, or somebody removed it";

/// The next step of jobs.
pub(super) enum Step {
    Act(Action),
    Wait(Option<Duration>),
    /// One is to be started, and as many as may run at the same time do.
    Queue,
}

/// Returns the time that a job which was started at `started` has left to show.
pub(super) fn time_to_appear(started: Timestamp, now: Timestamp) -> Option<Duration> {
    let elapsed = since(started, now).max(since(now, started));
    APPEARANCE.checked_sub(elapsed).filter(|left| !left.is_zero())
}

/// Returns the outcome of a job that has ended, or is to be ended as it has run for too long; `None`
/// while it may run.
pub(super) fn ended(job: &ObservedJob, started: Timestamp, now: Timestamp) -> Option<JobOutcome> {
    match &job.state {
        JobState::Running { .. } => (since(started, now) > LONGEST_RUN).then(|| failed(OVERDUE)),
        JobState::Ended(outcome) => Some(outcome.clone()),
        JobState::Lost(cause) => Some(failed(cause)),
    }
}

/// Returns the outcome of a job that failed for this cause.
pub(super) fn failed(cause: &str) -> JobOutcome {
    JobOutcome::Failed { message: cause.to_owned() }
}

/// Scheduled work that is to be started for this reason, or the time until it is due.
pub(super) enum Turn {
    Start(String),
    Wait(Option<Duration>),
}

/// Returns when work is next, and whether that is now: at a due time, or at an attempt after
/// `failures` in a row.
pub(super) fn turn(due: &Due, retry_at: Option<Timestamp>, failures: i32, now: Timestamp) -> (Option<Timestamp>, Turn) {
    let next = [due.next, retry_at].into_iter().flatten().min();
    let turn = match (due.now, retry_at.filter(|at| *at <= now)) {
        (Some(due), _) => Turn::Start(format!("scheduled for {}", due.strftime("%Y-%m-%d %H:%M UTC"))),
        (None, Some(_)) => Turn::Start(format!("attempt {} after a failure", i64::from(failures) + 1)),
        (None, None) => {
            let interval = next.map(|next| since(now, next).min(LONGEST_INTERVAL));
            Turn::Wait(interval.map(|interval| interval.max(Duration::from_secs(1))))
        }
    };
    (next, turn)
}

/// Whose a job is.
enum Owner {
    Backup,
    Drill,
    Restore,
    Upgrade,
    /// Its end is recorded.
    Nobody,
}

/// Adds jobs to an outcome that leaves the instance alone. Returns whether a backup has to wait for
/// the jobs of other instances.
pub(super) fn add(facts: &Facts<'_>, outcome: &mut Outcome, memory: &mut Memory) -> bool {
    let Ok(observed) = facts.observed else { return false };
    let is_deleted = facts.instance.metadata.deletion_timestamp.is_some();
    let leave_alone = match is_deleted {
        true => !restore::precedes_deletion(facts, memory),
        false => has_annotation(facts.instance, PAUSED),
    };
    if outcome.action != Action::Wait || leave_alone || observed.maintenance.is_some() {
        return false;
    }
    let step = step(facts, observed, memory);
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
    is_queued && in_progress(memory).is_none()
}

/// Returns whether a job of an instance runs. One that was started shows a little later; while
/// nothing is observed, what is remembered counts.
pub(in crate::reconcile) fn job_runs(observed: Option<&Observed>, memory: &Memory, now: Timestamp) -> bool {
    let (restore, upgrade) = (memory.restore.as_ref(), memory.upgrade.as_ref());
    match observed.map(|observed| &observed.jobs.current) {
        Some(Some(job)) => matches!(job.state, JobState::Running { .. }),
        Some(None) => {
            backup::is_awaited(&memory.backup, now)
                || drill::is_awaited(&memory.backup, now)
                || restore.is_some_and(|restore| restore_jobs::is_awaited(restore, now))
                || upgrade.is_some_and(|upgrade| upgrade_job::is_awaited(upgrade, now))
        }
        None => {
            memory.backup.running().is_some()
                || drill::running(&memory.backup).is_some()
                || restore.is_some_and(|restore| restore.job.is_some())
                || upgrade.is_some_and(|upgrade| upgrade.job.is_some())
        }
    }
}

fn step(facts: &Facts<'_>, observed: &Observed, memory: &mut Memory) -> Step {
    let now = whole_second(facts.now);
    if let Some(answer) = restore::take_request(facts, observed, memory) {
        return Step::Act(Action::AnswerRestore(Box::new(answer)));
    }
    if let Some(job) = &observed.jobs.current {
        let owner = owner(memory, observed, &job.name);
        if let (Owner::Restore | Owner::Upgrade, JobState::Ended(JobOutcome::Backup(report))) = (&owner, &job.state)
            && report.safety_problem().is_none()
        {
            record_safety_backup(&mut memory.backup, report, now);
        }
        return match (owner, &mut memory.restore, &mut memory.upgrade) {
            (Owner::Restore, Some(restore), _) => restore_jobs::follow(restore, observed, job, now),
            (Owner::Upgrade, _, Some(upgrade)) => upgrade_job::follow(upgrade, job, now),
            (Owner::Backup, ..) => backup::follow(&mut memory.backup, job, now),
            (Owner::Drill, ..) => drill::follow(&mut memory.backup, job, now),
            _ => Step::Act(Action::RemoveJob(job.name.clone())),
        };
    }
    let backup = &mut memory.backup;
    if let Some(step) = backup::await_started(backup, now).or_else(|| drill::await_started(backup, now)) {
        return step;
    }
    if let Some(step) = memory.upgrade.as_mut().and_then(|upgrade| upgrade_job::await_started(upgrade, now)) {
        return step;
    }
    if let Some(restore) = memory.restore.as_mut().filter(|restore| !restore.step.is_end() || restore.job.is_some()) {
        return restore_jobs::next(facts, restore, observed, now);
    }
    if trial::is_under_way(memory) {
        // Retention of another backup might remove the one that is needed if the new image fails.
        return Step::Wait(None);
    }
    let interval = match next(facts, observed, &mut memory.backup, now) {
        Step::Wait(interval) => interval,
        other => return other,
    };
    let retry = restore::retry_new(facts, memory);
    let step = memory.restore.as_mut().map(|restore| restore_jobs::next(facts, restore, observed, now));
    match step {
        Some(Step::Wait(other)) => Step::Wait([interval, retry, other].into_iter().flatten().min()),
        Some(step) => step,
        None => Step::Wait(interval),
    }
}

/// Starts the backup or the drill that was asked for or is due, a backup first.
fn next(facts: &Facts<'_>, observed: &Observed, backup: &mut BackupStatus, now: Timestamp) -> Step {
    if let Some(request) = observed.jobs.request.as_ref().filter(|request| is_drill(request)) {
        return drill::answer(facts, backup, request, now);
    }
    let interval = match backup::next(facts, observed, backup) {
        Step::Wait(interval) => interval,
        other => return other,
    };
    let step = drill::follow_annotation(facts, backup, now);
    match step.unwrap_or_else(|| drill::follow_schedule(facts, backup, now)) {
        Step::Wait(other) => Step::Wait([interval, other].into_iter().flatten().min()),
        other => other,
    }
}

fn is_drill(request: &JobRequest) -> bool {
    matches!(request.work, JobWork::Drill(_))
}

/// Returns whose a job is. A start is recorded before the job is started, so one that is not known is
/// one whose end was recorded; or the record was lost, and then it is taken for a backup.
fn owner(memory: &Memory, observed: &Observed, name: &str) -> Owner {
    let is = |known: Option<&str>| known == Some(name);
    let requested = observed.jobs.request.as_ref().filter(|request| request.name == name);
    if drill::is_drill(&memory.backup, name) || requested.is_some_and(is_drill) {
        Owner::Drill
    } else if is(memory.restore.as_ref().and_then(|restore| restore.job.as_deref())) {
        Owner::Restore
    } else if is(memory.upgrade.as_ref().and_then(|upgrade| upgrade.job.as_deref())) {
        Owner::Upgrade
    } else if memory.restore.is_none()
        || is(memory.backup.last.as_ref().map(|last| last.id.as_str()))
        || requested.is_some()
    {
        Owner::Backup
    } else {
        Owner::Nobody
    }
}
