//! Restores: when one begins, when the server is stopped for it, and when its data counts as good.
//! Its jobs are in [`super::restore_jobs`].

use std::time::Duration;

use jiff::Timestamp;
use mai_contract::job::BackupId;

use super::exits::{self, CRASH_LOOP};
use super::{Outcome, STOPPING_INTERVAL, since};
use crate::api::{DeletionPolicy, Reason, RestoreCause, RestoreSource, RestoreStatus, RestoreStep};
use crate::core::{Action, Cause, Memory, Observed, Presence, Readiness};
use crate::reconcile::Facts;
use crate::reconcile::restore_record::{begin, in_progress};
use crate::reconcile::status::{self, Phase};

/// Time for which a start on restored data may be refused, before the former data is put back.
const REFUSED_START: Duration = Duration::from_secs(600);
/// Shortest and longest delay before a restore of a new instance that failed is made again.
const SHORTEST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// Returns the backup that a new instance begins with.
fn declared_source<'a>(facts: &Facts<'a>) -> Option<&'a RestoreSource> {
    facts.instance.spec.restore_from.as_ref()
}

/// Begins the restore that the document of a new instance declares. An instance is new until it was
/// decided on for the first time.
pub(super) fn begin_new(facts: &Facts<'_>, memory: &mut Memory) {
    let is_new = memory.restore.is_none() && facts.previous.observed_generation.is_none();
    let may_exist = facts.observed.is_ok_and(|observed| observed.presence != Presence::Absent);
    if let Some(source) = declared_source(facts).filter(|_| is_new && !may_exist) {
        begin(memory, new_instance(facts, source));
    }
}

fn new_instance(facts: &Facts<'_>, source: &RestoreSource) -> RestoreStatus {
    let id = BackupId::new(facts.now, facts.random);
    RestoreStatus::begun(&id, RestoreCause::NewInstance, source.clone(), "spec.restoreFrom declares it", facts.now)
}

/// Returns whether a restore has to come to an end before the instance is removed, since its data
/// would stay behind half replaced.
pub(super) fn precedes_deletion(facts: &Facts<'_>, memory: &Memory) -> bool {
    let is_kept = facts.instance.spec.deletion_policy != DeletionPolicy::Delete;
    let has_begun = |restore: &RestoreStatus| {
        restore.step != RestoreStep::Swapping || restore.job.is_some() || restore.failures > 0
    };
    is_kept && memory.restore.as_ref().is_some_and(|restore| restore.step.is_turning() && has_begun(restore))
}

/// Returns what a restore demands of the server; none where it is reconciled as usual.
pub(super) fn server(facts: &Facts<'_>, observed: &Observed, memory: &mut Memory) -> Option<Outcome> {
    let mut restore = memory.restore.take()?;
    if restore.step == RestoreStep::Starting {
        judge_start(facts, observed, memory, &mut restore);
    }
    let outcome = if restore.holds_server() {
        Some(hold(facts, observed, memory, &mut restore))
    } else if restore.cause == RestoreCause::NewInstance {
        wait_for_data(facts, observed, &restore)
    } else {
        None
    };
    memory.restore = Some(restore);
    outcome
}

/// Keeps the server stopped, and goes on once it is. Its end is no failure, now or later.
fn hold(facts: &Facts<'_>, observed: &Observed, memory: &mut Memory, restore: &mut RestoreStatus) -> Outcome {
    memory.failures = 0;
    memory.ready_since = None;
    memory.counted_exit = memory.counted_exit.max(observed.last_exit.as_ref().map(|exit| exit.at));
    match &observed.presence {
        Presence::Running { .. } => {
            if let (Err(blocked), RestoreStep::Stopping) = (facts.desired, restore.step) {
                // It could not be started again.
                return super::wait_for_document(facts, blocked, observed);
            }
            return Outcome::stop("its data is being restored", phase(restore));
        }
        Presence::Stopping => return Outcome::wait(phase(restore), STOPPING_INTERVAL),
        Presence::Absent | Presence::Stopped => {}
    }
    match restore.step {
        // What is restored after an upgrade is the backup that was made before it.
        RestoreStep::Stopping if restore.cause == RestoreCause::Upgrade => {
            restore.enter(RestoreStep::Swapping, facts.now);
        }
        RestoreStep::Stopping => restore.enter(RestoreStep::BackingUp, facts.now),
        RestoreStep::StoppingAgain => restore.enter(RestoreStep::Returning, facts.now),
        _ => {}
    }
    Outcome::wait(phase(restore), None)
}

/// Keeps a new instance from starting without the data that it is to begin with.
fn wait_for_data(facts: &Facts<'_>, observed: &Observed, restore: &RestoreStatus) -> Option<Outcome> {
    let phase = match restore.step {
        RestoreStep::Unpacking | RestoreStep::Discarding => phase(restore),
        RestoreStep::Failed if declared_source(facts).is_some() => Phase::Stalled {
            reason: Reason::RestoreFailed,
            message: format!(
                "restore {}: {}; it is tried again; correct spec.restoreFrom, or remove it to start without data",
                restore.id, restore.message
            ),
        },
        _ => return None,
    };
    if !matches!(observed.presence, Presence::Absent | Presence::Stopped) {
        return None;
    }
    // Its volumes may be among them.
    match observed.auxiliary_changes() {
        changes if changes.is_empty() || facts.desired.is_err() => Some(Outcome::wait(phase, None)),
        changes => Some(Outcome::act(Action::Update(changes), phase)),
    }
}

/// Ends a restore whose server is ready on its data, or that is not to run; or turns back.
fn judge_start(facts: &Facts<'_>, observed: &Observed, memory: &Memory, restore: &mut RestoreStatus) {
    let is_down = matches!(observed.presence, Presence::Absent | Presence::Stopped);
    if matches!(observed.presence, Presence::Running { readiness: Readiness::Ready { .. }, .. }) {
        restore.complete(None, facts.now);
    } else if facts.instance.spec.suspend {
        if is_down {
            restore.complete(Some("no server was started on it, since spec.suspend is true"), facts.now);
        }
    } else if let Some(cause) = failed_start(facts, observed, memory, restore.step_since) {
        match restore.cause {
            // The data before it is that of another image.
            RestoreCause::Upgrade => {
                let untried = format!("the server did not become ready on it: {cause}");
                restore.complete(Some(&untried), facts.now);
            }
            RestoreCause::Request | RestoreCause::NewInstance => restore.turn_back(&cause, facts.now),
        }
    }
}

/// Returns why the server does not become ready on the restored data. While its document blocks it,
/// it would start on no other data either.
fn failed_start(facts: &Facts<'_>, observed: &Observed, memory: &Memory, since_restored: Timestamp) -> Option<String> {
    let health = &facts.instance.spec.health;
    // A replacement is rolled back first.
    if facts.desired.is_err() || observed.retained.is_some() {
        return None;
    }
    let is_hopeless = memory.failures > 0 && observed.last_exit.as_ref().is_some_and(exits::is_too_old);
    if memory.failures >= CRASH_LOOP || is_hopeless {
        let end = observed.last_exit.as_ref().map(exits::describe);
        return Some(end.unwrap_or_else(|| format!("{} failures in a row", memory.failures)));
    }
    if let Presence::Running { since: started, readiness } = &observed.presence {
        let is_late = since(*started, facts.now) >= health.start_period();
        let late = |detail: &str| format!("not ready {} after its start: {detail}", health.start_period);
        match readiness {
            Readiness::Starting { detail } if is_late => return Some(late(detail)),
            Readiness::Waiting(fault) => match fault.cause {
                Cause::CrashLoop | Cause::DataTooNew => return Some(fault.detail.clone()),
                Cause::Starting | Cause::Unhealthy if is_late => return Some(late(&fault.detail)),
                _ => {}
            },
            Readiness::Starting { .. } | Readiness::Ready { .. } | Readiness::Failing { .. } => {}
        }
    }
    let is_waiting = observed.missing.is_some() || observed.port_holder.is_some();
    let refused_since = status::stalled_since(facts.previous).filter(|_| !is_waiting)?.max(since_restored);
    let stalled = facts.previous.true_condition(crate::api::ConditionKind::Stalled)?;
    (since(refused_since, facts.now) >= REFUSED_START).then(|| stalled.message.clone())
}

/// Returns the phase of an instance whose server waits for a restore.
fn phase(restore: &RestoreStatus) -> Phase {
    let message = restore.progress().unwrap_or_default();
    if restore.problem.is_empty() {
        Phase::progressing(Reason::Restoring, message)
    } else {
        Phase::Stalled { reason: Reason::RestoreFailed, message }
    }
}

/// Returns the phase of an instance whose server is reconciled as usual while a restore goes on.
pub(super) fn with_progress(phase: Phase, memory: &Memory) -> Phase {
    match (phase, in_progress(memory).and_then(RestoreStatus::progress)) {
        (Phase::Progressing { reason, message }, Some(progress)) if reason != Reason::Restoring => {
            Phase::progressing(Reason::Restoring, format!("{progress}; {message}"))
        }
        (phase, _) => phase,
    }
}

/// Takes a request up, or returns the answer to it.
pub(super) fn take_request(facts: &Facts<'_>, observed: &Observed, memory: &mut Memory) -> Option<RestoreStatus> {
    let request = observed.jobs.restore_request.as_ref()?;
    match &memory.restore {
        Some(restore) if restore.id == request.id.as_str() => {
            return restore.step.is_end().then(|| restore.clone());
        }
        Some(restore) if !restore.step.is_end() => {
            let busy = format!("restore {} of it is in progress; ask again when it has ended", restore.id);
            return Some(request.refused(busy, facts.now));
        }
        _ if memory.upgrade.as_ref().is_some_and(|upgrade| upgrade.step.is_under_way()) => {
            let busy = "its image is being upgraded; ask again when that has ended";
            return Some(request.refused(busy, facts.now));
        }
        // Ids are sorted by time, and only the data of the newest restore can be taken back.
        Some(restore) if restore.kept_until.is_some() && request.id.as_str() < restore.id.as_str() => {
            let stale = format!("restore {} of it was made since it was asked for; ask again", restore.id);
            return Some(request.refused(stale, facts.now));
        }
        // Data that is kept no longer is being removed.
        Some(restore) if restore.job.is_some() => return None,
        _ => {}
    }
    begin(
        memory,
        RestoreStatus::begun(
            &request.id,
            RestoreCause::Request,
            request.source.clone(),
            request.reason.clone(),
            facts.now,
        ),
    );
    None
}

/// Begins the restore of a new instance again, some time after it has failed or once another backup
/// is declared. Returns the delay until then.
pub(super) fn retry_new(facts: &Facts<'_>, memory: &mut Memory) -> Option<Duration> {
    let source = declared_source(facts)?;
    let failed = memory.restore.as_ref().filter(|restore| {
        restore.cause == RestoreCause::NewInstance && restore.step == RestoreStep::Failed && restore.job.is_none()
    })?;
    let ended = failed.ended_at.unwrap_or(failed.step_since);
    // As long as it has been tried so far, so that a Secret that was applied a moment later is found
    // soon.
    let delay = since(facts.created(), ended).clamp(SHORTEST_RETRY, LONGEST_RETRY);
    let left = delay.saturating_sub(since(ended, facts.now));
    if left.is_zero() || failed.source != *source {
        begin(memory, new_instance(facts, source));
        return None;
    }
    Some(left)
}
