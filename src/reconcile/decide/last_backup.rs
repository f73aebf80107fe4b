//! The last backup of a deleted instance, as `deletionPolicy: Snapshot` demands: of the data that its
//! stopped server has left, and repeated until it is verified.

use std::time::Duration;

use jiff::Timestamp;
use mai_contract::job::BackupId;

use super::backup::{await_started, follow, start};
use super::jobs::{QUEUE_INTERVAL, Step};
use super::{Outcome, since};
use crate::api::{BackupResult, BackupStatus, DestinationResult, LastBackup, Reason};
use crate::core::{JobRequest, JobWork, Memory, Observed};
use crate::reconcile::Facts;
use crate::reconcile::backoff::backup_retry_delay;
use crate::reconcile::schedule::whole_second;
use crate::reconcile::status::Phase;

/// Interval between looks at whether somebody corrected a destination or a Secret of it.
const CORRECTION_INTERVAL: Duration = Duration::from_secs(60);

/// Returns the next step towards the last backup; `None` when it is verified, or there is no data.
pub(super) fn decide(facts: &Facts<'_>, observed: &Observed, memory: &mut Memory) -> Option<Outcome> {
    if memory.data_removed || verified_at(&memory.backup).is_some() {
        return None;
    }
    let now = whole_second(facts.now);
    let backup = &mut memory.backup;
    if of_deletion(backup).is_some()
        && let Some(step) = match &observed.jobs.current {
            Some(job) => Some(follow(backup, job, now)),
            None => await_started(backup, now),
        }
    {
        return Some(outcome(step, "is being made"));
    }
    if let Some(failed) = of_deletion(backup).cloned() {
        let delay = backup_retry_delay(backup.failures);
        let retry_at = failed.ended_at.and_then(|ended| ended.checked_add(delay).ok());
        // A clock that was set back must not make it wait for longer.
        let wait = retry_at.map(|at| since(now, at)).filter(|wait| !wait.is_zero() && *wait <= delay);
        let wait = wait.filter(|_| !facts.backup_corrected);
        if let Some(wait) = wait {
            backup.next = retry_at;
            let interval = wait.clamp(Duration::from_secs(1), CORRECTION_INTERVAL);
            return Some(Outcome::wait(stalled(&failed, retry_at), interval));
        }
    }
    let name = BackupId::new(now, facts.random).to_string();
    let handled = backup.last_due;
    let request = JobRequest { name, reason: "before its deletion".to_owned(), work: JobWork::Backup };
    let step = start(facts, backup, handled, request);
    if let Step::Act(_) = step {
        backup.before_deletion = backup.last.as_ref().map(|last| last.id.clone());
        backup.next = None;
    }
    Some(outcome(step, "waits for those of other instances"))
}

/// Returns the end of the last backup if it was verified in a destination and is in all of them.
pub(super) fn verified_at(backup: &BackupStatus) -> Option<Timestamp> {
    let last = of_deletion(backup)?;
    let is_made = matches!(last.result, BackupResult::Verified | BackupResult::Intact | BackupResult::Unverified);
    let has = |wanted| backup.destinations.iter().any(|one| one.result == wanted);
    let is_verified = is_made && has(DestinationResult::Verified) && !has(DestinationResult::Failed);
    last.ended_at.filter(|_| is_verified)
}

/// Returns the newest backup if it was made for the deletion.
fn of_deletion(backup: &BackupStatus) -> Option<&LastBackup> {
    backup.last.as_ref().filter(|last| backup.before_deletion.as_ref() == Some(&last.id))
}

fn outcome(step: Step, state: &str) -> Outcome {
    let message = format!("the document was removed; the last backup of its data {state}");
    let phase = Phase::progressing(Reason::Deleting, message);
    match step {
        Step::Act(action) => Outcome::act(action, phase),
        Step::Wait(interval) => Outcome::wait(phase, interval),
        Step::Queue => Outcome::wait(phase, QUEUE_INTERVAL),
    }
}

fn stalled(failed: &LastBackup, retry_at: Option<Timestamp>) -> Phase {
    let reason = match failed.result {
        BackupResult::Intact => Reason::BackupIntact,
        BackupResult::Unverified => Reason::BackupUnverified,
        _ => Reason::BackupFailed,
    };
    let again = retry_at.map(|at| format!("; the next one is made at {}", at.strftime("%Y-%m-%d %H:%M UTC")));
    let message = format!(
        "the document was removed; the data stays until its last backup is verified; backup {}: {}{}",
        failed.id,
        failed.message,
        again.unwrap_or_default()
    );
    Phase::Stalled { reason, message }
}
