//! Drills: which one is started, when one is over, and when the next is due. They come after
//! backups.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use mai_contract::job::{BACKUPS_VOLUME, BackupId, Outcome as JobOutcome};

use super::jobs::{GONE, QUEUE_INTERVAL, RUNNING_INTERVAL, Step, Turn, ended, failed, time_to_appear, turn};
use crate::api::{BackupStatus, DRILL_REQUESTED, DrillStatus, LastDrill, MaiInstance};
use crate::core::{Action, DrillChoice, JobRequest, JobState, JobWork, ObservedJob};
use crate::reconcile::Facts;
use crate::reconcile::drills::{needs_identity, record_end};
use crate::reconcile::schedule::due;

/// Delay before a drill that failed is made again.
const RETRY_DELAY: SignedDuration = SignedDuration::from_hours(24);
/// Most times that it is made again before the next is due.
const MOST_RETRIES: i32 = 3;
/// Most characters of a value of the annotation that are remembered.
const LONGEST_REQUEST: usize = 64;

/// Returns whether the job of this name is the newest drill.
pub(super) fn is_drill(backup: &BackupStatus, name: &str) -> bool {
    newest(backup).is_some_and(|last| last.id == name)
}

/// Returns whether a drill was started that is not shown, and may yet be.
pub(super) fn is_awaited(backup: &BackupStatus, now: Timestamp) -> bool {
    running(backup).is_some_and(|last| time_to_appear(last.started_at, now).is_some())
}

/// Returns the drill that was started and has not ended.
pub(super) fn running(backup: &BackupStatus) -> Option<&LastDrill> {
    newest(backup).filter(|last| last.ended_at.is_none())
}

fn newest(backup: &BackupStatus) -> Option<&LastDrill> {
    backup.drill.as_ref()?.last.as_ref()
}

/// Follows the job of a drill.
pub(super) fn follow(backup: &mut BackupStatus, job: &ObservedJob, now: Timestamp) -> Step {
    if matches!(job.state, JobState::Running { .. }) && !is_drill(backup, &job.name) {
        backup.drill.get_or_insert_default().last = Some(LastDrill::started(&job.name, now, ""));
    }
    let started = newest(backup).map_or(now, |last| last.started_at);
    match ended(job, started, now) {
        Some(outcome) => end(backup, &job.name, &outcome, now),
        None => Step::Wait(Some(RUNNING_INTERVAL)),
    }
}

/// Waits for a job that was started and is not there, for a while.
pub(super) fn await_started(backup: &mut BackupStatus, now: Timestamp) -> Option<Step> {
    let last = running(backup)?.clone();
    if let Some(left) = time_to_appear(last.started_at, now) {
        return Some(Step::Wait(Some(left)));
    }
    Some(end(backup, &last.id, &failed(GONE), now))
}

/// Starts the drill that was asked for.
pub(super) fn answer(facts: &Facts<'_>, backup: &mut BackupStatus, request: &JobRequest, now: Timestamp) -> Step {
    // It has been answered, or cannot be.
    if is_drill(backup, &request.name) || request.name.parse::<BackupId>().is_err() {
        return Step::Act(Action::RemoveJob(request.name.clone()));
    }
    start(facts, backup, Some(now), request.clone(), now)
}

/// Starts the drill that an annotation of the document asks for. The first verified backup is waited
/// for.
pub(super) fn follow_annotation(facts: &Facts<'_>, backup: &mut BackupStatus, now: Timestamp) -> Option<Step> {
    let value = facts.instance.annotations().get(DRILL_REQUESTED);
    let wanted: Option<String> = value.map(|value| value.chars().take(LONGEST_REQUEST).collect());
    if wanted == backup.drill.as_ref().and_then(|drills| drills.handled_request.clone()) {
        return None;
    }
    if wanted.is_some() {
        backup.last_verified?;
        let reason = format!("requested by the annotation {DRILL_REQUESTED}");
        let step = start(facts, backup, Some(now), new_request(facts, reason, now), now);
        if matches!(step, Step::Act(_)) {
            backup.drill.get_or_insert_default().handled_request = wanted;
        }
        return Some(step);
    }
    backup.drill.get_or_insert_default().handled_request = None;
    None
}

/// Starts the next drill, if one is due.
pub(super) fn follow_schedule(facts: &Facts<'_>, backup: &mut BackupStatus, now: Timestamp) -> Step {
    let schedule = facts.drill_schedule().and_then(Result::ok).filter(|_| !needs_identity(facts.instance));
    let (Some(schedule), Some(_)) = (schedule, backup.last_verified) else {
        if let Some(drills) = &mut backup.drill {
            drills.next = None;
        }
        return Step::Wait(None);
    };
    let drills = backup.drill.get_or_insert_default();
    // They count from the first verified backup.
    let since_then = *drills.last_due.get_or_insert(now);
    let due = due(&schedule, since_then, Some(since_then), now);
    drills.last_due = due.corrected.or(drills.last_due);
    let (next, turn) = turn(&due, retry_at(drills), drills.failures, now);
    drills.next = next;
    let reason = match turn {
        Turn::Start(reason) => reason,
        Turn::Wait(interval) => return Step::Wait(interval),
    };
    let handled = due.now.or(drills.last_due);
    let step = start(facts, backup, handled, new_request(facts, reason, now), now);
    if let (Step::Act(_), Some(drills)) = (&step, &mut backup.drill) {
        drills.next = due.next;
    }
    step
}

/// Returns the request for a drill that nobody has given a name.
fn new_request(facts: &Facts<'_>, reason: String, now: Timestamp) -> JobRequest {
    JobRequest { name: BackupId::new(now, facts.random).to_string(), reason, work: JobWork::Drill(None) }
}

/// Starts a job if a place is free, and chooses its backup. `handled` is remembered with it unless a
/// later time is.
fn start(
    facts: &Facts<'_>,
    backup: &mut BackupStatus,
    handled: Option<Timestamp>,
    request: JobRequest,
    now: Timestamp,
) -> Step {
    if facts.jobs_running >= facts.platform.concurrent_jobs {
        return Step::Wait(Some(QUEUE_INTERVAL));
    }
    let work = JobWork::Drill(choose(facts.instance, backup, facts.random));
    let drills = backup.drill.get_or_insert_default();
    drills.last_due = drills.last_due.max(handled);
    drills.last = Some(LastDrill::started(&request.name, now, &request.reason));
    Step::Act(Action::StartJob(JobRequest { work, ..request }))
}

/// Remembers the end of a drill once, and removes its job.
fn end(backup: &mut BackupStatus, name: &str, outcome: &JobOutcome, now: Timestamp) -> Step {
    let drills = backup.drill.get_or_insert_default();
    record_end(drills, name, outcome, now);
    // People are told of the failure together with the next attempt.
    drills.next = drills.next.map(|due| retry_at(drills).map_or(due, |retry| due.min(retry)));
    Step::Act(Action::RemoveJob(name.to_owned()))
}

/// Returns when a drill that failed is made again.
fn retry_at(drills: &DrillStatus) -> Option<Timestamp> {
    let ended = drills.last.as_ref().filter(|_| (1..=MOST_RETRIES).contains(&drills.failures))?.ended_at?;
    ended.checked_add(RETRY_DELAY).ok()
}

/// Returns a random destination with a verified backup, of those that are still declared.
fn choose(instance: &MaiInstance, backup: &BackupStatus, random: u32) -> Option<DrillChoice> {
    let declared = instance.spec.backup.iter().flat_map(|backup| &backup.destinations);
    let names: Vec<&str> = declared.map(|destination| destination.name.as_str()).chain([BACKUPS_VOLUME]).collect();
    let with_one = backup.destinations.iter().filter(|destination| destination.last_verified.is_some());
    let with_one: Vec<&str> =
        with_one.map(|destination| destination.name.as_str()).filter(|name| names.contains(name)).collect();
    let count = u32::try_from(with_one.len()).ok()?;
    let index = usize::try_from(random.checked_rem(count)?).ok()?;
    Some(DrillChoice { destination: (*with_one.get(index)?).to_owned(), number: random / count })
}
