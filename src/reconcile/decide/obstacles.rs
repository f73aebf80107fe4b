//! Obstacles to a start, or to a replacement of a running server. Nothing is stopped for a
//! workload that could not take its place.

use super::Outcome;
use crate::api::Reason;
use crate::core::{Action, Observed, Workload};
use crate::reconcile::Facts;
use crate::reconcile::status::Phase;

/// Returns what has to be done first, if anything. What already exists needs no image.
pub(super) fn first(facts: &Facts<'_>, workload: &Workload, observed: &Observed, needs_image: bool) -> Option<Outcome> {
    if let Some(missing) = observed.missing.as_ref().filter(|_| needs_image) {
        let phase = Phase::progressing(Reason::Preparing, format!("getting {missing}"));
        return Some(Outcome::act(Action::Prepare(missing.clone()), phase));
    }
    let holder = observed.port_holder.as_ref()?;
    let message = format!(
        "port {} is taken by {holder}; stop that program or declare another expose.port",
        workload.listen.port()
    );
    Some(Outcome::wait(Phase::Stalled { reason: Reason::PortTaken, message }, facts.platform.blocked_interval))
}
