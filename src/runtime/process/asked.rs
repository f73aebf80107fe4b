//! A word left for whoever looks after a server: its end is wanted and therefore no failure.

use std::io;
use std::path::{Path, PathBuf};

/// Names one process for good; kept beside the log of its instance.
const FILE: &str = "restart-asked";

/// Leaves the word; it is about this very process alone.
pub(super) fn leave(home: &Path, pid: u32, start_ticks: u64) -> io::Result<()> {
    std::fs::write(file(home), word(pid, start_ticks))
}

/// Whether the word was left for this very process.
pub(super) fn is_left(home: &Path, pid: u32, start_ticks: u64) -> bool {
    std::fs::read_to_string(file(home)).is_ok_and(|left| left == word(pid, start_ticks))
}

/// Takes the word away.
pub(super) fn clear(home: &Path) -> io::Result<()> {
    match std::fs::remove_file(file(home)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn file(home: &Path) -> PathBuf {
    home.join(FILE)
}

fn word(pid: u32, start_ticks: u64) -> String {
    format!("{pid} {start_ticks}\n")
}
