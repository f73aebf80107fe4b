//! A replacement that did not become ready: what it replaced is restored, and it is not tried again
//! until something else is declared.

use super::Outcome;
use crate::api::{Reason, Rejected};
use crate::core::{Action, Memory, Workload};
use crate::reconcile::status::Phase;

/// Returns why this very workload was rolled back, if it was.
pub(super) fn rejection<'a>(workload: &Workload, memory: &'a Memory) -> Option<&'a str> {
    memory
        .rejected
        .as_ref()
        .filter(|rejected| rejected.hash == workload.rollout_hash())
        .map(|rejected| rejected.why.as_str())
}

/// Rolls back and remembers the workload, with the first cause.
pub(super) fn roll_back(workload: &Workload, memory: &mut Memory, cause: String) -> Outcome {
    if rejection(workload, memory).is_none() {
        memory.rejected = Some(Rejected { hash: workload.rollout_hash(), why: cause.clone() });
    }
    memory.ready_since = None;
    let phase = rolled_back(&cause);
    Outcome::act(Action::RollBack(cause), phase)
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
