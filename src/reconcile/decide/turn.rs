//! The turn of an instance to get another image: its maintenance window, the other instances that
//! get the same image, and its own failures with it.

use std::time::Duration;

use super::{has_annotation, since};
use crate::api::{Reason, UPGRADE_NOW, UpgradeStatus, UpgradeStep};
use crate::core::Action;
use crate::reconcile::Facts;
use crate::reconcile::facts::FleetTurn;
use crate::reconcile::schedule::whole_second;

/// Failed attempts with an image after which it is not tried again.
const BREAKER: i32 = 2;
/// Longest time until a window is checked again, since a clock may be changed.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// Interval between checks whether the failure that holds up others is corrected.
const HALTED_INTERVAL: Duration = Duration::from_secs(60);

/// State of the server that is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Former {
    /// It serves its people.
    Serves,
    /// It was suspended, and is to be started.
    Stopped,
    /// It serves nobody and cannot be started, so that a wait would help nobody.
    Down,
}

/// Obstacle to an upgrade.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) action: Action,
    pub(super) reason: Reason,
    pub(super) message: String,
    pub(super) interval: Option<Duration>,
    /// It may last, so that a stopped server is started with its former image.
    pub(super) lasts: bool,
    pub(super) needs_a_person: bool,
}

impl Hold {
    /// Makes one that ends by itself, soon.
    pub(super) fn brief(reason: Reason, message: String, interval: Duration) -> Self {
        let interval = Some(interval);
        Self { action: Action::Wait, reason, message, interval, lasts: false, needs_a_person: false }
    }

    /// Makes one that a person can end.
    pub(super) fn stalled(reason: Reason, message: String, interval: Option<Duration>) -> Self {
        Self { action: Action::Wait, reason, message, interval, lasts: true, needs_a_person: true }
    }
}

/// Waits for the turn of an instance: an error is what it waits for. `failure` is the cause of the
/// last one.
pub(super) fn wait(
    facts: &Facts<'_>,
    upgrade: &mut UpgradeStatus,
    former: Former,
    failure: Option<&str>,
) -> Result<(), Box<Hold>> {
    let Some((step, hold)) = obstacle(facts, upgrade, former, failure) else { return Ok(()) };
    upgrade.step = step;
    upgrade.message.clone_from(&hold.message);
    Err(Box::new(hold))
}

fn obstacle(
    facts: &Facts<'_>,
    upgrade: &mut UpgradeStatus,
    former: Former,
    failure: Option<&str>,
) -> Option<(UpgradeStep, Hold)> {
    if is_forced(facts, upgrade) {
        return None;
    }
    let to = &upgrade.to;
    let all_the_same = format!("or set the annotation {UPGRADE_NOW}: \"true\" to have it upgraded all the same");
    if upgrade.failures >= BREAKER {
        let cause = failure.map(|cause| format!(" ({cause})")).unwrap_or_default();
        let message = format!(
            "the upgrade to {to} failed {} times{cause} and is not tried again; declare another image, {all_the_same}",
            upgrade.failures
        );
        return Some((UpgradeStep::BreakerOpen, Hold::stalled(Reason::BreakerOpen, message, None)));
    }
    if former == Former::Down {
        return None;
    }
    if let FleetTurn::Failed(instance) = &facts.fleet {
        let generation = facts.instance.metadata.generation.unwrap_or_default();
        if *upgrade.halted_generation.get_or_insert(generation) != generation {
            // Its document was changed since: it goes its own way.
            return window(facts, upgrade, former);
        }
        let message = format!(
            "the upgrade to {to} is held up because it failed on {instance}; correct the image, change this document, {all_the_same}"
        );
        let hold = Hold::stalled(Reason::UpgradeHalted, message, Some(HALTED_INTERVAL));
        return Some((UpgradeStep::Halted, hold));
    }
    upgrade.halted_generation = None;
    window(facts, upgrade, former).or_else(|| fleet(facts, upgrade, former))
}

/// Returns whether the annotation asks for an upgrade now. It counts for one attempt.
pub(super) fn is_forced(facts: &Facts<'_>, upgrade: &UpgradeStatus) -> bool {
    has_annotation(facts.instance, UPGRADE_NOW) && !upgrade.forced
}

fn window(facts: &Facts<'_>, upgrade: &UpgradeStatus, former: Former) -> Option<(UpgradeStep, Hold)> {
    let declared = facts.instance.spec.upgrade.as_ref()?;
    let window = declared.window.as_ref().filter(|_| former == Former::Serves)?;
    let hold = match window.opens(facts.now) {
        Ok(None) => return None,
        Ok(Some(opens)) => {
            let message =
                format!("the upgrade to {} waits for its window, which opens at {}", upgrade.to, window.local(opens));
            let left = since(whole_second(facts.now), opens).clamp(Duration::from_secs(1), LONGEST_INTERVAL);
            Hold { lasts: true, ..Hold::brief(Reason::WaitingForWindow, message, left) }
        }
        Err(problem) => {
            Hold::stalled(Reason::WaitingForWindow, format!("upgrade.window cannot be followed: {problem}"), None)
        }
    };
    Some((UpgradeStep::WaitingForWindow, hold))
}

fn fleet(facts: &Facts<'_>, upgrade: &UpgradeStatus, former: Former) -> Option<(UpgradeStep, Hold)> {
    let to = &upgrade.to;
    let message = match &facts.fleet {
        _ if former != Former::Serves => return None,
        FleetTurn::Free | FleetTurn::Failed(_) => return None,
        FleetTurn::Unknown => format!("the upgrade to {to} waits until all instances were observed"),
        FleetTurn::Busy { instance, is_proved: false } => {
            format!("the upgrade to {to} waits for that of {instance}, which is the first to get it")
        }
        FleetTurn::Busy { is_proved: true, .. } => format!("the upgrade to {to} waits for those of other instances"),
    };
    let hold = Hold::brief(Reason::WaitingForCanary, message, facts.platform.blocked_interval);
    Some((UpgradeStep::WaitingForCanary, Hold { lasts: true, ..hold }))
}
