//! Deletion of an instance: end its job, stop, remove, remove its data if declared, let the document go.

use super::{Outcome, STOPPING_INTERVAL, has_annotation, since};
use crate::api::{DeletionPolicy, Reason, SKIP_TEARDOWN};
use crate::core::{Action, Observed, Presence};
use crate::reconcile::Facts;
use crate::reconcile::status::Phase;

/// Returns whether the document of a deleted instance is let go whatever still stands in the way.
pub(super) fn is_overdue(facts: &Facts<'_>) -> bool {
    let Some(timeout) = facts.platform.teardown_timeout else { return false };
    let Some(deleted) = &facts.instance.metadata.deletion_timestamp else { return false };
    has_annotation(facts.instance, SKIP_TEARDOWN) || since(deleted.0, facts.now) > timeout
}

pub(super) fn decide(facts: &Facts<'_>, observed: &Observed) -> Outcome {
    let phase = Phase::progressing(Reason::Deleting, "the document was removed; the server is being stopped");
    if let Some(job) = &observed.jobs.current {
        return Outcome::act(Action::RemoveJob(job.name.clone()), phase);
    }
    match &observed.presence {
        Presence::Running { .. } => return Outcome::stop("the document was removed", phase),
        Presence::Stopping => return Outcome::wait(phase, STOPPING_INTERVAL),
        Presence::Absent | Presence::Stopped => {}
    }
    if !facts.memory.removed {
        return Outcome::act(Action::Remove, phase);
    }
    let deletes_data = facts.instance.spec.deletion_policy == DeletionPolicy::Delete;
    if deletes_data && !facts.memory.data_removed && observed.presence == Presence::Absent {
        return Outcome::act(Action::RemoveData, phase);
    }
    Outcome::act(Action::RemoveFinalizer, phase)
}
