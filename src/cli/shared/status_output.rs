//! Output of the status of instances, of a directory and of a cluster alike.

use std::io::{IsTerminal, Write};

use jiff::{SignedDuration, Timestamp};

use super::terminal::PrintableOutput;
use crate::api::{ConditionKind, MaiInstanceStatus, Reason, UsageStatus};

/// Header of the table.
pub(in crate::cli) const HEADER: [&str; 10] =
    ["NAME", "READY", "REASON", "ADDRESS", "VERSION", "RESTARTS", "USERS", "SPEND", "BACKUP", "MESSAGE"];

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// For people
    Table,
    /// The same with uid, what runs it, image, age and where it is from
    Wide,
    /// The documents with their status
    Json,
    /// The same as YAML
    Yaml,
}

/// Returns the row of an instance.
pub(in crate::cli) fn row(name: &str, status: &MaiInstanceStatus) -> [String; 10] {
    let ready = status.condition(ConditionKind::Ready);
    let stalled = status.true_condition(ConditionKind::Stalled);
    // A required action comes before the readiness.
    let telling = stalled.or(ready);
    [
        name.to_owned(),
        ready.map_or("Unknown", |condition| &condition.status).to_owned(),
        telling.map_or("Pending", |condition| &condition.reason).to_owned(),
        status.address.clone().unwrap_or_default(),
        status.version.clone().unwrap_or_default(),
        status.restarts.to_string(),
        status.usage.as_ref().map(|usage| usage.accounts.to_string()).unwrap_or_default(),
        status.usage.as_ref().map(spend).unwrap_or_default(),
        backup(status),
        telling.map_or("", |condition| &condition.message).to_owned(),
    ]
}

/// Returns the known cost of the month, and how many generations it lacks.
fn spend(usage: &UsageStatus) -> String {
    match usage.unknown_costs {
        0 => format!("${}", usage.cost_usd),
        unknown => format!("${} + {unknown} unknown", usage.cost_usd),
    }
}

/// Returns the age of the newest backup that was checked as far as possible, or why there is none; nothing where none is
/// declared and none was ever made.
fn backup(status: &MaiInstanceStatus) -> String {
    let reason = status.reason(ConditionKind::BackupHealthy);
    let newest = status.backup.as_ref().and_then(|backup| match reason {
        // Nobody here can verify them.
        Some(Reason::BackupIntact) => backup.last_success,
        _ => backup.last_verified,
    });
    match (reason, newest) {
        (Some(Reason::BackupFailed), _) => "failed".to_owned(),
        (Some(Reason::BackupBlocked), _) => "blocked".to_owned(),
        // Its age in seconds would change a watched status all the time.
        (_, Some(newest)) => age(newest.min(Timestamp::now() - SignedDuration::from_mins(2))),
        (Some(_), None) => "never".to_owned(),
        (None, None) => String::new(),
    }
}

/// Prints a status. A terminal that watches is cleared first.
pub(in crate::cli) fn say(watch: bool, text: &str) -> std::io::Result<()> {
    if watch && std::io::stdout().is_terminal() {
        write!(std::io::stdout(), "\x1b[H\x1b[2J")?;
    }
    let mut out = PrintableOutput::stdout();
    write!(out, "{text}")?;
    out.flush()
}

/// Returns the age in its largest unit.
pub(in crate::cli) fn age(since: Timestamp) -> String {
    let seconds = Timestamp::now().duration_since(since).as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{BackupStatus, Conditions};

    #[test]
    fn backup_is_shown_by_its_age_or_its_failure() {
        let now = Timestamp::now();
        let ago = |hours| Some(now - SignedDuration::from_hours(hours));
        for (reason, last_verified, expected) in [
            (Some(Reason::BackupVerified), ago(3), "3h"),
            (Some(Reason::BackupVerified), ago(0), "2m"),
            (Some(Reason::BackupIntact), None, "4h"),
            (Some(Reason::BackupUnverified), ago(30), "30h"),
            (Some(Reason::BackupPending), None, "never"),
            (Some(Reason::BackupFailed), ago(30), "failed"),
            (Some(Reason::BackupBlocked), None, "blocked"),
            (None, ago(72), "3d"),
            (None, None, ""),
        ] {
            let mut conditions = Conditions::from_previous(&[], None, now);
            if let Some(reason) = reason {
                conditions.set(ConditionKind::BackupHealthy, None, reason, "");
            }
            let last_success = Some(now - SignedDuration::from_hours(4));
            let status = MaiInstanceStatus {
                conditions: conditions.into_vec(),
                backup: Some(BackupStatus { last_verified, last_success, ..BackupStatus::default() }),
                ..MaiInstanceStatus::default()
            };
            assert_eq!(backup(&status), expected, "{reason:?} {last_verified:?}");
        }
    }

    #[test]
    fn age_is_shown_in_its_largest_unit() {
        let ago = |seconds| age(Timestamp::now() - jiff::SignedDuration::from_secs(seconds));
        assert_eq!([5, 119, 600, 86_400, 864_000].map(ago), ["5s", "119s", "10m", "24h", "10d"]);
    }
}
