//! The status of an instance, which people and GitOps tools read.

use jiff::Timestamp;

use super::backup_report::{Verdict, Verdicts};
use super::restore_record::in_progress;
use super::{Facts, upgrade_report, usage_report};
use crate::api::{
    BackupStatus, ConditionKind, Conditions, DOCUMENT_PROBLEM, DOCUMENT_REFUSED, MaiInstance, MaiInstanceStatus,
    Reason, RestoreStatus,
};
use crate::core::{Cause, Component, ComponentKind, Memory};

/// Phase of an instance.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// It is ready and as declared.
    Ready { version: Option<String> },
    /// It was ready, and fewer probes than declared have failed: it counts as ready until then.
    ProbeFailing { detail: String },
    /// Work is under way and ends by itself.
    Progressing { reason: Reason, message: String },
    /// It is ready, and its upgrade waits, is under way or is held up.
    Upgrading {
        version: Option<String>,
        /// The former image serves.
        is_former: bool,
        reason: Reason,
        message: String,
        needs_a_person: bool,
    },
    /// It keeps failing and is restarted with back-off.
    CrashLoop { message: String },
    /// A person has to do something.
    Stalled { reason: Reason, message: String },
    /// Stopped as declared.
    Suspended,
    /// Not reconciled, as declared by its annotation.
    Paused,
    /// It could not be observed.
    Unknown { message: String },
}

impl Phase {
    pub(super) fn progressing(reason: Reason, message: impl Into<String>) -> Self {
        Self::Progressing { reason, message: message.into() }
    }

    pub(super) fn crash_loop(message: impl Into<String>) -> Self {
        Self::CrashLoop { message: message.into() }
    }
}

/// Returns the status of an instance: the previous one, with only that changed which the phase
/// changes.
pub(super) fn render(facts: &Facts<'_>, phase: &Phase, memory: &Memory, verdicts: &Verdicts) -> MaiInstanceStatus {
    let instance = facts.instance;
    let mut status = facts.previous.clone();
    let generation = instance.metadata.generation;
    let mut conditions = Conditions::from_previous(&facts.previous.conditions, generation, facts.now);
    let mut ready = |holds, reason, message: &str| conditions.set(ConditionKind::Ready, holds, reason, message);

    // Every arm sets Ready first, then the conditions that kstatus needs in addition.
    let (reconciling, stalled) = match phase {
        Phase::Ready { version } => {
            status.version = version.clone().or(status.version);
            ready(Some(true), Reason::Ready, "the instance answers");
            (None, None)
        }
        Phase::Upgrading { version, is_former, reason, message, needs_a_person } => {
            status.version = version.clone().or(status.version);
            ready(Some(true), Reason::Ready, &format!("the instance answers; {message}"));
            if *is_former {
                // So that nobody who waits for the newest document takes it for served.
                let former = facts.previous.condition(ConditionKind::Ready).and_then(|ready| ready.observed_generation);
                conditions.set_former_generation(ConditionKind::Ready, former);
            }
            let cause = Some((*reason, message.clone()));
            if *needs_a_person { (None, cause) } else { (cause, None) }
        }
        Phase::ProbeFailing { detail } => {
            let stands = facts.previous.condition_holds(ConditionKind::Ready) == Some(true);
            ready(Some(stands), Reason::Unhealthy, &format!("the last probe failed: {detail}"));
            (None, None)
        }
        Phase::Progressing { reason, message } => {
            ready(Some(false), *reason, message);
            (Some((*reason, message.clone())), None)
        }
        Phase::CrashLoop { message } => {
            ready(Some(false), Reason::CrashLoop, message);
            (None, Some((Reason::CrashLoop, message.clone())))
        }
        Phase::Stalled { reason, message } => {
            ready(Some(false), *reason, message);
            (None, Some((*reason, message.clone())))
        }
        Phase::Suspended => {
            ready(Some(false), Reason::Suspended, "stopped because spec.suspend is true; data and backups are kept");
            (None, None)
        }
        Phase::Paused => {
            let holds = facts.previous.condition_holds(ConditionKind::Ready);
            ready(holds, Reason::Paused, "nothing is done for it while the annotation mai.dev/paused is true");
            (None, None)
        }
        Phase::Unknown { message } => {
            ready(None, Reason::ObserveFailed, message);
            (Some((Reason::ObserveFailed, message.clone())), None)
        }
    };
    let restoring = in_progress(memory).and_then(RestoreStatus::progress).filter(|_| *phase != Phase::Paused);
    let restoring = restoring.filter(|_| stalled.is_none());
    let reconciling = reconciling.or_else(|| restoring.map(|progress| (Reason::Restoring, progress)));
    let problem = document_problem(instance);
    let stalled = problem.map(|(reason, problem)| (reason, problem.to_owned())).or(stalled);
    let mut abnormal = |kind, cause: Option<(Reason, String)>, otherwise: Reason| match cause {
        Some((reason, message)) => conditions.set(kind, Some(true), reason, message),
        None => conditions.set(kind, Some(false), otherwise, ""),
    };
    abnormal(ConditionKind::Reconciling, reconciling, Reason::Ready);
    abnormal(ConditionKind::Stalled, stalled, Reason::Ready);
    match problem {
        Some((reason, problem)) => conditions.set(ConditionKind::DocumentValid, Some(false), reason, problem),
        None => conditions.set(ConditionKind::DocumentValid, Some(true), Reason::Valid, ""),
    }

    // While the workload is unknown, nothing is known of its components either.
    if let (Ok(observed), Ok(_)) = (facts.observed, facts.desired) {
        set_components(&mut conditions, &observed.components);
    }

    set_verdicts(&mut conditions, verdicts);
    let upgrade = upgrade_report::verdict(facts, memory.upgrade.as_ref());
    set_verdict(&mut conditions, ConditionKind::UpgradeHealthy, upgrade.as_ref());
    match &facts.key.verdict {
        // Just after a start nothing is known but what was shown before.
        Some(_) if facts.key.is_unverified && facts.previous.condition(ConditionKind::KeyHealthy).is_some() => {}
        Some(key) => conditions.set(ConditionKind::KeyHealthy, key.holds, key.reason, key.message.clone()),
        None => conditions.remove(ConditionKind::KeyHealthy),
    }

    status.observed_generation = generation;
    status.conditions = conditions.into_vec();
    status.address = (facts.platform.address)(instance);
    status.restarts = i32::try_from(memory.failures).unwrap_or(i32::MAX);
    status.rejected.clone_from(&memory.rejected);
    status.image.clone_from(&memory.image);
    status.upgrade.clone_from(&memory.upgrade);
    status.backup = recorded(&memory.backup);
    status.restore.clone_from(&memory.restore);
    status.usage = usage_report::usage(facts);
    status.open_router_key.clone_from(&facts.key.status);
    status
}

/// Sets the condition of each component, and clears those of components the platform does not have.
fn set_components(conditions: &mut Conditions, components: &[Component]) {
    for (component, kind, good) in [
        (ComponentKind::Storage, ConditionKind::StorageReady, "the volumes are bound"),
        (ComponentKind::Exposure, ConditionKind::Exposed, "the way in is declared to the cluster"),
    ] {
        match components.iter().find(|known| known.kind == component).map(|known| &known.fault) {
            None => conditions.remove(kind),
            Some(None) => conditions.set(kind, Some(true), Reason::Ready, good),
            Some(Some(fault)) => conditions.set(kind, Some(false), reason_of(fault.cause), &fault.detail),
        }
    }
}

/// Returns the reason of the condition that shows a fault.
pub(super) fn reason_of(cause: Cause) -> Reason {
    match cause {
        Cause::Starting => Reason::Starting,
        Cause::Restarting => Reason::Restarting,
        Cause::Unhealthy => Reason::Unhealthy,
        Cause::CrashLoop => Reason::CrashLoop,
        Cause::DataTooNew => Reason::DataTooNew,
        Cause::ImageUnavailable => Reason::ImageUnavailable,
        Cause::Unschedulable => Reason::Unschedulable,
        Cause::Refused => Reason::Refused,
        Cause::VolumePending => Reason::VolumePending,
        Cause::ResizeFailed => Reason::ResizeFailed,
        Cause::NotAccepted => Reason::NotAccepted,
        Cause::NoEndpoints => Reason::NoEndpoints,
    }
}

/// Returns the decided status of an action that failed. It starts from the previous conditions, so
/// that a repeated failure changes nothing.
pub(super) fn with_failure(
    previous: &MaiInstanceStatus,
    decided: &MaiInstanceStatus,
    reason: Reason,
    message: &str,
    now: Timestamp,
) -> MaiInstanceStatus {
    let mut conditions = Conditions::from_previous(&previous.conditions, decided.observed_generation, now);
    conditions.set(ConditionKind::Ready, Some(false), reason, message);
    conditions.set(ConditionKind::Reconciling, Some(false), Reason::Ready, "");
    conditions.set(ConditionKind::Stalled, Some(true), reason, message);
    MaiInstanceStatus { conditions: conditions.into_vec(), ..decided.clone() }
}

/// Returns the decided status with other backups and another restore than were decided. Their
/// conditions start from the previous ones, so that a repeated failure changes nothing.
pub(super) fn with_jobs(
    previous: &MaiInstanceStatus,
    decided: &MaiInstanceStatus,
    memory: &Memory,
    verdicts: &Verdicts,
    now: Timestamp,
) -> MaiInstanceStatus {
    let mut list = decided.conditions.clone();
    for (kind, _) in verdicts.conditions() {
        if let (Some(shown), Some(former)) =
            (list.iter_mut().find(|one| one.type_ == kind.as_ref()), previous.condition(kind))
        {
            shown.clone_from(former);
        }
    }
    let mut conditions = Conditions::from_previous(&list, decided.observed_generation, now);
    set_verdicts(&mut conditions, verdicts);
    MaiInstanceStatus {
        conditions: conditions.into_vec(),
        backup: recorded(&memory.backup),
        restore: memory.restore.clone(),
        upgrade: memory.upgrade.clone(),
        ..decided.clone()
    }
}

fn set_verdicts(conditions: &mut Conditions, verdicts: &Verdicts) {
    for (kind, verdict) in verdicts.conditions() {
        set_verdict(conditions, kind, verdict);
    }
}

fn set_verdict(conditions: &mut Conditions, kind: ConditionKind, verdict: Option<&Verdict>) {
    match verdict {
        Some(Verdict { holds, reason, message }) => conditions.set(kind, *holds, *reason, message),
        None => conditions.remove(kind),
    }
}

/// Returns the backups as the status has them: nothing before the first.
fn recorded(backup: &BackupStatus) -> Option<BackupStatus> {
    (*backup != BackupStatus::default()).then(|| backup.clone())
}

/// Returns what is wrong with the newest document, if it is not in force.
fn document_problem(instance: &MaiInstance) -> Option<(Reason, &str)> {
    let annotations = instance.metadata.annotations.as_ref()?;
    let reason = match annotations.contains_key(DOCUMENT_REFUSED) {
        true => Reason::RefusedByPolicy,
        false => Reason::InvalidDocument,
    };
    annotations.get(DOCUMENT_PROBLEM).map(|problem| (reason, problem.as_str()))
}

/// Returns the time since which an instance has been stalled, if it is.
pub(super) fn stalled_since(status: &MaiInstanceStatus) -> Option<Timestamp> {
    status.true_condition(ConditionKind::Stalled).map(|stalled| stalled.last_transition_time.0)
}
