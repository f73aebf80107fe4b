//! Limits of the work that a check of a database may take. It may be an uploaded file.

use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode};

use crate::Progress;

/// Instructions of SQLite's virtual machine between two checks of the budget.
const INSTRUCTIONS_PER_STEP: u32 = 100_000;
/// Instructions that a check of any database may take.
const BASE_INSTRUCTIONS: u64 = 20_000_000;
/// Further instructions for each page of the usual size. Generous, since a page may hold hundreds of
/// short rows with an index entry each.
const INSTRUCTIONS_PER_PAGE: u64 = 200_000;
const USUAL_PAGE: u64 = 4096;
/// Bytes that a value may have in any database. In a larger one it may have as many as the file,
/// since none that is stored has more: only what an expression makes up is refused.
const MIN_VALUE_LIMIT: u64 = 64 << 20;
/// SQLite's own limit.
const MAX_VALUE_LIMIT: u64 = 1_000_000_000;

/// Limits the work of a connection to what a database of so many bytes explains, so that the
/// expressions of an uploaded file take neither all memory nor for ever. It also ends when the job
/// is to stop.
pub(crate) fn limit_work(
    connection: &Connection,
    bytes: u64,
    progress: Option<&Progress>,
) -> Result<(), rusqlite::Error> {
    let longest = bytes.clamp(MIN_VALUE_LIMIT, MAX_VALUE_LIMIT);
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(longest).unwrap_or(i32::MAX))?;
    let instructions = (bytes / USUAL_PAGE).saturating_mul(INSTRUCTIONS_PER_PAGE).saturating_add(BASE_INSTRUCTIONS);
    limit_instructions(connection, instructions, progress.cloned())
}

pub(crate) fn limit_instructions(
    connection: &Connection,
    instructions: u64,
    progress: Option<Progress>,
) -> Result<(), rusqlite::Error> {
    let mut left = instructions;
    let is_over = move || {
        left = left.saturating_sub(INSTRUCTIONS_PER_STEP.into());
        left == 0 || progress.as_ref().is_some_and(|progress| progress.check().is_err())
    };
    connection.progress_handler(INSTRUCTIONS_PER_STEP.cast_signed(), Some(is_over))
}

/// Returns an error of a check with the cause where its work was over the limit.
pub(crate) fn explain(error: rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, _) if code.code == ErrorCode::OperationInterrupted => {
            let words = "its check takes far more work than its size explains".to_owned();
            rusqlite::Error::SqliteFailure(code, Some(words))
        }
        error => error,
    }
}
