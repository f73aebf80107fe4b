//! The brain: what to do next for one instance. A function; it does no I/O and never reads the clock.

use std::time::Duration;

use jiff::Timestamp;
use mai_contract::ExitCode;

use super::backoff::restart_delay;
use super::status::{self, Picture};
use super::{Blocked, Decision, Facts, Memory, Step};
use crate::api::{DeletionPolicy, MaiInstance, PAUSED, Reason, Rejected, SKIP_TEARDOWN};
use crate::runtime::{Cause, Change, Drift, Exit, Ground, Observed, Presence, Readiness, Trouble, Workload};

/// A server that has been ready for this long has left its earlier failures behind.
const SETTLED: Duration = Duration::from_secs(60);
/// From this many failures in a row on it is called a crash loop.
const CRASH_LOOP: u32 = 3;
/// How often it is looked whether what blocks an instance is gone.
const BLOCKED_AGAIN: Duration = Duration::from_secs(3);
/// The same in a cluster, where a thousand may be blocked at once and each look is a request.
const BLOCKED_AGAIN_IN_A_CLUSTER: Duration = Duration::from_secs(15);
/// How soon it is looked whether what starts by itself is still on its way. After that as late again as it has taken so far: where a thousand
/// wait for the controllers of their cluster, looking at all of them would keep those waiting too.
const STARTING_AGAIN: Duration = Duration::from_secs(20);
/// A deleted instance of a cluster is let go after this long, whatever still stands in the way: the cluster collects what it owned.
const TEARDOWN: Duration = Duration::from_secs(600);
/// How often it is looked whether nobody works on the data of an instance any more.
const HELD_AGAIN: Duration = Duration::from_millis(500);
/// What is said of a server within its start period.
const NOT_READY_YET: &str = "the server was started and is not ready yet";
/// How often something that is about to end is looked at.
const ENDING_AGAIN: Duration = Duration::from_millis(200);

/// Decides the next step, the status and what to remember.
pub fn decide(facts: &Facts<'_>) -> Decision {
    let mut memory = facts.memory.clone();
    let verdict = match facts.observed {
        _ if abandoned(facts) => Verdict::new(
            Step::Release,
            Picture::working(Reason::Deleting, "let go without waiting for its teardown"),
            None,
        ),
        _ if annotated(facts.instance, PAUSED) && facts.instance.metadata.deletion_timestamp.is_none() => {
            Verdict::wait(Picture::Paused, None)
        }
        Err(problem) => Verdict::unknown(problem),
        Ok(Observed { held: Some(holder), last_exit, .. }) => {
            // It was told to end: that is no failure, now or later.
            memory.counted_exit = memory.counted_exit.max(last_exit.as_ref().map(|exit| exit.at));
            let message = format!("{holder} works on its data; the server is left alone until that has ended");
            Verdict::wait(Picture::working(Reason::Held, message), HELD_AGAIN)
        }
        Ok(observed) => {
            count_exit(&mut memory, observed, facts.now);
            if facts.instance.metadata.deletion_timestamp.is_some() {
                deleting(facts, observed)
            } else if facts.instance.spec.suspend {
                suspended(observed)
            } else {
                match facts.desired {
                    Err(blocked) => blocked_by(facts, blocked, observed),
                    Ok(workload) => converge(facts, workload, observed, &mut memory),
                }
            }
        }
    };
    let status = status::render(facts, &verdict.picture, &memory);
    Decision { step: verdict.step, status, memory, wake: verdict.wake }
}

struct Verdict {
    step: Step,
    picture: Picture,
    wake: Option<Duration>,
}

impl Verdict {
    fn new(step: Step, picture: Picture, wake: Option<Duration>) -> Self {
        Self { step, picture, wake }
    }

    fn wait(picture: Picture, wake: impl Into<Option<Duration>>) -> Self {
        Self::new(Step::Wait, picture, wake.into())
    }

    fn stop(why: impl Into<String>, picture: Picture) -> Self {
        Self::new(Step::Stop(why.into()), picture, None)
    }

    fn unknown(problem: &str) -> Self {
        Self::wait(Picture::Unknown { message: problem.to_owned() }, BLOCKED_AGAIN)
    }
}

/// A server that runs, and what is decided of it from.
struct Running<'a> {
    facts: &'a Facts<'a>,
    workload: &'a Workload,
    observed: &'a Observed,
    since: Timestamp,
    readiness: &'a Readiness,
}

impl Running<'_> {
    /// What is left of its start period.
    fn patience(&self) -> Duration {
        self.facts.instance.spec.health.start_period().saturating_sub(since(self.since, self.facts.now))
    }
}

/// A run that ended without being asked to counts once, whoever sees it and however often. A clock that was set back does not
/// hide later ends behind an earlier one.
fn count_exit(memory: &mut Memory, observed: &Observed, now: Timestamp) {
    let Some(exit) = &observed.last_exit else { return };
    if memory.counted_exit.is_none_or(|counted| exit.at > counted || (counted > now && exit.at != counted)) {
        memory.counted_exit = Some(exit.at);
        memory.failures = memory.failures.saturating_add(1);
        memory.ready_since = None;
    }
}

/// Whether a deleted instance is not to be torn down any further.
fn abandoned(facts: &Facts<'_>) -> bool {
    facts.ground == Ground::Cluster
        && facts
            .instance
            .metadata
            .deletion_timestamp
            .as_ref()
            .is_some_and(|deleted| annotated(facts.instance, SKIP_TEARDOWN) || since(deleted.0, facts.now) > TEARDOWN)
}

fn annotated(instance: &MaiInstance, annotation: &str) -> bool {
    instance.metadata.annotations.as_ref().and_then(|all| all.get(annotation)).is_some_and(|value| value == "true")
}

fn deleting(facts: &Facts<'_>, observed: &Observed) -> Verdict {
    let picture = Picture::working(Reason::Deleting, "the document was removed; the server is being stopped");
    match &observed.presence {
        Presence::Running { .. } => Verdict::stop("the document was removed", picture),
        Presence::Stopping => Verdict::wait(picture, ENDING_AGAIN),
        Presence::Absent | Presence::Stopped { .. } if !facts.memory.removed => {
            Verdict::new(Step::Remove, picture, None)
        }
        Presence::Absent
            if facts.instance.spec.deletion_policy == DeletionPolicy::Delete && !facts.memory.data_removed =>
        {
            Verdict::new(Step::RemoveData, picture, None)
        }
        Presence::Absent | Presence::Stopped { .. } => Verdict::new(Step::Release, picture, None),
    }
}

fn suspended(observed: &Observed) -> Verdict {
    match &observed.presence {
        Presence::Running { .. } => Verdict::stop(
            "spec.suspend is true",
            Picture::working(Reason::Stopping, "spec.suspend is true; the server is being stopped"),
        ),
        Presence::Stopping => {
            Verdict::wait(Picture::working(Reason::Stopping, "the server is being stopped"), ENDING_AGAIN)
        }
        _ if observed.beside.is_empty() => Verdict::wait(Picture::Suspended, None),
        Presence::Absent | Presence::Stopped { .. } => {
            Verdict::new(Step::Update(observed.beside.clone()), Picture::Suspended, None)
        }
    }
}

fn blocked_by(facts: &Facts<'_>, blocked: &Blocked, observed: &Observed) -> Verdict {
    let again = match facts.ground {
        Ground::Server => BLOCKED_AGAIN,
        Ground::Cluster => BLOCKED_AGAIN_IN_A_CLUSTER,
    };
    let message = match observed.presence {
        Presence::Running { .. } => format!("{}; the server goes on with what was declared before", blocked.message),
        _ => blocked.message.clone(),
    };
    Verdict::wait(Picture::Stalled { reason: blocked.reason, message }, again)
}

fn converge(facts: &Facts<'_>, workload: &Workload, observed: &Observed, memory: &mut Memory) -> Verdict {
    match &observed.presence {
        Presence::Stopping => {
            Verdict::wait(Picture::working(Reason::Stopping, "the former server is ending"), ENDING_AGAIN)
        }
        Presence::Absent | Presence::Stopped { .. } => start(facts, workload, observed, memory),
        Presence::Running { drift, since, readiness } => {
            let running = Running { facts, workload, observed, since: *since, readiness };
            match (drift, rejected(workload, memory)) {
                (Drift::Replace(changes), None) => replace(workload, observed, changes),
                (Drift::InPlace(changes), _) => update(&running, changes, None),
                (Drift::Replace(_), why @ Some(_)) if !observed.beside.is_empty() => update(&running, &[], why),
                (Drift::None, _) if !observed.beside.is_empty() => update(&running, &[], None),
                (Drift::Replace(_), Some(_)) => keep_former(&running, memory),
                (Drift::None, _) => keep(&running, memory),
            }
        }
    }
}

/// Why this very workload was rolled back, if it was.
fn rejected<'a>(workload: &Workload, memory: &'a Memory) -> Option<&'a str> {
    memory
        .rejected
        .as_ref()
        .filter(|rejected| rejected.hash == workload.attempt())
        .map(|rejected| rejected.why.as_str())
}

fn port_taken(workload: &Workload, holder: &str) -> Picture {
    Picture::Stalled {
        reason: Reason::PortTaken,
        message: format!(
            "port {} is taken by {holder}; stop that program or declare another expose.port",
            workload.listen.port()
        ),
    }
}

fn prepare(missing: &str) -> Verdict {
    Verdict::new(
        Step::Prepare(missing.to_owned()),
        Picture::working(Reason::Preparing, format!("getting {missing}")),
        None,
    )
}

fn start(facts: &Facts<'_>, workload: &Workload, observed: &Observed, memory: &mut Memory) -> Verdict {
    if observed.former.is_some() {
        // Either it has just ended, or its rollback was interrupted.
        let why = observed.last_exit.as_ref().map(describe);
        if let Some(why) = rejected(workload, memory).map(str::to_owned).or(why) {
            return roll_back(workload, memory, why);
        }
    }
    let step = match &observed.presence {
        Presence::Stopped { drift: Drift::Replace(changes) } if rejected(workload, memory).is_none() => {
            Step::Replace([changes, observed.beside.as_slice()].concat())
        }
        Presence::Stopped { .. } => Step::Resume,
        _ => Step::Start,
    };
    if let Some(missing) = observed.missing.as_ref().filter(|_| step != Step::Resume) {
        return prepare(missing);
    }
    if let Some(holder) = &observed.port_holder {
        return Verdict::wait(port_taken(workload, holder), BLOCKED_AGAIN);
    }
    let failed = memory.counted_exit.filter(|_| memory.failures > 0);
    let wait =
        failed.map_or(Duration::ZERO, |ended| restart_delay(memory.failures).saturating_sub(since(ended, facts.now)));
    if !wait.is_zero() {
        return Verdict::wait(after_exit(memory.failures, observed.last_exit.as_ref()), wait);
    }
    let picture = match observed.last_exit.as_ref().filter(|_| failed.is_some()) {
        Some(exit) => Picture::working(Reason::Restarting, describe(exit)),
        None => Picture::working(Reason::Starting, "the server is being started"),
    };
    Verdict::new(step, picture, None)
}

/// Nothing is stopped for a workload that could not take its place.
fn replace(workload: &Workload, observed: &Observed, changes: &[Change]) -> Verdict {
    if let Some(missing) = &observed.missing {
        return prepare(missing);
    }
    match &observed.port_holder {
        Some(holder) => Verdict::wait(port_taken(workload, holder), BLOCKED_AGAIN),
        None => Verdict::new(
            Step::Replace([changes, &observed.beside].concat()),
            Picture::working(Reason::Replacing, "the server is being replaced by what is declared now"),
            None,
        ),
    }
}

/// `put_back` is why the server was put back, where it was: it goes on as it is, and what is beside it is put right.
fn update(running: &Running<'_>, changes: &[Change], put_back: Option<&str>) -> Verdict {
    let picture = match (put_back, running.readiness) {
        (Some(why), _) => rolled_back(why),
        (None, Readiness::Ready { version }) => Picture::Ready { version: version.clone() },
        (None, Readiness::Waiting(trouble)) => waiting(trouble, running.patience()),
        _ => Picture::working(Reason::Starting, NOT_READY_YET),
    };
    Verdict::new(Step::Update([changes, &running.observed.beside].concat()), picture, None)
}

fn roll_back(workload: &Workload, memory: &mut Memory, why: String) -> Verdict {
    memory.rejected = Some(Rejected { hash: workload.attempt(), why: why.clone() });
    memory.ready_since = None;
    let picture = rolled_back(&why);
    Verdict::new(Step::RollBack(why), picture, None)
}

/// The workload that was put back is looked after like any other; what is shown is that it is not what is declared.
fn keep_former(running: &Running<'_>, memory: &mut Memory) -> Verdict {
    let standing = memory.rejected.clone();
    let mut verdict = keep(running, memory);
    if let (Step::Wait, Some(rejected)) = (&verdict.step, &standing) {
        verdict.picture = rolled_back(&rejected.why);
    }
    memory.rejected = standing;
    verdict
}

fn rolled_back(why: &str) -> Picture {
    Picture::Stalled {
        reason: Reason::RolledBack,
        message: format!(
            "what is declared did not become ready ({why}); the server goes on with what was declared before; change the document to try again"
        ),
    }
}

fn keep(running: &Running<'_>, memory: &mut Memory) -> Verdict {
    let Running { facts, workload, observed, readiness, .. } = *running;
    match readiness {
        Readiness::Ready { version } => {
            memory.rejected = None;
            if observed.former.is_some() {
                return Verdict::new(Step::Commit, Picture::Ready { version: version.clone() }, None);
            }
            let ready_since = *memory.ready_since.get_or_insert(facts.now);
            let settles_in = SETTLED.saturating_sub(since(ready_since, facts.now));
            if settles_in.is_zero() {
                memory.failures = 0;
            }
            let wake = (memory.failures > 0).then_some(settles_in);
            Verdict::wait(Picture::Ready { version: version.clone() }, wake)
        }
        Readiness::Starting { detail } => {
            memory.ready_since = None;
            if let (Some(_), Some(exit)) = (&observed.former, &observed.last_exit) {
                // An engine that starts it again and again gives it a new start period each time.
                return roll_back(workload, memory, describe(exit));
            }
            let left = running.patience();
            if left.is_zero() {
                let why = format!("not ready {} after its start: {detail}", facts.instance.spec.health.start_period);
                return if observed.former.is_some() {
                    roll_back(workload, memory, why)
                } else {
                    unhealthy(facts, memory, why)
                };
            }
            let picture = match (memory.failures, &observed.last_exit) {
                (failures @ 1.., Some(exit)) => after_exit(failures, Some(exit)),
                (0..CRASH_LOOP, _) => Picture::working(Reason::Starting, NOT_READY_YET),
                (failures, _) => {
                    Picture::crash_loop(format!("restarted after {failures} failures in a row; it is not ready yet"))
                }
            };
            Verdict::wait(picture, left)
        }
        Readiness::Waiting(trouble) => {
            memory.ready_since = None;
            let left = running.patience();
            if observed.former.is_none() {
                let again = match trouble.cause {
                    Cause::Starting => Some(STARTING_AGAIN.max(since(running.since, facts.now))),
                    // The cluster does not tell when its start period is over.
                    Cause::Unhealthy if !left.is_zero() => Some(left),
                    _ => None,
                };
                return Verdict::wait(waiting(trouble, left), again);
            }
            if trouble.cause.is_failure() {
                return roll_back(workload, memory, trouble.detail.clone());
            }
            if left.is_zero() {
                let period = &facts.instance.spec.health.start_period;
                let why = format!("not ready {period} after it was declared: {}", trouble.detail);
                return roll_back(workload, memory, why);
            }
            Verdict::wait(waiting(trouble, left), left)
        }
        Readiness::Failing { probes, detail }
            if i64::from(*probes) >= i64::from(facts.instance.spec.health.retries) =>
        {
            unhealthy(facts, memory, format!("{} probes in a row failed: {detail}", facts.instance.spec.health.retries))
        }
        Readiness::Failing { detail, .. } => Verdict::wait(Picture::Doubtful { detail: detail.clone() }, None),
    }
}

/// What people are shown while the cluster tries by itself: what it may get over alone is work, the rest wants a person. A server need
/// not answer while some time of its start period is left.
fn waiting(trouble: &Trouble, left: Duration) -> Picture {
    let reason = status::reason(trouble.cause);
    match trouble.cause {
        Cause::Unhealthy if !left.is_zero() => Picture::working(Reason::Starting, NOT_READY_YET),
        Cause::Starting | Cause::Unhealthy => Picture::working(reason, trouble.detail.clone()),
        Cause::CrashLoop => Picture::crash_loop(trouble.detail.clone()),
        _ => Picture::Stalled { reason, message: trouble.detail.clone() },
    }
}

fn unhealthy(facts: &Facts<'_>, memory: &mut Memory, message: String) -> Verdict {
    memory.failures = memory.failures.saturating_add(1);
    memory.counted_exit = Some(facts.now);
    memory.ready_since = None;
    let picture = Picture::working(Reason::Unhealthy, format!("{message}; the server is being restarted"));
    Verdict::stop(message, picture)
}

fn after_exit(failures: u32, exit: Option<&Exit>) -> Picture {
    let how = exit.map_or_else(|| "the server did not become ready".to_owned(), describe);
    let reason = match exit.and_then(|exit| exit.code).and_then(ExitCode::from_code) {
        Some(ExitCode::DataNotWritable) => Reason::DataNotWritable,
        Some(ExitCode::DataInUse) => Reason::DataInUse,
        Some(ExitCode::PortTaken) => Reason::PortTaken,
        _ if failures >= CRASH_LOOP => return Picture::crash_loop(format!("{failures} failures in a row; {how}")),
        _ => return Picture::working(Reason::Restarting, how),
    };
    Picture::Stalled { reason, message: how }
}

fn describe(exit: &Exit) -> String {
    let known = exit.code.and_then(ExitCode::from_code);
    let cause = match (known, exit.code, exit.signal) {
        (Some(ExitCode::Configuration), ..) => "the server refused its configuration (exit code 2)".to_owned(),
        (Some(ExitCode::DataNotWritable), ..) => {
            "the data directory cannot be written (exit code 73); make it writable for the user that the server runs as"
                .to_owned()
        }
        (Some(ExitCode::DataInUse), ..) => {
            "the data directory is in use by another server (exit code 75); stop that one".to_owned()
        }
        (Some(ExitCode::PortTaken), ..) => {
            "the port was taken by another program (exit code 98); stop that one or declare another expose.port"
                .to_owned()
        }
        (Some(ExitCode::Failure) | None, Some(code), _) => format!("the server ended with exit code {code}"),
        (None | Some(ExitCode::Failure), None, Some(signal)) => format!("the server was ended by signal {signal}"),
        (None | Some(ExitCode::Failure), None, None) => "the server ended".to_owned(),
    };
    match exit.log_tail.last() {
        Some(line) => format!("{cause}; its last line was: {line}"),
        None => cause,
    }
}

fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
