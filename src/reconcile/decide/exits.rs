//! Exits of a server: counted once, and described. Those that an engine caused by its own restart are
//! left out before, in `runtime/docker/exits.rs`.

use jiff::Timestamp;
use mai_contract::ExitCode;

use crate::api::Reason;
use crate::core::{Exit, Memory, Observed};
use crate::reconcile::status::Phase;

/// Number of failures in a row that make a crash loop.
pub(super) const CRASH_LOOP: u32 = 3;

/// Counts a run that ended without being asked to, once. A clock that was set back does not hide
/// later ends behind an earlier one.
pub(super) fn count(memory: &mut Memory, observed: &Observed, now: Timestamp) {
    let Some(exit) = &observed.last_exit else { return };
    if memory.counted_exit.is_none_or(|counted| exit.at > counted || (counted > now && exit.at != counted)) {
        memory.counted_exit = Some(exit.at);
        memory.failures = memory.failures.saturating_add(1);
        memory.ready_since = None;
    }
}

/// Returns the phase of an instance whose server ended by itself.
pub(super) fn phase_after(failures: u32, exit: Option<&Exit>) -> Phase {
    let message = exit.map_or_else(|| "the server did not become ready".to_owned(), describe);
    let reason = match exit.and_then(|exit| exit.code).and_then(ExitCode::from_code) {
        Some(ExitCode::DataNotWritable) => Reason::DataNotWritable,
        Some(ExitCode::DataInUse) => Reason::DataInUse,
        Some(ExitCode::DataTooNew) => Reason::DataTooNew,
        Some(ExitCode::PortTaken) => Reason::PortTaken,
        _ if failures >= CRASH_LOOP => return Phase::crash_loop(format!("{failures} failures in a row; {message}")),
        _ => return Phase::progressing(Reason::Restarting, message),
    };
    Phase::Stalled { reason, message }
}

/// Returns whether the server refused data that a newer version of it wrote, as it will again.
pub(super) fn is_too_old(exit: &Exit) -> bool {
    exit.code.and_then(ExitCode::from_code) == Some(ExitCode::DataTooNew)
}

/// Describes an end, its remedy if one is known, and the last line of the log.
pub(super) fn describe(exit: &Exit) -> String {
    let known = exit.code.and_then(ExitCode::from_code);
    let cause = match (known, exit.code, exit.signal) {
        (Some(ExitCode::Configuration), ..) => "the server refused its configuration (exit code 2)".to_owned(),
        (Some(ExitCode::DataTooNew), ..) => {
            "a newer version of the server wrote the data (exit code 65); declare that version again, or restore a backup that was made before it"
                .to_owned()
        }
        (Some(ExitCode::DataNotWritable), ..) => {
            "the data directory cannot be written (exit code 73); make it writable for the user that the server runs as"
                .to_owned()
        }
        (Some(ExitCode::DataInUse), ..) => {
            "the data directory is in use by another server (exit code 75); stop that one".to_owned()
        }
        (Some(ExitCode::RestoreUnfinished), ..) => {
            "a restore has replaced a part of the data (exit code 79) and has to be finished or taken back first"
                .to_owned()
        }
        (Some(ExitCode::PortTaken), ..) => {
            "the port was taken by another program (exit code 98); stop that one or declare another expose.port"
                .to_owned()
        }
        (Some(ExitCode::Failure) | None, Some(code), _) => format!("the server ended with exit code {code}"),
        (_, None, Some(signal)) => format!("the server was ended by signal {signal}"),
        (_, None, None) => "the server ended".to_owned(),
    };
    match exit.log_tail.last() {
        Some(line) => format!("{cause}; its last line was: {line}"),
        None => cause,
    }
}
