//! The next action for one instance. A function: no I/O, no clock.
//!
//! The order in [`outcome`] is the order of precedence, and the first decision wins: overdue
//! deletion, pause, failed observation, maintenance, deletion, a restore, suspension, blocked
//! document, convergence. Jobs come last, while nothing else is to be done ([`jobs`]), or after what
//! was to be done has failed ([`jobs_alone`]).

mod backup;
mod deletion;
mod drill;
mod exits;
mod jobs;
mod last_backup;
mod obstacles;
mod restore;
mod restore_jobs;
mod rollback;
mod running;
mod start;
#[cfg(test)]
mod tests;
mod trial;
mod turn;
mod upgrade;
mod upgrade_job;

use std::time::Duration;

use jiff::Timestamp;

use super::backoff::blocked_interval;
use super::backup_report::Verdicts;
use super::status::{self, Phase};
use super::{Decision, Facts};
use crate::api::{MaiInstance, PAUSED, Reason};
use crate::core::{Action, Blocked, Effect, Memory, Observed, Presence, Workload};
use running::Running;
use trial::Failure;

/// Interval between attempts to observe an instance that could not be observed.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(3);
/// Interval between checks for the end of a maintenance command.
const MAINTENANCE_INTERVAL: Duration = Duration::from_millis(500);
/// Interval between checks of a server that is stopping.
const STOPPING_INTERVAL: Duration = Duration::from_millis(200);

pub(super) use jobs::{QUEUE_INTERVAL, job_runs};

/// Decides the next action, the status, and what to remember.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let mut memory = facts.memory.clone();
    upgrade::follow_document(facts, &mut memory);
    restore::begin_new(facts, &mut memory);
    let mut outcome = outcome(facts, &mut memory);
    let is_queued = jobs::add(facts, &mut outcome, &mut memory);
    trial::follow_return(facts, &mut memory);
    let Outcome { action, phase, requeue_after } = outcome;
    let phase = restore::with_progress(phase, &memory);
    let verdicts = Verdicts::new(facts, &memory.backup, is_queued);
    let status = status::render(facts, &phase, &memory, &verdicts);
    Decision { action, status, memory, requeue_after }
}

/// Decides the next step of jobs alone, for an instance whose last action failed. The rest of its
/// status stays as it is.
pub(super) fn jobs_alone(facts: &Facts<'_>) -> Decision {
    let mut memory = facts.memory.clone();
    let mut outcome = Outcome::wait(Phase::Paused, None);
    let is_queued = jobs::add(facts, &mut outcome, &mut memory);
    let verdicts = Verdicts::new(facts, &memory.backup, is_queued);
    let status = status::with_jobs(facts.previous, facts.previous, &memory, &verdicts, facts.now);
    Decision { action: outcome.action, status, memory, requeue_after: outcome.requeue_after }
}

/// An action with the phase it puts the instance in.
struct Outcome {
    action: Action,
    phase: Phase,
    requeue_after: Option<Duration>,
}

impl Outcome {
    fn act(action: Action, phase: Phase) -> Self {
        Self { action, phase, requeue_after: None }
    }

    fn wait(phase: Phase, requeue_after: impl Into<Option<Duration>>) -> Self {
        Self { action: Action::Wait, phase, requeue_after: requeue_after.into() }
    }

    fn stop(cause: impl Into<String>, phase: Phase) -> Self {
        Self::act(Action::Stop(cause.into()), phase)
    }
}

fn outcome(facts: &Facts<'_>, memory: &mut Memory) -> Outcome {
    let deleted = facts.instance.metadata.deletion_timestamp.is_some();
    if !deleted {
        deletion::forget(memory);
    }
    if deletion::is_overdue(facts) {
        return Outcome::act(
            Action::RemoveFinalizer,
            Phase::progressing(Reason::Deleting, "let go without waiting for its teardown"),
        );
    }
    if has_annotation(facts.instance, PAUSED) && !deleted {
        return Outcome::wait(Phase::Paused, None);
    }
    let observed = match facts.observed {
        Ok(observed) => observed,
        Err(problem) => return Outcome::wait(Phase::Unknown { message: problem.to_owned() }, OBSERVE_INTERVAL),
    };
    if let Some(command) = &observed.maintenance {
        return maintenance(command, observed, memory);
    }
    exits::count(memory, observed, facts.now);
    if deleted && !restore::precedes_deletion(facts, memory) {
        return deletion::decide(facts, observed, memory);
    }
    if let Some(outcome) = restore::server(facts, observed, memory) {
        return outcome;
    }
    if facts.instance.spec.suspend {
        return suspension(observed);
    }
    match facts.desired {
        Err(blocked) => wait_for_document(facts, blocked, observed),
        Ok(workload) => converge(facts, workload, observed, memory),
    }
}

fn has_annotation(instance: &MaiInstance, annotation: &str) -> bool {
    instance.metadata.annotations.as_ref().and_then(|all| all.get(annotation)).is_some_and(|value| value == "true")
}

fn maintenance(command: &str, observed: &Observed, memory: &mut Memory) -> Outcome {
    // The command stopped the server: that is no failure, now or later. What failed before was other
    // data.
    memory.failures = 0;
    memory.counted_exit = memory.counted_exit.max(observed.last_exit.as_ref().map(|exit| exit.at));
    let message = format!("{command} works on its data; the server is left alone until that has ended");
    Outcome::wait(Phase::progressing(Reason::Held, message), MAINTENANCE_INTERVAL)
}

fn suspension(observed: &Observed) -> Outcome {
    match &observed.presence {
        Presence::Running { .. } => Outcome::stop(
            "spec.suspend is true",
            Phase::progressing(Reason::Stopping, "spec.suspend is true; the server is being stopped"),
        ),
        Presence::Stopping => {
            Outcome::wait(Phase::progressing(Reason::Stopping, "the server is being stopped"), STOPPING_INTERVAL)
        }
        Presence::Absent | Presence::Stopped => match observed.auxiliary_changes() {
            changes if changes.is_empty() => Outcome::wait(Phase::Suspended, None),
            changes => Outcome::act(Action::Update(changes), Phase::Suspended),
        },
    }
}

fn wait_for_document(facts: &Facts<'_>, blocked: &Blocked, observed: &Observed) -> Outcome {
    let message = match observed.presence {
        Presence::Running { .. } => format!("{}; the server keeps running as declared before", blocked.message),
        _ => blocked.message.clone(),
    };
    if blocked.reason.is_under_way() {
        return Outcome::wait(Phase::progressing(blocked.reason, message), facts.platform.blocked_interval);
    }
    // Checked more often at first: a Secret is often applied just after the document that names it.
    let blocked_for = status::stalled_since(facts.previous).map_or(Duration::ZERO, |then| since(then, facts.now));
    let interval = blocked_interval(blocked_for, facts.platform.blocked_interval);
    Outcome::wait(Phase::Stalled { reason: blocked.reason, message }, interval)
}

fn converge(facts: &Facts<'_>, workload: &Workload, observed: &Observed, memory: &mut Memory) -> Outcome {
    if observed.presence != Presence::Stopping && start::new_image(observed, memory).is_none() {
        upgrade::withdraw(facts, observed, memory);
    }
    let running = match &observed.presence {
        Presence::Stopping => {
            let phase = Phase::progressing(Reason::Stopping, "the former server is ending");
            return Outcome::wait(phase, STOPPING_INTERVAL);
        }
        Presence::Absent | Presence::Stopped => return start::decide(facts, workload, observed, memory),
        Presence::Running { since, readiness } => Running { facts, workload, observed, since: *since, readiness },
    };
    if let Some(cause) = trial::undone_for(memory).filter(|_| observed.retained.is_some()) {
        return rollback::roll_back(workload, memory, cause.to_owned());
    }
    let rejection = rollback::rejection(facts, workload, observed, memory).map(str::to_owned);
    match (observed.effect(), rejection) {
        (Some(Effect::Recreate), None) => replace(&running, memory),
        (Some(Effect::Recreate), Some(cause)) => running.keep_retained(memory, &cause),
        (Some(Effect::InPlace | Effect::Auxiliary), _) => running.apply(observed.changes.clone()),
        (None, _) => running.keep(memory),
    }
}

fn replace(running: &Running<'_>, memory: &mut Memory) -> Outcome {
    let Running { facts, workload, observed, .. } = running;
    match start::new_image(observed, memory) {
        Some(change) if trial::is_of_former(memory, &change) => {
            let failure = Failure::new("its former image is declared again");
            trial::fail(facts, workload, observed, memory, &failure)
                .unwrap_or_else(|| start::recreate(facts, workload, observed))
        }
        Some(change) => upgrade::replace(running, memory, &change),
        None => {
            trial::begin_again(facts, memory);
            start::recreate(facts, workload, observed)
        }
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}
