//! Runs an order to its outcome.

use mai_contract::is_unprintable;
use mai_contract::job::{BackupReport, MAX_OUTCOME_BYTES, Message, Order, Outcome, StoreResult};

use crate::create::create;
use crate::drill::{TrialServer, drill};
use crate::exchange::swap;
use crate::object_reader::blocking;
use crate::restore_order::restore;
use crate::{Places, Progress};

/// Lengths that sentences of an outcome are shortened to, one after the other, until it fits.
const LENGTHS: [usize; 5] = [1000, 500, 250, 120, 60];

/// Runs an order. The outcome fits into [`MAX_OUTCOME_BYTES`] as a message. `server` starts the
/// server of a drill.
pub async fn run(order: &Order, places: &Places, progress: &Progress, server: &impl TrialServer) -> Outcome {
    match order {
        Order::Backup(order) => fit(match create(order, places, progress).await {
            Ok(report) => Outcome::Backup(report),
            Err(error) => Outcome::Failed { message: error.to_string() },
        }),
        Order::Restore(order) => fit(match restore(order, places, progress).await {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed { message: error.to_string() },
        }),
        Order::Swap(order) => {
            let (order, places, progress) = (order.clone(), places.clone(), progress.clone());
            fit(match blocking(move || swap(&order, &places, &progress)).await {
                Ok(()) => Outcome::Swapped,
                Err(error) => Outcome::Failed { message: error.to_string() },
            })
        }
        Order::Drill(order) => fit(match drill(order, places, progress, server).await {
            Ok(report) => Outcome::Drilled(Box::new(report)),
            Err(error) => Outcome::Failed { message: error.to_string() },
        }),
    }
}

/// Shortens an outcome until it fits: first remarks go, then sentences get shorter. Control
/// characters, which a file name in a sentence may have, do not reach a terminal.
pub fn fit(mut outcome: Outcome) -> Outcome {
    match &mut outcome {
        Outcome::Backup(report) => {
            report.remarks.iter_mut().for_each(replace_unprintable);
            sentences(report).for_each(replace_unprintable);
        }
        Outcome::Restored(report) => report.remarks.iter_mut().for_each(replace_unprintable),
        Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) => {}
        Outcome::Failed { message } => replace_unprintable(message),
    }
    while !fits(&outcome) && drop_remark(&mut outcome) {}
    for length in LENGTHS {
        if fits(&outcome) {
            break;
        }
        match &mut outcome {
            Outcome::Backup(report) => sentences(report).for_each(|text| shorten(text, length)),
            Outcome::Failed { message } => shorten(message, length),
            Outcome::Restored(_) | Outcome::DataKept | Outcome::Drilled(_) | Outcome::Swapped => {}
        }
    }
    outcome
}

/// Drops the last remark. Returns whether there was one.
fn drop_remark(outcome: &mut Outcome) -> bool {
    let remarks = match outcome {
        Outcome::Backup(report) => &mut report.remarks,
        Outcome::Restored(report) => &mut report.remarks,
        Outcome::DataKept | Outcome::Swapped | Outcome::Drilled(_) | Outcome::Failed { .. } => return false,
    };
    remarks.pop().is_some()
}

fn fits(outcome: &Outcome) -> bool {
    // Serialising it again and again is cheap: it is a few kilobytes.
    serde_json::to_vec(&Message::Outcome(outcome.clone())).is_ok_and(|line| line.len() < MAX_OUTCOME_BYTES)
}

/// Returns the texts of a report beside its remarks.
fn sentences(report: &mut BackupReport) -> impl Iterator<Item = &mut String> {
    report.destinations.iter_mut().flat_map(|destination| {
        let result = match &mut destination.result {
            StoreResult::Intact(text) | StoreResult::Stored(text) | StoreResult::Failed(text) => Some(text),
            StoreResult::Verified => None,
        };
        [Some(&mut destination.name), result, destination.retention_problem.as_mut()].into_iter().flatten()
    })
}

fn replace_unprintable(text: &mut String) {
    if text.contains(is_unprintable) {
        *text = text.replace('\n', " ").replace(is_unprintable, "\u{fffd}");
    }
}

fn shorten(text: &mut String, length: usize) {
    if text.len() > length {
        text.truncate(text.floor_char_boundary(length));
        text.push('…');
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use mai_contract::job::{BackupId, DestinationReport};

    use super::*;

    #[test]
    fn outcome_fits_and_keeps_each_destination() {
        let destination = |number: usize| DestinationReport {
            name: format!("bucket-{number}"),
            result: StoreResult::Failed("\u{17c}\"".repeat(2000)),
            kept: 1,
            removed: 0,
            newest_verified: Some(Timestamp::UNIX_EPOCH),
            retention_problem: Some("x".repeat(3000)),
        };
        let report = BackupReport {
            id: BackupId::new(Timestamp::UNIX_EPOCH, 1),
            taken_at: Timestamp::UNIX_EPOCH,
            data_bytes: 1,
            archive_bytes: 1,
            files: 1,
            databases: 1,
            destinations: (0..8).map(destination).collect(),
            remarks: vec!["left out".repeat(100); 6],
        };
        let Outcome::Backup(short) = fit(Outcome::Backup(report)) else { unreachable!() };
        assert!(serde_json::to_vec(&Message::Outcome(Outcome::Backup(short.clone()))).unwrap().len() < 4000);
        assert_eq!((short.destinations.len(), short.remarks.len()), (8, 0));
        let Outcome::Failed { message } = fit(Outcome::Failed { message: "y".repeat(9000) }) else { unreachable!() };
        assert_eq!(message.chars().count(), 1001);
        let fine = Outcome::Failed { message: "disk full".to_owned() };
        assert_eq!(fit(fine.clone()), fine);
    }

    #[test]
    fn outcome_has_no_control_characters() {
        let hostile = || "a\u{1b}[2J\u{9b}b\nc".to_owned();
        let destination = DestinationReport {
            name: hostile(),
            result: StoreResult::Failed(hostile()),
            kept: 1,
            removed: 0,
            newest_verified: None,
            retention_problem: Some(hostile()),
        };
        let report = BackupReport {
            id: BackupId::new(Timestamp::UNIX_EPOCH, 1),
            taken_at: Timestamp::UNIX_EPOCH,
            data_bytes: 1,
            archive_bytes: 1,
            files: 1,
            databases: 1,
            destinations: vec![destination],
            remarks: vec![hostile()],
        };
        let clean = "a\u{fffd}[2J\u{fffd}b c";
        let Outcome::Backup(report) = fit(Outcome::Backup(report)) else { unreachable!() };
        let destination = &report.destinations[0];
        assert_eq!((report.remarks[0].as_str(), destination.name.as_str()), (clean, clean));
        assert_eq!(destination.result, StoreResult::Failed(clean.to_owned()));
        assert_eq!(destination.retention_problem.as_deref(), Some(clean));
        let failed = fit(Outcome::Failed { message: hostile() });
        assert_eq!(failed, Outcome::Failed { message: clean.to_owned() });
    }
}
