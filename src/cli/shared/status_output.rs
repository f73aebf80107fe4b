//! Output of the status of instances, of a directory and of a cluster alike.

use std::io::{IsTerminal, Write};

use jiff::Timestamp;

use crate::api::{ConditionKind, MaiInstanceStatus};

/// Header of the table.
pub(in crate::cli) const HEADER: [&str; 7] = ["NAME", "READY", "REASON", "ADDRESS", "VERSION", "RESTARTS", "MESSAGE"];

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
pub(in crate::cli) fn row(name: &str, status: &MaiInstanceStatus) -> [String; 7] {
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
        telling.map_or("", |condition| &condition.message).to_owned(),
    ]
}

/// Prints a status. A terminal that watches is cleared first.
pub(in crate::cli) fn say(watch: bool, text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if watch && out.is_terminal() {
        write!(out, "\x1b[H\x1b[2J")?;
    }
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

    #[test]
    fn age_is_shown_in_its_largest_unit() {
        let ago = |seconds| age(Timestamp::now() - jiff::SignedDuration::from_secs(seconds));
        assert_eq!([5, 119, 600, 86_400, 864_000].map(ago), ["5s", "119s", "10m", "24h", "10d"]);
    }
}
