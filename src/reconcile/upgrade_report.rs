//! The condition `UpgradeHealthy`, and the events of upgrades.

use super::Facts;
use super::backup_report::{BackupEvent, Verdict};
use crate::api::{MaiInstanceStatus, Reason, UpgradeStatus, UpgradeStep};
use crate::core::EventKind;

/// Returns what the condition says of the image; nothing before the first change of it.
pub(super) fn verdict(facts: &Facts<'_>, upgrade: Option<&UpgradeStatus>) -> Option<Verdict> {
    let upgrade = upgrade?;
    let UpgradeStatus { from, to, message, .. } = upgrade;
    let pending = |reason, message: String| Verdict { holds: None, reason, message };
    let good = |reason, message: String| Verdict { holds: Some(true), reason, message };
    Some(match upgrade.step {
        UpgradeStep::WaitingForWindow => pending(Reason::WaitingForWindow, message.clone()),
        UpgradeStep::WaitingForCanary => pending(Reason::WaitingForCanary, message.clone()),
        UpgradeStep::Halted => Verdict::bad(Reason::UpgradeHalted, message.clone()),
        UpgradeStep::BreakerOpen => Verdict::bad(Reason::BreakerOpen, message.clone()),
        UpgradeStep::BackingUp if message.is_empty() => {
            pending(Reason::Upgrading, format!("the data is backed up before the upgrade to {to}"))
        }
        UpgradeStep::BackingUp => Verdict::bad(Reason::UpgradeBackupFailed, held_by_backup(to, message)),
        UpgradeStep::Replacing => pending(Reason::Upgrading, format!("{from} is replaced by {to}")),
        UpgradeStep::Settling => pending(Reason::Upgrading, message.clone()),
        UpgradeStep::ReturningData => {
            pending(Reason::Upgrading, format!("{to} failed: {message}; the data before it is being returned"))
        }
        UpgradeStep::Completed => good(Reason::Upgraded, completed(upgrade)),
        UpgradeStep::RolledBack if is_declared(facts) == Some(true) => {
            good(Reason::UpToDate, format!("the declared image serves; {to} failed before: {message}"))
        }
        UpgradeStep::RolledBack => Verdict::bad(Reason::RolledBack, format!("{to} failed: {message}")),
        UpgradeStep::Failed => Verdict::bad(Reason::UpgradeFailed, format!("{to} failed: {message}")),
    })
}

/// Returns the message of an upgrade whose backup could not be made.
pub(super) fn held_by_backup(to: &str, problem: &str) -> String {
    format!(
        "the upgrade to {to} waits for a backup, which could not be made: {problem}; it is tried again, or declare upgrade.backupFirst: false"
    )
}

fn completed(upgrade: &UpgradeStatus) -> String {
    let backup = match &upgrade.backup {
        Some(id) => format!("the data before it is in backup {id}"),
        None => "no backup was made before it".to_owned(),
    };
    format!("{} was replaced by {}; {backup}", upgrade.from, upgrade.to)
}

/// Returns whether the image that runs is the declared one; nothing while that is not known.
fn is_declared(facts: &Facts<'_>) -> Option<bool> {
    let (observed, _) = facts.observed.ok().zip(facts.desired.ok())?;
    Some(observed.image_change().is_none())
}

/// Returns the events of a change of the status.
pub(super) fn events(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> Vec<BackupEvent> {
    let Some(upgrade) = &status.upgrade else { return Vec::new() };
    let before = previous.upgrade.as_ref();
    let mut events = Vec::new();
    let mut add = |kind, reason: &'static str, message: String| events.push(BackupEvent { kind, reason, message });
    let UpgradeStatus { from, to, message, .. } = upgrade;
    if upgrade.started_at.is_some() && before.and_then(|before| before.started_at) != upgrade.started_at {
        add(EventKind::Normal, "UpgradeStarted", format!("the image is changed from {from} to {to}"));
    }
    let is_new = before.is_none_or(|before| (before.step, &before.to) != (upgrade.step, to));
    // One that was never begun may be withdrawn, and what was before it is shown again.
    let was_tried = before.is_some_and(|before| {
        before.step.is_on_trial() || matches!(before.step, UpgradeStep::ReturningData | UpgradeStep::Failed)
    });
    let has_ended = is_new && was_tried;
    let is_other_problem = before.is_none_or(|before| before.message != *message);
    match upgrade.step {
        UpgradeStep::Completed if has_ended => add(EventKind::Normal, Reason::Upgraded.into(), completed(upgrade)),
        UpgradeStep::RolledBack if has_ended => {
            add(EventKind::Warning, "UpgradeRolledBack", format!("{from} serves again, since {to} failed: {message}"));
        }
        UpgradeStep::Failed if has_ended => {
            add(EventKind::Warning, Reason::UpgradeFailed.into(), format!("{to} failed: {message}"));
        }
        UpgradeStep::Halted if is_new => add(EventKind::Warning, Reason::UpgradeHalted.into(), message.clone()),
        UpgradeStep::BreakerOpen if is_new => add(EventKind::Warning, Reason::BreakerOpen.into(), message.clone()),
        UpgradeStep::BackingUp if is_other_problem && !message.is_empty() => {
            add(EventKind::Warning, Reason::UpgradeBackupFailed.into(), held_by_backup(to, message));
        }
        _ => {}
    }
    events
}
