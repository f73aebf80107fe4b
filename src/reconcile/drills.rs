//! The end of a drill in the status, the condition `RestoreVerified`, and the events.

use jiff::Timestamp;
use mai_contract::job::{DrillReport, OTHER_WORK, Outcome, ServerReport};

use super::Facts;
use super::backup_report::{BackupEvent, Verdict, shortened, shown};
use super::schedule::{overdue_at, whole_second};
use crate::api::{
    BackupStatus, ConditionKind, DrillResult, DrillStatus, LastDrill, MaiInstance, MaiInstanceStatus, PassedDrill,
    Reason,
};
use crate::core::EventKind;

/// Why an encrypted backup cannot be brought back, and the remedy.
pub(super) const NEEDS_IDENTITY: &str = "archives are encrypted, and no identity on the server opens them; declare backup.encryption.identitySecretRef, or set backup.drill to Never";

impl LastDrill {
    /// Makes that of a drill which starts.
    pub(super) fn started(id: &str, started_at: Timestamp, reason: &str) -> Self {
        let (id, message) = (id.to_owned(), reason.to_owned());
        Self { id, started_at, ended_at: None, result: DrillResult::Running, message }
    }
}

/// Records the end of a drill. Does nothing when it is recorded already.
pub(super) fn record_end(drills: &mut DrillStatus, id: &str, outcome: &Outcome, now: Timestamp) {
    let known = drills.last.take().filter(|last| last.id == id);
    let mut last = known.unwrap_or_else(|| LastDrill::started(id, now, ""));
    if last.ended_at.is_none() {
        last.ended_at = Some(now);
        (last.result, last.message) = match outcome {
            Outcome::Drilled(report) => {
                drills.passed = Some(passed(report, now));
                (DrillResult::Passed, String::new())
            }
            Outcome::Failed { message } => (DrillResult::Failed, shortened(message.clone())),
            Outcome::Backup(_) | Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped => {
                (DrillResult::Failed, OTHER_WORK.to_owned())
            }
        };
        let failed = last.result == DrillResult::Failed;
        drills.failures = if failed { drills.failures.saturating_add(1) } else { 0 };
    }
    drills.last = Some(last);
}

fn passed(report: &DrillReport, now: Timestamp) -> PassedDrill {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let server = report.server.as_ref();
    let millis = report.restore_millis.saturating_add(server.map_or(0, |server| server.start_millis));
    PassedDrill {
        id: report.id.to_string(),
        at: now,
        backup: report.backup.to_string(),
        destination: report.destination.clone(),
        taken_at: whole_second(report.taken_at),
        encrypted: report.is_encrypted,
        bytes: count(report.archive_bytes),
        data_bytes: count(report.data_bytes),
        files: count(report.files),
        databases: count(report.databases),
        rows: count(report.rows),
        people: report.people.map(count),
        chats: report.chats.map(count),
        server_version: server.map(|server| server.version.clone()),
        recovery_seconds: count(millis.div_ceil(1000).max(1)),
    }
}

/// Returns the outcome of a drill that has ended, for a request that was not answered before its job
/// was removed.
pub(super) fn recorded_outcome(backup: &BackupStatus, name: &str) -> Option<Outcome> {
    let drills = backup.drill.as_ref()?;
    let last = drills.last.as_ref().filter(|last| last.id == name && last.ended_at.is_some())?;
    let report = drills.passed.as_ref().filter(|passed| passed.id == name).and_then(recorded_report);
    Some(
        report.map_or_else(
            || Outcome::Failed { message: last.message.clone() },
            |report| Outcome::Drilled(Box::new(report)),
        ),
    )
}

/// Returns what the status knows of a drill. The time to start the server is part of the other.
fn recorded_report(passed: &PassedDrill) -> Option<DrillReport> {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let people = passed.people.map(count);
    Some(DrillReport {
        id: passed.id.parse().ok()?,
        backup: passed.backup.parse().ok()?,
        destination: passed.destination.clone(),
        taken_at: passed.taken_at,
        is_encrypted: passed.encrypted,
        archive_bytes: count(passed.bytes),
        data_bytes: count(passed.data_bytes),
        files: count(passed.files),
        databases: count(passed.databases),
        rows: count(passed.rows),
        people,
        chats: passed.chats.map(count),
        restore_millis: count(passed.recovery_seconds).saturating_mul(1000),
        server: passed.server_version.clone().map(|version| ServerReport {
            version,
            start_millis: 0,
            people: people.unwrap_or(0),
        }),
    })
}

/// Returns whether archives are encrypted and no identity is there to open them.
pub(super) fn needs_identity(instance: &MaiInstance) -> bool {
    let encryption = instance.spec.backup.as_ref().and_then(|backup| backup.encryption.as_ref());
    encryption.is_some_and(|encryption| encryption.identity_secret_ref.is_none())
}

/// Returns what the condition says of drills; nothing where none are declared.
pub(super) fn verdict(facts: &Facts<'_>, backup: &BackupStatus) -> Option<Verdict> {
    let schedule = facts.drill_schedule()?;
    let unknown = |reason, message: String| Verdict { holds: None, reason, message: shortened(message) };
    let schedule = match schedule {
        Ok(schedule) => schedule,
        // The condition of backups is False for it.
        Err(error) => return Some(unknown(Reason::DrillBlocked, format!("spec.backup: {error}"))),
    };
    if needs_identity(facts.instance) {
        return Some(unknown(Reason::DrillNeedsIdentity, NEEDS_IDENTITY.to_owned()));
    }
    let none = DrillStatus::default();
    let drills = backup.drill.as_deref().unwrap_or(&none);
    let previous = facts.previous.condition(ConditionKind::RestoreVerified);
    match (&drills.last, facts.previous.reason(ConditionKind::RestoreVerified), previous) {
        // It stands until the next one has ended.
        (
            Some(LastDrill { result: DrillResult::Running, .. }),
            Some(reason @ (Reason::DrillFailed | Reason::DrillOverdue)),
            Some(condition),
        ) => return Some(Verdict::bad(reason, condition.message.clone())),
        (Some(last), ..) if last.result == DrillResult::Failed => {
            let again = drills.next.map(|next| format!("; the next one is made at {}", shown(next)));
            let message = format!("drill {}: {}{}", last.id, last.message, again.unwrap_or_default());
            return Some(Verdict::bad(Reason::DrillFailed, message));
        }
        _ => {}
    }
    let Some(since) = drills.passed.as_ref().map(|passed| passed.at).or(drills.last_due) else {
        return Some(unknown(
            Reason::DrillPending,
            "there is no verified backup yet that could be brought back".into(),
        ));
    };
    let is_overdue = overdue_at(&schedule, since).is_some_and(|limit| facts.now > limit);
    Some(match &drills.passed {
        Some(passed) if is_overdue => {
            Verdict::bad(Reason::DrillOverdue, format!("the last drill that was passed is of {}", shown(passed.at)))
        }
        None if is_overdue => {
            Verdict::bad(Reason::DrillOverdue, format!("no drill has been passed since {}", shown(since)))
        }
        Some(passed) => Verdict { holds: Some(true), reason: Reason::DrillPassed, message: passed_words(passed) },
        None => {
            let next = drills.next.map_or_else(|| "soon".to_owned(), |next| format!("at {}", shown(next)));
            unknown(Reason::DrillPending, format!("no drill has been made yet; the first one is made {next}"))
        }
    })
}

fn passed_words(passed: &PassedDrill) -> String {
    let how = match &passed.server_version {
        Some(_) => "and a server answered on it",
        None => "and checked, without a server",
    };
    format!(
        "backup {} came back from {} within {} s, {how}, at {}",
        passed.backup,
        passed.destination,
        passed.recovery_seconds,
        shown(passed.at)
    )
}

/// Returns the events of a change of the status: the end of a drill, and what keeps one from being
/// made.
pub(super) fn events(previous: &MaiInstanceStatus, status: &MaiInstanceStatus) -> Vec<BackupEvent> {
    let drills = |status: &MaiInstanceStatus| status.backup.as_ref().and_then(|backup| backup.drill.clone());
    let (before, after) = (drills(previous).unwrap_or_default(), drills(status).unwrap_or_default());
    let mut events = Vec::new();
    if let Some(last) =
        after.last.as_ref().filter(|last| last.ended_at.is_some() && before.last.as_ref() != Some(*last))
    {
        let event = match (&last.result, &after.passed) {
            (DrillResult::Passed, Some(passed)) => (EventKind::Normal, Reason::DrillPassed, passed_words(passed)),
            _ => (EventKind::Warning, Reason::DrillFailed, format!("drill {}: {}", last.id, last.message)),
        };
        events.push(event);
    }
    let kind = ConditionKind::RestoreVerified;
    if let (Some(reason @ (Reason::DrillBlocked | Reason::DrillOverdue | Reason::DrillNeedsIdentity)), Some(condition)) =
        (status.reason(kind), status.condition(kind))
        && previous.reason(kind) != Some(reason)
    {
        events.push((EventKind::Warning, reason, condition.message.clone()));
    }
    let event =
        |(kind, reason, message): (EventKind, Reason, String)| BackupEvent { kind, reason: reason.into(), message };
    events.into_iter().map(event).collect()
}
