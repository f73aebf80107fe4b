//! The report of a backup in the status, the condition `BackupHealthy`, and the events.

use jiff::Timestamp;
use mai_contract::job::{BACKUPS_VOLUME, BackupReport, DestinationReport, OTHER_WORK, Outcome, StoreResult};

use super::schedule::{overdue_at, whole_second};
use super::{Facts, drills};
use crate::api::{
    BackupResult, BackupStatus, ConditionKind, DestinationResult, DestinationStatus, LastBackup, MaiInstanceStatus,
    Reason,
};
use crate::core::EventKind;

/// Message while all is well.
const CHECKED: &str = "the newest backup was read back from each destination and checked";
/// Message while there is none but a safety backup.
const CHECKED_BEFORE_CHANGE: &str =
    "the newest backup was read back and checked; it was made before a change of the data";
/// Message while another is made than the one whose content nobody could check.
const INTACT: &str = "the newest backup was read back from each destination and is what was stored; its content was not checked, since no identity is declared";
/// Longest message in a status.
const MESSAGE: usize = 1000;

/// Value of a condition about backups.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) holds: Option<bool>,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Values of the conditions about backups, of those that are declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Verdicts {
    pub(super) backups: Option<Verdict>,
    pub(super) drills: Option<Verdict>,
}

impl Verdicts {
    /// Returns what the conditions say. `is_queued` says that a backup waits for the jobs of other
    /// instances.
    pub(super) fn new(facts: &Facts<'_>, backup: &BackupStatus, is_queued: bool) -> Self {
        Self { backups: verdict(facts, backup, is_queued), drills: drills::verdict(facts, backup) }
    }

    /// Returns each condition with its value.
    pub(super) fn conditions(&self) -> [(ConditionKind, Option<&Verdict>); 2] {
        [(ConditionKind::BackupHealthy, self.backups.as_ref()), (ConditionKind::RestoreVerified, self.drills.as_ref())]
    }
}

/// An event about backups or upgrades.
pub(super) struct BackupEvent {
    pub(super) kind: EventKind,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl LastBackup {
    /// Makes that of a backup which starts.
    pub(super) fn started(id: &str, started_at: Timestamp) -> Self {
        Self { id: id.to_owned(), started_at, ended_at: None, result: BackupResult::Running, message: String::new() }
    }
}

/// Records the end of a backup. Does nothing when it is recorded already.
pub(super) fn record_end(backup: &mut BackupStatus, id: &str, outcome: &Outcome, now: Timestamp) {
    let known = backup.last.take().filter(|last| last.id == id);
    let mut last = known.unwrap_or_else(|| LastBackup::started(id, taken_at(outcome).unwrap_or(now)));
    if last.ended_at.is_none() {
        last.ended_at = Some(now);
        let (result, message) = match outcome {
            Outcome::Failed { message } => (BackupResult::Failed, message.clone()),
            Outcome::Backup(report) => record_report(backup, report, &last, now),
            Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) => {
                (BackupResult::Failed, OTHER_WORK.to_owned())
            }
        };
        last.result = result;
        last.message = shortened(message);
        let incomplete = backup.destinations.iter().any(|one| one.result == DestinationResult::Failed);
        let failed = result == BackupResult::Failed || (result == BackupResult::Unverified && incomplete);
        backup.failures = if failed { backup.failures.saturating_add(1) } else { 0 };
    }
    backup.last = Some(last);
}

/// Records a verified backup that was made before an upgrade or a restore, which is in the backups
/// volume like others.
pub(super) fn record_safety_backup(backup: &mut BackupStatus, report: &BackupReport, now: Timestamp) {
    let Some(stored) = report.destinations.iter().find(|one| one.name == BACKUPS_VOLUME) else { return };
    let taken_at = whole_second(report.taken_at).min(now);
    backup.last_verified = past(backup.last_verified, now).max(Some(taken_at));
    let known = backup.destinations.iter().position(|one| one.name == stored.name);
    let stored = destination(stored, known.map(|index| &backup.destinations[index]), taken_at);
    match known {
        Some(index) => backup.destinations[index] = stored,
        None => backup.destinations.push(stored),
    }
}

fn taken_at(outcome: &Outcome) -> Option<Timestamp> {
    match outcome {
        Outcome::Backup(report) => Some(whole_second(report.taken_at)),
        Outcome::Failed { .. } | Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) => {
            None
        }
    }
}

/// Records an archive that was made, and returns its result and the problems of it.
fn record_report(
    backup: &mut BackupStatus,
    report: &BackupReport,
    last: &LastBackup,
    now: Timestamp,
) -> (BackupResult, String) {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let taken_at = whole_second(report.taken_at);
    let former = std::mem::take(&mut backup.destinations);
    backup.destinations = report
        .destinations
        .iter()
        .map(|one| destination(one, former.iter().find(|known| known.name == one.name), taken_at))
        .collect();
    let is = |wanted| move |one: &DestinationStatus| one.result == wanted;
    if backup.destinations.iter().all(is(DestinationResult::Failed)) {
        return (BackupResult::Failed, problems(&backup.destinations).join("; "));
    }

    let mut remarks = Vec::new();
    if let Some(before) = backup.data_bytes.filter(|before| has_shrunk(*before, count(report.data_bytes))) {
        let now = report.data_bytes;
        remarks.push(format!("it has less than half the data of the one before: {now} bytes, {before} before"));
    }
    backup.bytes = Some(count(report.archive_bytes));
    backup.data_bytes = Some(count(report.data_bytes));
    backup.seconds = Some(now.duration_since(last.started_at).as_secs().max(0));
    if backup.destinations.iter().any(is(DestinationResult::Verified)) {
        let former = past(backup.last_verified, now);
        backup.last_verified = former.max(Some(taken_at.min(now)));
    }
    let mut results = report.destinations.iter().map(|one| &one.result);
    let result = if results.clone().all(|one| *one == StoreResult::Verified) {
        BackupResult::Verified
    } else if results.all(|one| matches!(one, StoreResult::Verified | StoreResult::Intact(_))) {
        BackupResult::Intact
    } else {
        BackupResult::Unverified
    };
    if result != BackupResult::Unverified {
        backup.last_success = Some(now);
    }
    let message = problems(&backup.destinations).into_iter().chain(remarks).chain(report.remarks.iter().cloned());
    (result, message.collect::<Vec<_>>().join("; "))
}

/// Returns a time that has passed. One ahead was recorded by a clock that was wrong; it would hide
/// for as long that backups are overdue.
fn past(time: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    time.filter(|time| *time <= now)
}

fn has_shrunk(before: i64, now: i64) -> bool {
    now < before / 2
}

fn destination(
    report: &DestinationReport,
    former: Option<&DestinationStatus>,
    taken_at: Timestamp,
) -> DestinationStatus {
    let newest = report.newest_verified.map(whole_second).or(former.and_then(|known| known.last_verified));
    let (result, last_verified, message) = match &report.result {
        StoreResult::Verified => (DestinationResult::Verified, newest.max(Some(taken_at)), None),
        StoreResult::Intact(how_far) | StoreResult::Stored(how_far) => {
            (DestinationResult::Stored, newest, Some(how_far.clone()))
        }
        StoreResult::Failed(problem) => (DestinationResult::Failed, newest, Some(problem.clone())),
    };
    let retention = report.retention_problem.as_ref().map(|problem| format!("old backups were not removed: {problem}"));
    let kept = match result {
        DestinationResult::Failed if report.kept == 0 => former.map_or(0, |known| known.kept),
        _ => i32::try_from(report.kept).unwrap_or(i32::MAX),
    };
    let message = shortened(message.into_iter().chain(retention).collect::<Vec<_>>().join("; "));
    DestinationStatus { name: report.name.clone(), last_verified, result, message, kept }
}

/// Returns the problem of each destination that has one.
fn problems(destinations: &[DestinationStatus]) -> Vec<String> {
    let with_problem = destinations.iter().filter(|one| !one.message.is_empty());
    with_problem.map(|one| format!("{}: {}", one.name, one.message)).collect()
}

/// Returns what the condition says of the backups; nothing where none are declared.
fn verdict(facts: &Facts<'_>, backup: &BackupStatus, is_queued: bool) -> Option<Verdict> {
    let schedule = match facts.schedule()? {
        Ok(schedule) => schedule,
        Err(error) => return Some(Verdict::bad(Reason::BackupBlocked, format!("spec.backup: {error}"))),
    };
    let previous = facts.previous.condition(ConditionKind::BackupHealthy);
    let previous_reason = facts.previous.reason(ConditionKind::BackupHealthy);
    // Nothing is tried while others are made, so what kept it from starting stands.
    if is_queued
        && previous_reason == Some(Reason::BackupBlocked)
        && let Some(condition) = previous
        && condition.observed_generation == facts.instance.metadata.generation
    {
        return Some(Verdict::bad(Reason::BackupBlocked, condition.message.clone()));
    }
    let again = backup.next.map(|next| format!("; the next one is made at {}", shown(next))).unwrap_or_default();
    match (&backup.last, previous_reason, previous) {
        // It stands until the next one has ended.
        (
            Some(LastBackup { result: BackupResult::Running, .. }),
            Some(reason @ (Reason::BackupFailed | Reason::BackupUnverified)),
            Some(condition),
        ) => return Some(Verdict::bad(reason, condition.message.clone())),
        (Some(last), ..) if last.result == BackupResult::Failed => {
            return Some(Verdict::bad(Reason::BackupFailed, format!("backup {}: {}{again}", last.id, last.message)));
        }
        (Some(last), ..) if last.result == BackupResult::Unverified => {
            return Some(Verdict::bad(Reason::BackupUnverified, format!("backup {}: {}", last.id, last.message)));
        }
        _ => {}
    }
    // The first backup is waited for since it was declared.
    let waited_since = match (previous_reason, previous) {
        (Some(Reason::BackupOverdue), _) => facts.created(),
        (_, Some(condition)) => condition.last_transition_time.0,
        (_, None) => facts.now,
    };
    let last_verified = past(backup.last_verified, facts.now);
    let last_success = past(backup.last_success, facts.now);
    let is_intact = match backup.last.as_ref().map(|last| last.result) {
        Some(BackupResult::Intact) => true,
        Some(BackupResult::Running) => {
            previous_reason == Some(Reason::BackupIntact) || (last_verified.is_none() && last_success.is_some())
        }
        _ => false,
    };
    let newest = if is_intact { last_success } else { last_verified };
    let since = newest.unwrap_or(waited_since);
    let is_overdue = overdue_at(&schedule, since).is_some_and(|limit| facts.now > limit);
    let queue = if is_queued { "; the next one waits for those of other instances" } else { "" };
    Some(match (newest, is_overdue) {
        (Some(newest), true) => {
            let kind = if is_intact { "backup that was read back" } else { "verified backup" };
            Verdict::bad(Reason::BackupOverdue, format!("the newest {kind} is of {}{queue}", shown(newest)))
        }
        (Some(_), false) if is_intact => {
            let ended = backup.last.as_ref().filter(|last| last.ended_at.is_some());
            let message = ended.map_or(INTACT.to_owned(), |last| format!("backup {}: {}", last.id, last.message));
            Verdict { holds: Some(true), reason: Reason::BackupIntact, message: shortened(message) }
        }
        (None, true) => Verdict::bad(
            Reason::BackupOverdue,
            format!("no backup has been verified since backups were declared{queue}"),
        ),
        (Some(_), false) => {
            let message = match &backup.last {
                Some(last) if last.ended_at.is_some() && !last.message.is_empty() => &last.message,
                Some(_) => CHECKED,
                None => CHECKED_BEFORE_CHANGE,
            };
            Verdict { holds: Some(true), reason: Reason::BackupVerified, message: message.to_owned() }
        }
        (None, false) => Verdict {
            holds: None,
            reason: Reason::BackupPending,
            message: format!("no backup has been made yet{queue}"),
        },
    })
}

impl Verdict {
    pub(super) fn bad(reason: Reason, message: String) -> Self {
        Self { holds: Some(false), reason, message: shortened(message) }
    }
}

/// Returns the events of a change of the status: the end of a backup, what is wrong without one, and
/// a corrected clock.
pub(super) fn events(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> Vec<BackupEvent> {
    let mut events = Vec::new();
    let none = BackupStatus::default();
    let (before, after) = (previous.backup.as_ref().unwrap_or(&none), status.backup.as_ref().unwrap_or(&none));
    if let Some(last) =
        after.last.as_ref().filter(|last| last.ended_at.is_some() && before.last.as_ref() != Some(*last))
    {
        let shrunk = before.data_bytes.zip(after.data_bytes).is_some_and(|(before, now)| has_shrunk(before, now));
        events.push(end_event(last, after, shrunk));
    }
    let condition = |status: &MaiInstanceStatus| status.reason(ConditionKind::BackupHealthy);
    let (now, message) = (condition(status), status.condition(ConditionKind::BackupHealthy));
    if let (Some(reason @ (Reason::BackupBlocked | Reason::BackupOverdue)), Some(condition_now)) = (now, message)
        && condition(previous) != now
    {
        events.push(BackupEvent {
            kind: EventKind::Warning,
            reason: reason.into(),
            message: condition_now.message.clone(),
        });
    }
    if before.last_due > after.last_due && after.last_due.is_some() {
        let message = "the clock was ahead when the last backup was due; backups follow the schedule from now on";
        events.push(BackupEvent {
            kind: EventKind::Warning,
            reason: "BackupClockCorrected",
            message: message.to_owned(),
        });
    }
    events
}

fn end_event(last: &LastBackup, backup: &BackupStatus, shrunk: bool) -> BackupEvent {
    let LastBackup { id, message, .. } = last;
    let (kind, reason) = match last.result {
        BackupResult::Verified if shrunk => (EventKind::Warning, "BackupShrank"),
        BackupResult::Verified => (EventKind::Normal, Reason::BackupVerified.into()),
        BackupResult::Intact => (EventKind::Normal, Reason::BackupIntact.into()),
        BackupResult::Unverified => (EventKind::Warning, Reason::BackupUnverified.into()),
        BackupResult::Failed | BackupResult::Running => (EventKind::Warning, Reason::BackupFailed.into()),
    };
    let message = match last.result {
        BackupResult::Verified => {
            let names: Vec<&str> = backup.destinations.iter().map(|one| one.name.as_str()).collect();
            let remark = if message.is_empty() { String::new() } else { format!("; {message}") };
            format!("backup {id} was read back from {} and checked{remark}", names.join(", "))
        }
        _ => format!("backup {id}: {message}"),
    };
    BackupEvent { kind, reason, message }
}

pub(super) fn shown(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

pub(super) fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE));
    message
}
