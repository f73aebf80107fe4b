//! Upgrades: an instance that has data gets another image. The image is pulled, its turn is waited
//! for (`turn`) and its data is backed up while the former server runs; then the server is replaced,
//! and `trial` decides whether the new one stays.

use jiff::Timestamp;

use super::exits::CRASH_LOOP;
use super::running::Running;
use super::turn::{self, Former, Hold};
use super::{Outcome, has_annotation, obstacles, start, upgrade_job};
use crate::api::{ConditionKind, Reason, UPGRADE_NOW, Upgrade, UpgradeStatus, UpgradeStep};
use crate::core::{Change, Memory, Observed};
use crate::reconcile::Facts;
use crate::reconcile::restore_record::in_progress;
use crate::reconcile::schedule::whole_second;
use crate::reconcile::status::Phase;

impl UpgradeStatus {
    pub(super) fn enter(&mut self, step: UpgradeStep, now: Timestamp) {
        if self.step != step {
            self.step = step;
            self.step_since = whole_second(now);
        }
        self.ended_at = step.is_end().then_some(whole_second(now));
    }
}

/// Returns what the document declares of upgrades.
pub(super) fn declared(facts: &Facts<'_>) -> Upgrade {
    facts.instance.spec.upgrade.clone().unwrap_or_default()
}

/// Replaces a running server by one of another image, once everything before that is done.
pub(super) fn replace(running: &Running<'_>, memory: &mut Memory, change: &Change) -> Outcome {
    let Running { facts, workload, observed, .. } = running;
    // Its image was pulled before it began to wait, and is checked again when it goes on.
    let waits = memory.upgrade.as_ref().is_some_and(|known| known.to == change.to && known.step.is_waiting());
    if !waits && let Some(first) = obstacles::first(facts, workload, observed, true) {
        return first;
    }
    let former = if running.is_down(memory) { Former::Down } else { Former::Serves };
    match advance(facts, observed, memory, change, former) {
        Ok(()) => start::recreate(facts, workload, observed),
        Err(hold) => running.keep_meanwhile(memory, *hold),
    }
}

/// The way in which a stopped server is started while an image other than its own is declared.
pub(super) enum StartOf {
    /// With the declared image.
    Declared,
    /// With the former image, for as long as the upgrade is held up.
    Former,
    /// Not yet.
    Held(Outcome),
}

/// Decides how a server that does not run is started. `is_there`: it exists with its former image.
pub(super) fn begin_start(
    facts: &Facts<'_>,
    observed: &Observed,
    memory: &mut Memory,
    change: &Change,
    is_there: bool,
) -> StartOf {
    let sleeps = matches!(facts.previous.reason(ConditionKind::Ready), Some(Reason::Suspended | Reason::Upgrading));
    let is_on_trial = memory.upgrade.as_ref().is_some_and(|known| known.step.is_on_trial());
    let former = match (is_there, sleeps) {
        _ if is_on_trial => return StartOf::Declared,
        (false, _) => Former::Down,
        (true, _) if memory.failures >= CRASH_LOOP => Former::Down,
        (true, true) => Former::Stopped,
        // It ended a moment ago, and its upgrade goes on once it runs again.
        (true, false) => return StartOf::Former,
    };
    let hold = match advance(facts, observed, memory, change, former) {
        Ok(()) => return StartOf::Declared,
        Err(hold) => *hold,
    };
    if is_there && hold.lasts {
        return StartOf::Former;
    }
    let phase = match hold.needs_a_person {
        true => Phase::Stalled { reason: hold.reason, message: hold.message },
        false => Phase::progressing(hold.reason, hold.message),
    };
    StartOf::Held(Outcome { action: hold.action, phase, requeue_after: hold.interval })
}

/// Takes an upgrade on to its replacement, or returns what holds it up.
fn advance(
    facts: &Facts<'_>,
    observed: &Observed,
    memory: &mut Memory,
    change: &Change,
    former: Former,
) -> Result<(), Box<Hold>> {
    if let Some(restore) = in_progress(memory) {
        let message = format!("the upgrade to {} waits for restore {} of its data", change.to, restore.id);
        return Err(Box::new(Hold::brief(Reason::WaitingForCanary, message, facts.platform.blocked_interval)));
    }
    let cause = memory.rejected.as_ref().map(|rejected| rejected.why.as_str());
    let upgrade = attempt(facts, observed, &mut memory.upgrade, change);
    if upgrade.step.is_waiting() {
        turn::wait(facts, upgrade, former, cause)?;
        upgrade.enter(UpgradeStep::BackingUp, facts.now);
        upgrade.started_at = Some(whole_second(facts.now));
        upgrade.forced = has_annotation(facts.instance, UPGRADE_NOW);
        // One of an earlier attempt is too old.
        upgrade.backup = None;
        upgrade.backup_failures = 0;
        upgrade.message.clear();
    }
    let lacks_backup = upgrade.backup.is_none() && declared(facts).backs_up_first();
    if upgrade.step == UpgradeStep::BackingUp && (lacks_backup || upgrade.job.is_some()) {
        return Err(Box::new(upgrade_job::start(facts, observed, upgrade)));
    }
    upgrade.enter(UpgradeStep::Replacing, facts.now);
    upgrade.message.clear();
    memory.ready_since = None;
    // Those of the former server are none of the new one.
    memory.failures = 0;
    Ok(())
}

/// Returns the attempt to get an image, which goes on or begins.
fn attempt<'m>(
    facts: &Facts<'_>,
    observed: &Observed,
    slot: &'m mut Option<UpgradeStatus>,
    change: &Change,
) -> &'m mut UpgradeStatus {
    let now = whole_second(facts.now);
    let next = match slot.take() {
        Some(known) if known.to == change.to && !known.step.is_end() => known,
        // The former image is still there, and with its backup what is returned to.
        Some(known) if known.step.is_on_trial() && observed.retained.is_some() => {
            UpgradeStatus { to: change.to.clone(), failures: 0, ..known }
        }
        known => {
            let known = known.unwrap_or_default();
            UpgradeStatus {
                from: change.from.clone(),
                to: change.to.clone(),
                step_since: now,
                failures: if known.to == change.to { known.failures } else { 0 },
                forced: known.forced,
                // It is ended first.
                job: known.job,
                completed: known.completed,
                ..UpgradeStatus::default()
            }
        }
    };
    slot.insert(next)
}

/// Ends what waits for an image that is not declared any more. A backup that is made for it is made
/// to its end.
pub(super) fn withdraw(facts: &Facts<'_>, observed: &Observed, memory: &mut Memory) {
    // The server was not replaced, since what had to be done for it failed.
    let is_former = observed.retained.is_none() && memory.image.is_some() && memory.image == observed.image;
    let Some(upgrade) = &mut memory.upgrade else { return };
    let has_not_begun = upgrade.step.is_waiting() || upgrade.step == UpgradeStep::BackingUp;
    if upgrade.job.is_some() || !(has_not_begun || is_former && upgrade.step.is_on_trial()) {
        return;
    }
    if upgrade.failures > 0 {
        upgrade.enter(UpgradeStep::RolledBack, facts.now);
        return;
    }
    memory.upgrade = upgrade.completed.take().map(|completed| UpgradeStatus {
        from: completed.from.clone(),
        to: completed.to.clone(),
        step: UpgradeStep::Completed,
        backup: completed.backup.clone(),
        step_since: completed.at,
        ended_at: Some(completed.at),
        completed: Some(completed),
        ..UpgradeStatus::default()
    });
}

/// Forgets what only counts as long as the document stays as it is.
pub(super) fn follow_document(facts: &Facts<'_>, memory: &mut Memory) {
    let Some(upgrade) = &mut memory.upgrade else { return };
    if !has_annotation(facts.instance, UPGRADE_NOW) {
        upgrade.forced = false;
    }
    if facts.instance.spec.suspend && upgrade.step == UpgradeStep::BackingUp && upgrade.job.is_none() {
        // The server may have written since; a stopped one writes nothing after the next backup.
        upgrade.backup = None;
    }
}
