//! A replacement that did not become ready: what it replaced is restored, and it is not tried again
//! until something else is declared.

use super::{Outcome, trial, turn};
use crate::api::{Reason, Rejected, UpgradeStep};
use crate::core::{Action, Memory, Observed, Workload};
use crate::reconcile::Facts;
use crate::reconcile::status::Phase;

/// Returns why this very workload was rolled back, if it was and is not tried again.
pub(super) fn rejection<'a>(
    facts: &Facts<'_>,
    workload: &Workload,
    observed: &Observed,
    memory: &'a Memory,
) -> Option<&'a str> {
    if let Some(cause) = trial::undone_for(memory) {
        return Some(cause);
    }
    let rejected = memory.rejected.as_ref().filter(|rejected| rejected.hash == workload.rollout_hash())?;
    if let (Some(change), Some(upgrade)) = (observed.image_change(), &memory.upgrade) {
        // A tag that has moved is another image, under the same name.
        let is_another = upgrade.step.is_end() && upgrade.to != change.to;
        // It was begun by force, which counts for this attempt to its end.
        let goes_on =
            upgrade.to == change.to && matches!(upgrade.step, UpgradeStep::BackingUp | UpgradeStep::Replacing);
        if is_another || goes_on || turn::is_forced(facts, upgrade) {
            return None;
        }
    }
    Some(rejected.why.as_str())
}

/// Rolls back and remembers the workload, with the first cause.
pub(super) fn roll_back(workload: &Workload, memory: &mut Memory, cause: String) -> Outcome {
    reject(workload, memory, &cause);
    memory.ready_since = None;
    let phase = rolled_back(&cause);
    Outcome::act(Action::RollBack(cause), phase)
}

/// Remembers the workload as one that is not tried again, with the first cause.
pub(super) fn reject(workload: &Workload, memory: &mut Memory, cause: &str) {
    let hash = workload.rollout_hash();
    if memory.rejected.as_ref().is_none_or(|rejected| rejected.hash != hash) {
        memory.rejected = Some(Rejected { hash, why: cause.to_owned() });
    }
}

/// Returns the phase of an instance that was rolled back.
pub(super) fn rolled_back(cause: &str) -> Phase {
    Phase::Stalled {
        reason: Reason::RolledBack,
        message: format!(
            "what is declared did not become ready ({cause}); the server keeps running as declared before; change the document to try again"
        ),
    }
}
