//! Obstacles to a start, or to a replacement of a running server. Nothing is stopped for a
//! workload that could not take its place.

use std::time::Duration;

use jiff::SignedDuration;

use super::Outcome;
use crate::api::Reason;
use crate::core::{Action, Observed, Workload};
use crate::reconcile::Facts;
use crate::reconcile::status::Phase;

/// Time by which the creation of an instance may be ahead of the clock: the clocks of a cluster do
/// not agree to the second.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_hours(1);
/// Interval between checks of a clock that is behind.
const CLOCK_INTERVAL: Duration = Duration::from_secs(5);

/// Returns what has to be done first, if anything. What already exists needs no image.
pub(super) fn first(facts: &Facts<'_>, workload: &Workload, observed: &Observed, needs_image: bool) -> Option<Outcome> {
    if let Some(wait) = wait_for_clock(facts) {
        return Some(wait);
    }
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

/// Returns the wait for a clock that is not set yet, as after the boot of a machine without a
/// battery. A server would sign sessions, record usage and check certificates at a wrong time.
fn wait_for_clock(facts: &Facts<'_>) -> Option<Outcome> {
    let created = facts.created();
    (created.duration_since(facts.now) > CLOCK_TOLERANCE).then(|| {
        let message = format!(
            "the clock is behind {created}, when the instance was created; the server is started once the clock is set"
        );
        Outcome::wait(Phase::progressing(Reason::WaitingForClock, message), CLOCK_INTERVAL)
    })
}
