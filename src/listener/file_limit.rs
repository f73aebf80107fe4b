//! The number of files that the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More are of no use to a process of ours, and slow down those who close all files one by one.
const WANTED: u64 = 65_536;

/// Raises the soft limit of open files towards the hard one; returns what it is then.
pub fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(WANTED).min(WANTED);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return usize::try_from(current).unwrap_or(usize::MAX);
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => usize::try_from(wanted).unwrap_or(usize::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays at {current}");
            usize::try_from(current).unwrap_or(usize::MAX)
        }
    }
}
