//! Deletion of an instance: end its job, stop, make a last backup if declared, remove, remove its data
//! if declared, let the document go.

use std::time::Duration;

use super::{Outcome, STOPPING_INTERVAL, has_annotation, last_backup, since};
use crate::api::{DeletionPolicy, Reason, SKIP_TEARDOWN};
use crate::core::{Action, Memory, Observed, Presence};
use crate::reconcile::Facts;
use crate::reconcile::status::Phase;

/// Time after the removal of a document for which the deletion of its key at the upstream is tried.
/// Then the document is let go, and an event names the key.
const LONGEST_KEY_DELETION: Duration = Duration::from_secs(600);
/// Interval between checks for the deletion of the key; its end is noticed by itself.
const KEY_INTERVAL: Duration = Duration::from_secs(3);

/// Returns whether the document of a deleted instance is let go whatever still stands in the way. A
/// last backup that is declared is waited for.
pub(super) fn is_overdue(facts: &Facts<'_>) -> bool {
    let Some(timeout) = facts.platform.teardown_timeout else { return false };
    let Some(deleted) = &facts.instance.metadata.deletion_timestamp else { return false };
    if has_annotation(facts.instance, SKIP_TEARDOWN) {
        return true;
    }
    let waits_for_backup = takes_snapshot(facts) && !facts.memory.data_removed;
    let begin = match (waits_for_backup, last_backup::verified_at(&facts.memory.backup)) {
        (false, _) => deleted.0,
        (true, Some(verified)) => verified.max(deleted.0),
        (true, None) => return false,
    };
    since(begin, facts.now) > timeout
}

pub(super) fn decide(facts: &Facts<'_>, observed: &Observed, memory: &mut Memory) -> Outcome {
    let phase = Phase::progressing(Reason::Deleting, "the document was removed; the server is being stopped");
    let is_last = |name: &String| memory.backup.before_deletion.as_ref() == Some(name);
    if let Some(job) = observed.jobs.current.as_ref().filter(|job| !is_last(&job.name)) {
        return Outcome::act(Action::RemoveJob(job.name.clone()), phase);
    }
    match &observed.presence {
        Presence::Running { .. } => {
            // What it writes from now on is not in a backup that was made before.
            memory.backup.before_deletion = None;
            return Outcome::stop("the document was removed", phase);
        }
        Presence::Stopping => return Outcome::wait(phase, STOPPING_INTERVAL),
        Presence::Absent | Presence::Stopped => {}
    }
    if takes_snapshot(facts)
        && let Some(outcome) = last_backup::decide(facts, observed, memory)
    {
        return outcome;
    }
    if !memory.removed {
        return Outcome::act(Action::Remove, phase);
    }
    if let Some(and_backups) = removes_data(facts)
        && !memory.data_removed
        && observed.presence == Presence::Absent
    {
        return Outcome::act(Action::RemoveData { and_backups }, phase);
    }
    if let Some(left) = &facts.key.left
        && !is_given_up(facts)
    {
        let message = format!("the document was removed and the server is stopped; {left}");
        return Outcome::wait(Phase::progressing(Reason::Deleting, message), KEY_INTERVAL);
    }
    Outcome::act(Action::RemoveFinalizer, phase)
}

/// Returns whether the upstream had the time it gets to delete the key of a deleted instance.
fn is_given_up(facts: &Facts<'_>) -> bool {
    let deleted = facts.instance.metadata.deletion_timestamp.as_ref();
    deleted.is_some_and(|deleted| since(deleted.0, facts.now) >= LONGEST_KEY_DELETION)
}

/// Forgets what was done of a deletion that did not take place.
pub(super) fn forget(memory: &mut Memory) {
    memory.removed = false;
    memory.data_removed = false;
    memory.backup.before_deletion = None;
}

fn takes_snapshot(facts: &Facts<'_>) -> bool {
    facts.instance.spec.deletion_policy == DeletionPolicy::Snapshot
}

/// Returns whether backups are removed together with the data; `None` if the data stays as well.
fn removes_data(facts: &Facts<'_>) -> Option<bool> {
    let spec = &facts.instance.spec;
    let data = &spec.storage.data;
    // The backup is of the place that the document names, which is not one that mai made.
    let is_named = data.host_path.is_some() || data.volume_name.is_some();
    match spec.deletion_policy {
        DeletionPolicy::Retain => None,
        DeletionPolicy::Snapshot => (!is_named).then_some(false),
        DeletionPolicy::Delete => Some(true),
    }
}
