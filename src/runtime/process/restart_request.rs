//! A request to the reconciler to take the end of a server for a restart, not for a failure. A
//! left-over request is harmless: it names one process for good.

use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "restart-asked";

/// Writes a request for this very process.
pub(super) fn write(home: &Path, pid: u32, start_ticks: u64) -> io::Result<()> {
    std::fs::write(file(home), content(pid, start_ticks))
}

/// Removes the request for this very process. Returns false when there is none.
pub(super) fn consume(home: &Path, pid: u32, start_ticks: u64) -> bool {
    let file = file(home);
    let is_requested = std::fs::read_to_string(&file).is_ok_and(|request| request == content(pid, start_ticks));
    if is_requested {
        let _ = std::fs::remove_file(file);
    }
    is_requested
}

fn file(home: &Path) -> PathBuf {
    home.join(FILE)
}

fn content(pid: u32, start_ticks: u64) -> String {
    format!("{pid} {start_ticks}\n")
}
