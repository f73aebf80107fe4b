//! A server that runs: one function for each result of its probes.

use std::time::Duration;

use jiff::Timestamp;

use super::exits::CRASH_LOOP;
use super::rollback::{roll_back, rolled_back};
use super::turn::Hold;
use super::{Outcome, exits, since, trial};
use crate::api::Reason;
use crate::core::{Action, Cause, Change, Fault, Memory, Observed, Readiness, Workload};
use crate::reconcile::Facts;
use crate::reconcile::status::{self, Phase};

/// Time a server has to be ready until its earlier failures are forgotten.
const SETTLED: Duration = Duration::from_secs(60);
/// First re-check of a server that its platform is starting. Later checks back off, so that
/// thousands of pending pods do not load the API server.
const STARTING_INTERVAL: Duration = Duration::from_secs(20);
/// Message of a server within its start period.
const NOT_READY_YET: &str = "the server was started and is not ready yet";

pub(super) struct Running<'a> {
    pub(super) facts: &'a Facts<'a>,
    pub(super) workload: &'a Workload,
    pub(super) observed: &'a Observed,
    pub(super) since: Timestamp,
    pub(super) readiness: &'a Readiness,
}

impl Running<'_> {
    /// Leaves the server as it is, or acts on its readiness.
    pub(super) fn keep(&self, memory: &mut Memory) -> Outcome {
        let is_ready = matches!(self.readiness, Readiness::Ready { .. });
        if is_ready {
            // It is what is declared, and it is ready.
            memory.rejected = None;
        }
        let outcome = self.act_on_readiness(memory);
        if is_ready && matches!(outcome.action, Action::Wait | Action::Commit) && !trial::is_under_way(memory) {
            memory.image.clone_from(&self.observed.image);
        }
        outcome
    }

    /// Keeps the former server while an upgrade is held up. What needs no other server is applied.
    pub(super) fn keep_meanwhile(&self, memory: &mut Memory, hold: Hold) -> Outcome {
        let meanwhile = self.observed.changes_in_place();
        let outcome = match hold.action {
            Action::Wait if !meanwhile.is_empty() => self.apply(meanwhile),
            Action::Wait => self.act_on_readiness(memory),
            action => Outcome::act(action, self.phase()),
        };
        let phase = match outcome.phase {
            Phase::Ready { version } => Phase::Upgrading {
                version,
                is_former: true,
                reason: hold.reason,
                message: hold.message,
                needs_a_person: hold.needs_a_person,
            },
            phase => phase,
        };
        let requeue_after = match outcome.action {
            Action::Wait => [outcome.requeue_after, hold.interval].into_iter().flatten().min(),
            _ => None,
        };
        Outcome { phase, requeue_after, ..outcome }
    }

    /// Returns whether the server serves nobody and cannot be expected to.
    pub(super) fn is_down(&self, memory: &Memory) -> bool {
        let fails = match self.readiness {
            Readiness::Waiting(fault) => fault.cause.is_failure() || self.start_period_left().is_zero(),
            _ => false,
        };
        fails || memory.failures >= CRASH_LOOP
    }

    /// Keeps the server that was restored by a rollback. It is supervised like any other; the phase
    /// tells that it is not what is declared.
    pub(super) fn keep_retained(&self, memory: &mut Memory, cause: &str) -> Outcome {
        let auxiliary = self.observed.auxiliary_changes();
        if !auxiliary.is_empty() {
            return Outcome::act(Action::Update(auxiliary), rolled_back(cause));
        }
        let outcome = self.act_on_readiness(memory);
        match outcome.action {
            Action::Wait => Outcome { phase: rolled_back(cause), ..outcome },
            _ => outcome,
        }
    }

    /// Applies changes that need no other server.
    pub(super) fn apply(&self, changes: Vec<Change>) -> Outcome {
        Outcome::act(Action::Update(changes), self.phase())
    }

    /// Returns the phase of the server as it is.
    fn phase(&self) -> Phase {
        match self.readiness {
            Readiness::Ready { version } => Phase::Ready { version: version.clone() },
            Readiness::Waiting(fault) => waiting_phase(fault, self.start_period_left()),
            Readiness::Starting { .. } | Readiness::Failing { .. } => {
                Phase::progressing(Reason::Starting, NOT_READY_YET)
            }
        }
    }

    fn act_on_readiness(&self, memory: &mut Memory) -> Outcome {
        if let Some(outcome) = trial::judge(self, memory) {
            return outcome;
        }
        match self.readiness {
            Readiness::Ready { version } => self.ready(memory, version.as_ref()),
            Readiness::Starting { detail } => self.starting(memory, detail),
            Readiness::Waiting(fault) => self.waiting(memory, fault),
            Readiness::Failing { probes, detail } => self.failing(memory, *probes, detail),
        }
    }

    fn ready(&self, memory: &mut Memory, version: Option<&String>) -> Outcome {
        let phase = Phase::Ready { version: version.cloned() };
        if self.observed.retained.is_some() {
            return Outcome::act(Action::Commit, phase);
        }
        let ready_since = *memory.ready_since.get_or_insert(self.facts.now);
        let settles_in = SETTLED.saturating_sub(since(ready_since, self.facts.now));
        if settles_in.is_zero() {
            memory.failures = 0;
        }
        Outcome::wait(phase, (memory.failures > 0).then_some(settles_in))
    }

    fn starting(&self, memory: &mut Memory, detail: &str) -> Outcome {
        memory.ready_since = None;
        let replaced = self.is_undone_on_failure(memory);
        // The end of an image on trial was judged before.
        let ends_it = replaced && !trial::is_under_way(memory);
        if let Some(exit) = self.observed.last_exit.as_ref().filter(|_| ends_it) {
            // An engine that restarts it again and again gives it a new start period each time.
            return roll_back(self.workload, memory, exits::describe(exit));
        }
        let left = self.start_period_left();
        if left.is_zero() {
            let cause = format!("not ready {} after its start: {detail}", self.facts.instance.spec.health.start_period);
            return if replaced { roll_back(self.workload, memory, cause) } else { self.restart(memory, cause) };
        }
        let phase = match (memory.failures, &self.observed.last_exit) {
            (failures @ 1.., Some(exit)) => exits::phase_after(failures, Some(exit)),
            (0..CRASH_LOOP, _) => Phase::progressing(Reason::Starting, NOT_READY_YET),
            (failures, _) => {
                Phase::crash_loop(format!("restarted after {failures} failures in a row; it is not ready yet"))
            }
        };
        Outcome::wait(phase, left)
    }

    fn waiting(&self, memory: &mut Memory, fault: &Fault) -> Outcome {
        memory.ready_since = None;
        let left = self.start_period_left();
        if !self.is_undone_on_failure(memory) {
            let requeue_after = match fault.cause {
                Cause::Starting | Cause::Restarting => Some(STARTING_INTERVAL.max(since(self.since, self.facts.now))),
                // No watch event marks the end of the start period.
                Cause::Unhealthy | Cause::NoEndpoints if !left.is_zero() => Some(left),
                _ => None,
            };
            return Outcome::wait(waiting_phase(fault, left), requeue_after);
        }
        if fault.cause.is_failure() {
            return roll_back(self.workload, memory, fault.detail.clone());
        }
        if left.is_zero() {
            let period = &self.facts.instance.spec.health.start_period;
            let cause = format!("not ready {period} after it was declared: {}", fault.detail);
            return roll_back(self.workload, memory, cause);
        }
        Outcome::wait(waiting_phase(fault, left), left)
    }

    fn failing(&self, memory: &mut Memory, probes: u32, detail: &str) -> Outcome {
        let retries = self.facts.instance.spec.health.retries;
        if i64::from(probes) < i64::from(retries) {
            if trial::is_under_way(memory) {
                memory.ready_since = None;
            }
            return Outcome::wait(Phase::ProbeFailing { detail: detail.to_owned() }, None);
        }
        self.restart(memory, format!("{retries} probes in a row failed: {detail}"))
    }

    /// Stops it, as a failure; it is started again with back-off.
    fn restart(&self, memory: &mut Memory, cause: String) -> Outcome {
        memory.failures = memory.failures.saturating_add(1);
        memory.counted_exit = Some(self.facts.now);
        memory.ready_since = None;
        let phase = Phase::progressing(Reason::Unhealthy, format!("{cause}; the server is being restarted"));
        Outcome::stop(cause, phase)
    }

    pub(super) fn start_period_left(&self) -> Duration {
        self.facts.instance.spec.health.start_period().saturating_sub(since(self.since, self.facts.now))
    }
}

/// Returns the phase while the platform keeps trying by itself: progress where it may succeed
/// alone, stalled where a person has to act. A server may be silent while some of its start period
/// is left.
fn waiting_phase(fault: &Fault, start_period_left: Duration) -> Phase {
    let reason = status::reason_of(fault.cause);
    match fault.cause {
        // The cluster adds the endpoint a moment after the pod is ready.
        Cause::Unhealthy | Cause::NoEndpoints if !start_period_left.is_zero() => {
            Phase::progressing(Reason::Starting, NOT_READY_YET)
        }
        Cause::Starting | Cause::Restarting | Cause::Unhealthy => Phase::progressing(reason, fault.detail.clone()),
        Cause::CrashLoop => Phase::crash_loop(fault.detail.clone()),
        _ => Phase::Stalled { reason, message: fault.detail.clone() },
    }
}
