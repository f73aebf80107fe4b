//! Start of a server that does not run, and recreation of one that does.

use std::time::Duration;

use super::rollback::{rejection, roll_back};
use super::trial::Failure;
use super::upgrade::{self, StartOf};
use super::{Outcome, exits, obstacles, since, trial};
use crate::api::Reason;
use crate::core::{Action, Change, Effect, Field, Memory, Observed, Presence, Workload};
use crate::reconcile::Facts;
use crate::reconcile::backoff::restart_delay;
use crate::reconcile::status::Phase;

pub(super) fn decide(facts: &Facts<'_>, workload: &Workload, observed: &Observed, memory: &mut Memory) -> Outcome {
    let rejected = rejection(facts, workload, observed, memory).map(str::to_owned);
    let has_ended = trial::own_exit(memory, observed);
    let is_undone = observed.retained.is_some() && trial::stays_on_failure(memory).is_none();
    match (rejected.clone(), has_ended) {
        // Its rollback was interrupted.
        (Some(cause), _) if is_undone => return roll_back(workload, memory, cause),
        (None, Some(exit)) if trial::is_under_way(memory) => {
            if let Some(outcome) = trial::fail(facts, workload, observed, memory, &Failure::of_exit(exit)) {
                return outcome;
            }
        }
        // The replacement has just ended.
        (None, Some(exit)) if is_undone => return roll_back(workload, memory, exits::describe(exit)),
        _ => {}
    }
    let mut action = match observed.presence {
        Presence::Stopped if observed.effect() == Some(Effect::Recreate) && rejected.is_none() => {
            Action::Recreate(observed.changes.clone())
        }
        Presence::Stopped => Action::Resume,
        _ => Action::Start,
    };
    if let Some(change) = new_image(observed, memory).filter(|_| rejected.is_none()) {
        let is_there = observed.presence == Presence::Stopped;
        if let Some(first) = obstacles::first(facts, workload, observed, true) {
            return first;
        }
        match upgrade::begin_start(facts, observed, memory, &change, is_there) {
            StartOf::Declared => {}
            StartOf::Former => action = Action::Resume,
            StartOf::Held(outcome) => return outcome,
        }
    }
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

/// Returns the change of the image of a server. One that does not exist any more had the image that
/// was ready last. Who changed the image by hand is no reason to handle the declared one as another.
pub(super) fn new_image(observed: &Observed, memory: &Memory) -> Option<Change> {
    let is_restored = memory.image.is_some() && memory.image == observed.image && !trial::is_under_way(memory);
    if is_restored || observed.presence != Presence::Absent {
        return observed.image_change().filter(|_| !is_restored).cloned();
    }
    let (from, to) = (memory.image.clone()?, observed.image.clone()?);
    Some(Change { field: Field::Image, effect: Effect::Recreate, from, to })
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
