//! Rows and jobs that wait for the writer, counted in bytes.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::batch::PendingRows;

/// Most bytes that wait. A database that is locked for long fills no more memory than this: new
/// work is refused, and rows of work that was accepted replace each other.
const MOST_BYTES: usize = 32 * 1024 * 1024;

/// Rows and jobs that wait for the writer.
#[derive(Default)]
pub(super) struct Waiting(Mutex<State>);

#[derive(Default)]
struct State {
    /// One entry for each kind.
    rows: Vec<Box<dyn PendingRows>>,
    /// Bytes of the rows that are being written.
    writing: usize,
    /// Bytes of the jobs in the queue.
    jobs: usize,
}

impl Waiting {
    pub(super) fn is_full(&self) -> bool {
        let state = self.0.lock();
        state.rows.iter().map(|rows| rows.bytes()).sum::<usize>() + state.writing + state.jobs >= MOST_BYTES
    }

    pub(super) fn add_job(&self, bytes: usize) {
        self.0.lock().jobs += bytes;
    }

    pub(super) fn remove_job(&self, bytes: usize) {
        self.0.lock().jobs -= bytes;
    }

    /// Adds rows and returns true when none waited before.
    pub(super) fn add_rows(&self, rows: Box<dyn PendingRows>) -> bool {
        let mut state = self.0.lock();
        let is_first = state.rows.is_empty();
        match state.rows.iter_mut().find(|waiting| waiting.kind() == rows.kind()) {
            Some(waiting) => waiting.append(rows.into_any()),
            None => state.rows.push(rows),
        }
        is_first
    }

    /// Takes all rows to write them.
    pub(super) fn take_rows(&self) -> Vec<Box<dyn PendingRows>> {
        let mut state = self.0.lock();
        let rows = std::mem::take(&mut state.rows);
        state.writing = rows.iter().map(|rows| rows.bytes()).sum();
        rows
    }

    /// Ends the writing, and puts back rows that could not be written, before those that came since.
    pub(super) fn put_back(&self, failed: Vec<Box<dyn PendingRows>>) {
        let mut state = self.0.lock();
        state.writing = 0;
        for mut rows in failed {
            match state.rows.iter().position(|waiting| waiting.kind() == rows.kind()) {
                Some(position) => {
                    let later = state.rows.swap_remove(position);
                    rows.append(later.into_any());
                    state.rows.push(rows);
                }
                None => state.rows.push(rows),
            }
        }
    }

    /// Returns the time by which the rows are written: the former one, or the end of the shortest
    /// linger; now when there are this many.
    pub(super) fn due(&self, former: Option<Instant>, many: usize) -> Option<Instant> {
        let (state, now) = (self.0.lock(), Instant::now());
        if state.rows.iter().map(|rows| rows.len()).sum::<usize>() >= many {
            return Some(now);
        }
        let linger = state.rows.iter().map(|rows| rows.linger()).min()?;
        Some(former.map_or(now + linger, |former| former.min(now + linger)))
    }
}
