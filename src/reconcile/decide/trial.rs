//! The trial of a new image: it has to become ready, and to stay so for a while. Else the former one
//! returns.

use mai_contract::job::BackupId;
use mai_contract::restores;

use super::exits::CRASH_LOOP;
use super::rollback::{self, roll_back, rolled_back};
use super::running::Running;
use super::{Outcome, exits, since, upgrade};
use crate::api::{
    CompletedUpgrade, Reason, RestoreCause, RestoreSource, RestoreStatus, RestoreStep, UpgradeStatus, UpgradeStep,
};
use crate::core::{Cause, Change, Exit, Fault, Memory, Observed, Readiness, Workload};
use crate::reconcile::schedule::whole_second;
use crate::reconcile::status::Phase;
use crate::reconcile::{Facts, restore_record};

/// Times that a new image may begin to be ready without a break, in lengths of the time it has to.
const PATIENCE: u32 = 10;

/// Returns whether a new image is on trial.
pub(super) fn is_under_way(memory: &Memory) -> bool {
    memory.upgrade.as_ref().is_some_and(|upgrade| upgrade.step.is_on_trial())
}

/// Returns whether a change leads from an image on trial back to the one before it.
pub(super) fn is_of_former(memory: &Memory, change: &Change) -> bool {
    is_under_way(memory) && memory.upgrade.as_ref().is_some_and(|upgrade| upgrade.from == change.to)
}

/// Begins the trial of a new image again, because something else of its server changes.
pub(super) fn begin_again(facts: &Facts<'_>, memory: &mut Memory) {
    if let Some(upgrade) = memory.upgrade.as_mut().filter(|upgrade| upgrade.step.is_on_trial()) {
        upgrade.enter(UpgradeStep::Replacing, facts.now);
        memory.ready_since = None;
    }
}

/// Judges a new image. Returns what follows from it; nothing where the server is to be kept like any
/// other, since it is not on trial any more.
pub(super) fn judge(running: &Running<'_>, memory: &mut Memory) -> Option<Outcome> {
    let step = memory.upgrade.as_ref()?.step;
    if step.is_on_trial()
        && let Some(failure) = failure(running, memory)
    {
        return fail(running.facts, running.workload, running.observed, memory, &failure);
    }
    let Readiness::Ready { version } = running.readiness else { return None };
    // One that stays although it failed may still prove itself.
    if step.is_on_trial() || step == UpgradeStep::Failed { settle(running, memory, version.clone()) } else { None }
}

/// Returns the end of a run that was not asked for. One of a new image that ended as on request, such
/// as by a restart by hand, is started again a few times before that counts.
pub(super) fn own_exit<'a>(memory: &Memory, observed: &'a Observed) -> Option<&'a Exit> {
    const SIGTERM: i32 = 15;
    let exit = observed.last_exit.as_ref().filter(|exit| memory.counted_exit == Some(exit.at))?;
    let as_on_request = exit.code == Some(0) || exit.signal == Some(SIGTERM);
    (!as_on_request || !is_under_way(memory) || memory.failures >= CRASH_LOOP).then_some(exit)
}

/// Failure of a new image.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    cause: String,
    /// The new image left the data as it was.
    leaves_data: bool,
    /// A newer version of the server wrote the data.
    is_too_old: bool,
}

impl Failure {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), leaves_data: false, is_too_old: false }
    }

    /// Makes that of a server that ended by itself.
    pub(super) fn of_exit(exit: &Exit) -> Self {
        let is_too_old = exits::is_too_old(exit);
        Self { cause: exits::describe(exit), leaves_data: is_too_old, is_too_old }
    }

    fn of_fault(fault: &Fault) -> Self {
        let is_too_old = fault.cause == Cause::DataTooNew;
        // The others mean that no container was started.
        let leaves_data = is_too_old || matches!(fault.cause, Cause::ImageUnavailable | Cause::Refused);
        Self { cause: fault.detail.clone(), leaves_data, is_too_old }
    }
}

/// Returns the failure of the new image, if it has failed.
fn failure(running: &Running<'_>, memory: &Memory) -> Option<Failure> {
    let Running { facts, observed, readiness, .. } = running;
    let health = &facts.instance.spec.health;
    // An engine starts it again at once, and may even have it ready again.
    if let Some(exit) = own_exit(memory, observed) {
        return Some(Failure::of_exit(exit));
    }
    let upgrade = memory.upgrade.as_ref()?;
    let is_late = running.start_period_left().is_zero();
    let cause = match readiness {
        Readiness::Waiting(fault) if fault.cause.is_failure() || fault.cause == Cause::Restarting => {
            return Some(Failure::of_fault(fault));
        }
        Readiness::Starting { detail } if is_late => {
            format!("not ready {} after its start: {detail}", health.start_period)
        }
        Readiness::Waiting(fault) if is_late => {
            format!("not ready {} after it was declared: {}", health.start_period, fault.detail)
        }
        Readiness::Failing { probes, detail } if i64::from(*probes) >= i64::from(health.retries) => {
            format!("{probes} probes in a row failed: {detail}")
        }
        _ => {
            let declared = upgrade::declared(facts);
            let longest = declared.settle().saturating_mul(PATIENCE).saturating_add(health.start_period());
            if upgrade.step != UpgradeStep::Settling || since(upgrade.step_since, facts.now) <= longest {
                return None;
            }
            let settle = declared.settle_text();
            format!("it was not ready for {settle} without a break within {PATIENCE} times as long")
        }
    };
    Some(Failure::new(cause))
}

/// Waits until the new image has been ready for long enough, and completes the upgrade then.
fn settle(running: &Running<'_>, memory: &mut Memory, version: Option<String>) -> Option<Outcome> {
    let facts = running.facts;
    let settle = upgrade::declared(facts).settle();
    let ready_since = *memory.ready_since.get_or_insert(facts.now);
    let left = settle.saturating_sub(since(ready_since, facts.now));
    let upgrade = memory.upgrade.as_mut()?;
    if left.is_zero() {
        complete(upgrade, facts);
        return None;
    }
    if upgrade.step == UpgradeStep::Failed {
        return Some(Outcome::wait(Phase::Ready { version }, left));
    }
    upgrade.enter(UpgradeStep::Settling, facts.now);
    let message = format!(
        "it has {} and is ready; the upgrade is completed once it has been so for {}",
        upgrade.to,
        upgrade::declared(facts).settle_text()
    );
    upgrade.message.clone_from(&message);
    let phase =
        Phase::Upgrading { version, is_former: false, reason: Reason::Upgrading, message, needs_a_person: false };
    Some(Outcome::wait(phase, left))
}

fn complete(upgrade: &mut UpgradeStatus, facts: &Facts<'_>) {
    upgrade.enter(UpgradeStep::Completed, facts.now);
    upgrade.failures = 0;
    upgrade.halted_generation = None;
    upgrade.message.clear();
    upgrade.completed = Some(CompletedUpgrade {
        from: upgrade.from.clone(),
        to: upgrade.to.clone(),
        backup: upgrade.backup.clone(),
        at: whole_second(facts.now),
    });
}

/// Ends the trial of a new image with a failure. Returns what follows from it; nothing where the new
/// image stays.
pub(super) fn fail(
    facts: &Facts<'_>,
    workload: &Workload,
    observed: &Observed,
    memory: &mut Memory,
    failure: &Failure,
) -> Option<Outcome> {
    let upgrade = memory.upgrade.as_mut()?;
    upgrade.failures = upgrade.failures.saturating_add(1);
    memory.ready_since = None;
    let cause = match way_back(facts, upgrade).filter(|_| failure.is_too_old) {
        Some(way_back) => format!("{}; {way_back}", failure.cause),
        None => failure.cause.clone(),
    };
    let stays = match (upgrade::declared(facts).rolls_back(), &observed.retained) {
        (false, _) => Some("it stays, since upgrade.rollback is false"),
        (true, None) => Some("it stays, since the server before it did not serve and was not retained"),
        (true, Some(_)) => None,
    };
    if let Some(stays) = stays {
        let backup = upgrade.backup.as_ref().map(|id| format!("; the data before it is in backup {id}"));
        upgrade.enter(UpgradeStep::Failed, facts.now);
        upgrade.message = format!("{cause}; {stays}{}", backup.unwrap_or_default());
        return None;
    }
    upgrade.message.clone_from(&cause);
    let returns = upgrade.backup.clone().filter(|_| !failure.leaves_data);
    let Some(backup) = returns else {
        upgrade.enter(UpgradeStep::RolledBack, facts.now);
        if upgrade.backup.is_none() {
            upgrade.message =
                format!("{cause}; no backup was made before, so the data stays as {} left it", upgrade.to);
        }
        return Some(roll_back(workload, memory, cause));
    };
    upgrade.enter(UpgradeStep::ReturningData, facts.now);
    let source = RestoreSource { backup: Some(backup), ..RestoreSource::default() };
    let id = BackupId::new(facts.now, facts.random);
    let reason = format!("{} failed", upgrade.to);
    restore_record::begin(memory, RestoreStatus::begun(&id, RestoreCause::Upgrade, source, reason, facts.now));
    rollback::reject(workload, memory, &cause);
    let phase = rolled_back(&cause);
    Some(Outcome::stop(cause, phase))
}

/// Returns the cause for which an image is being undone together with its data.
pub(super) fn undone_for(memory: &Memory) -> Option<&str> {
    let upgrade = memory.upgrade.as_ref().filter(|upgrade| upgrade.step == UpgradeStep::ReturningData)?;
    Some(upgrade.message.as_str())
}

/// Ends an upgrade whose data and whose former image have returned.
pub(super) fn follow_return(facts: &Facts<'_>, memory: &mut Memory) {
    let Memory { upgrade: Some(upgrade), restore, rejected, .. } = memory else { return };
    let is_back = facts.observed.is_ok_and(|observed| observed.retained.is_none());
    if upgrade.step != UpgradeStep::ReturningData || !is_back {
        return;
    }
    let backup = upgrade.backup.as_deref().unwrap_or_default();
    let data = match restore.as_ref().filter(|restore| restore.cause == RestoreCause::Upgrade) {
        Some(restore) if !restore.step.is_end() => return,
        Some(restore) if restore.step == RestoreStep::Completed => {
            let until = restore.kept_until.map(|until| until.strftime(" until %Y-%m-%d").to_string());
            format!(
                "the data of backup {backup} is back; what was there before, with all that was written since, is kept in {}/{}/former of the data volume{}",
                restores::DIRECTORY,
                restore.id,
                until.unwrap_or_default()
            )
        }
        problem => {
            let problem = problem.map_or("its restore is not known", |restore| &restore.message);
            let name = facts.instance.metadata.name.as_deref().unwrap_or_default();
            let command = (facts.platform.restore_command)(name, backup);
            format!(
                "its data stays as {} left it, since that of backup {backup} could not be returned: {problem}; correct that, then run {command}",
                upgrade.to
            )
        }
    };
    upgrade.message = format!("{}; {data}", upgrade.message);
    if let Some(rejected) = rejected {
        rejected.why.clone_from(&upgrade.message);
    }
    upgrade.enter(UpgradeStep::RolledBack, facts.now);
}

/// Returns the way back to an older image, if there is a backup from before the newer one.
fn way_back(facts: &Facts<'_>, upgrade: &UpgradeStatus) -> Option<String> {
    let CompletedUpgrade { to, backup, .. } = upgrade.completed.as_ref()?;
    let backup = backup.as_ref()?;
    let name = facts.instance.metadata.name.as_deref().unwrap_or_default();
    let command = (facts.platform.restore_command)(name, backup);
    Some(format!(
        "the data before {to} is in backup {backup}: declare suspend: true, run {command}, then declare the older image without suspend"
    ))
}

impl Running<'_> {
    /// Returns whether the server is undone where it fails.
    pub(super) fn is_undone_on_failure(&self, memory: &Memory) -> bool {
        self.observed.retained.is_some() && stays_on_failure(memory).is_none()
    }
}

/// Returns the upgrade whose new image stays although it failed.
pub(super) fn stays_on_failure(memory: &Memory) -> Option<&UpgradeStatus> {
    memory.upgrade.as_ref().filter(|upgrade| upgrade.step == UpgradeStep::Failed)
}
