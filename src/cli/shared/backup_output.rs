//! Output of a backup for people: its progress while it is made, and its result by destination.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use mai_contract::job::{BackupReport, DestinationReport, Outcome, Progress, Step, StoreResult};
use parking_lot::Mutex;

use crate::cli::shared::table;

/// Time of a step after which its rate says something about the rest.
const MEASURED: Duration = Duration::from_secs(1);

/// Progress of a backup on standard error: one line that is rewritten on a terminal, a line for each
/// step elsewhere.
pub(in crate::cli) struct ProgressOutput {
    terminal: bool,
    /// Step that is shown, and the time and bytes of its first progress.
    step: Option<(Step, Instant, u64)>,
    shown: String,
}

impl ProgressOutput {
    /// Returns an output that has shown nothing.
    pub(in crate::cli) fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), step: None, shown: String::new() }
    }

    /// Returns a counter for work in this program, and the output that shows it. The caller finishes
    /// the output.
    pub(in crate::cli) fn counter() -> (mai_backup::Progress, Arc<Mutex<Self>>) {
        let output = Arc::new(Mutex::new(Self::new()));
        let shown = output.clone();
        (mai_backup::Progress::new(move |report| shown.lock().progress(&report)), output)
    }

    /// Shows a sentence, such as the reason of a wait.
    pub(in crate::cli) fn say(&mut self, sentence: &str) {
        self.show(sentence.to_owned());
    }

    /// Shows progress.
    pub(in crate::cli) fn progress(&mut self, progress: &Progress) {
        let now = Instant::now();
        let (_, since, from) = match self.step {
            Some(step) if step.0 == progress.step && step.2 <= progress.done => step,
            _ => *self.step.insert((progress.step, now, progress.done)),
        };
        let line = match self.terminal {
            true => progress_line(progress, progress.done - from, now - since),
            false => step_name(progress.step).to_owned(),
        };
        self.show(line);
    }

    /// Ends a line that is rewritten.
    pub(in crate::cli) fn finish(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            // Progress that cannot be written is no failure of the command.
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
        self.shown.clear();
    }

    fn show(&mut self, line: String) {
        if line == self.shown {
            return;
        }
        let mut err = std::io::stderr().lock();
        // Progress that cannot be written is no failure of the command.
        let _ = match self.terminal {
            true => write!(err, "\r\x1b[K{line}").and_then(|()| err.flush()),
            false => writeln!(err, "{line}"),
        };
        drop(err);
        self.shown = line;
    }
}

fn step_name(step: Step) -> &'static str {
    match step {
        Step::Snapshot => "copying the databases",
        Step::Store => "storing the archive",
        Step::Verify => "reading it back and checking it",
        Step::Prune => "removing old backups",
        Step::Unpack => "reading and unpacking the backup",
        Step::Swap => "putting the data in its place",
        Step::Start => "starting a server on it",
    }
}

/// Returns a line with rate and time left. `done` bytes took `time`.
fn progress_line(progress: &Progress, done: u64, time: Duration) -> String {
    let mut line = step_name(progress.step).to_owned();
    if progress.total == 0 {
        return line;
    }
    // Writing to a String never fails.
    let _ = write!(line, "  {} of {}", bytes(progress.done), bytes(progress.total));
    if time >= MEASURED && done > 0 {
        let rate = done as f64 / time.as_secs_f64();
        let left = progress.total.saturating_sub(progress.done) as f64 / rate;
        let _ = write!(line, "  {}/s  {} left", bytes(rate as u64), duration(left.ceil() as u64));
    }
    line
}

/// Returns the text of an outcome: a table of destinations, or the problem.
pub(in crate::cli) fn outcome_text(name: &str, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) => {
            outcome_text(name, &Outcome::of_other_work())
        }
        Outcome::Failed { message } => format!("{name:<20} no backup was made: {message}\n"),
        Outcome::Backup(report) => report_text(name, report),
    }
}

fn report_text(name: &str, report: &BackupReport) -> String {
    let mut text = format!(
        "{name:<20} backup {} of {}: {} in {} files and {} databases, {} archived\n\n",
        report.id,
        local(report.taken_at),
        bytes(report.data_bytes),
        report.files,
        report.databases,
        bytes(report.archive_bytes)
    );
    let mut rows = table::table(vec!["DESTINATION", "RESULT", "KEPT", "REMOVED", "NEWEST VERIFIED"]);
    for destination in &report.destinations {
        rows.add_row(vec![
            destination.name.clone(),
            result_word(&destination.result).to_owned(),
            destination.kept.to_string(),
            destination.removed.to_string(),
            destination.newest_verified.map_or_else(|| "never".to_owned(), local),
        ]);
    }
    text.push_str(&table::text(&rows));
    let notes = report.destinations.iter().flat_map(destination_notes).chain(report.remarks.iter().cloned());
    let notes: String = notes.map(|note| format!("\n{note}")).collect();
    if !notes.is_empty() {
        text.push_str(&notes);
        text.push('\n');
    }
    text
}

fn result_word(result: &StoreResult) -> &'static str {
    match result {
        StoreResult::Verified => "verified",
        StoreResult::Intact(_) => "intact",
        StoreResult::Stored(_) => "stored",
        StoreResult::Failed(_) => "failed",
    }
}

fn destination_notes(destination: &DestinationReport) -> Vec<String> {
    let result = match &destination.result {
        StoreResult::Verified => None,
        StoreResult::Intact(sentence) | StoreResult::Stored(sentence) | StoreResult::Failed(sentence) => Some(sentence),
    };
    let notes = result.into_iter().chain(&destination.retention_problem);
    notes.map(|note| format!("{}: {note}", destination.name)).collect()
}

/// Returns whether the backup is in every destination.
pub(in crate::cli) fn is_everywhere(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { .. } | Outcome::Restored(_) | Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) => {
            false
        }
        Outcome::Backup(report) => {
            report.destinations.iter().all(|destination| !matches!(destination.result, StoreResult::Failed(_)))
        }
    }
}

/// Returns a time in the time zone of this machine.
pub(in crate::cli) fn local(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// Returns a number of bytes in its largest unit.
pub(in crate::cli) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut amount, mut unit) = (count as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{amount:.1} {}", UNITS[unit]),
    }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn destination(name: &str, result: StoreResult) -> DestinationReport {
        DestinationReport {
            name: name.to_owned(),
            result,
            kept: 7,
            removed: 1,
            newest_verified: None,
            retention_problem: None,
        }
    }

    fn report(destinations: Vec<DestinationReport>) -> Outcome {
        Outcome::Backup(BackupReport {
            id: "20261130-020000-1f2e3d".parse().unwrap(),
            taken_at: "2026-11-30T02:00:00Z".parse().unwrap(),
            data_bytes: 5 << 20,
            archive_bytes: 1536,
            files: 3,
            databases: 1,
            destinations,
            remarks: vec!["a.tmp changed while it was read".to_owned()],
        })
    }

    #[test]
    fn progress_names_rate_and_time_left_once_measured() {
        let progress = Progress { step: Step::Store, done: 30 << 20, total: 90 << 20 };
        let at_first = progress_line(&progress, 0, Duration::ZERO);
        assert_eq!(at_first, "storing the archive  30.0 MiB of 90.0 MiB");
        let later = progress_line(&progress, 20 << 20, Duration::from_secs(4));
        assert_eq!(later, "storing the archive  30.0 MiB of 90.0 MiB  5.0 MiB/s  12 s left");
        let unknown = progress_line(&Progress { step: Step::Prune, done: 0, total: 0 }, 0, MEASURED);
        assert_eq!(unknown, "removing old backups");
        assert_eq!([59, 61, 7260].map(duration), ["59 s", "1 min 1 s", "2 h 1 min"]);
        assert_eq!([1023, 1024].map(bytes), ["1023 B", "1.0 KiB"]);
    }

    #[test]
    fn table_names_each_destination_and_its_problem() {
        let stored = StoreResult::Stored("its checksum was read back; no key opens it here".to_owned());
        let outcome = report(vec![destination("backups", StoreResult::Verified), destination("s3", stored)]);
        let text = outcome_text("abc", &outcome);
        assert!(text.contains("5.0 MiB in 3 files and 1 databases, 1.5 KiB archived"), "{text}");
        assert!(text.contains("\n backups "), "{text}");
        assert!(text.contains("\ns3: its checksum was read back; no key opens it here\na.tmp changed"), "{text}");
        assert!(is_everywhere(&outcome));
    }

    #[test]
    fn backup_that_failed_in_one_destination_is_not_everywhere() {
        let failed = StoreResult::Failed("the bucket does not exist".to_owned());
        let outcome = report(vec![destination("backups", StoreResult::Verified), destination("s3", failed)]);
        assert!(!is_everywhere(&outcome));
        let outcome = Outcome::Failed { message: "the data directory does not exist".to_owned() };
        assert!(!is_everywhere(&outcome));
        assert!(outcome_text("abc", &outcome).contains("no backup was made: the data directory does not exist"));
    }
}
