//! Start of a server that does not run, and recreation of one that does.

use std::time::Duration;

use super::rollback::{rejection, roll_back};
use super::{Outcome, exits, obstacles, since};
use crate::api::Reason;
use crate::core::{Action, Effect, Memory, Observed, Presence, Workload};
use crate::reconcile::Facts;
use crate::reconcile::backoff::restart_delay;
use crate::reconcile::status::Phase;

pub(super) fn decide(facts: &Facts<'_>, workload: &Workload, observed: &Observed, memory: &mut Memory) -> Outcome {
    let rejected = rejection(workload, memory).map(str::to_owned);
    if observed.retained.is_some() {
        // Either the replacement has just ended, or its rollback was interrupted.
        let cause = rejected.clone().or_else(|| observed.last_exit.as_ref().map(exits::describe));
        if let Some(cause) = cause {
            return roll_back(workload, memory, cause);
        }
    }
    let action = match observed.presence {
        Presence::Stopped if observed.effect() == Some(Effect::Recreate) && rejected.is_none() => {
            Action::Recreate(observed.changes.clone())
        }
        Presence::Stopped => Action::Resume,
        _ => Action::Start,
    };
    if let Some(first) = obstacles::first(facts, workload, observed, action != Action::Resume) {
        return first;
    }
    let failed_at = memory.counted_exit.filter(|_| memory.failures > 0);
    let delay = failed_at
        .map_or(Duration::ZERO, |ended| restart_delay(memory.failures).saturating_sub(since(ended, facts.now)));
    if !delay.is_zero() {
        return Outcome::wait(exits::phase_after(memory.failures, observed.last_exit.as_ref()), delay);
    }
    let phase = match observed.last_exit.as_ref().filter(|_| failed_at.is_some()) {
        Some(exit) => Phase::progressing(Reason::Restarting, exits::describe(exit)),
        None => Phase::progressing(Reason::Starting, "the server is being started"),
    };
    Outcome::act(action, phase)
}

pub(super) fn recreate(facts: &Facts<'_>, workload: &Workload, observed: &Observed) -> Outcome {
    if let Some(first) = obstacles::first(facts, workload, observed, true) {
        return first;
    }
    Outcome::act(
        Action::Recreate(observed.changes.clone()),
        Phase::progressing(Reason::Replacing, "the server is being replaced by what is declared now"),
    )
}
