//! Errors of the database.

use sqlx::migrate::MigrateError;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite or the file system refused.
    #[error("the database refused: {0}")]
    Sqlite(#[source] sqlx::Error),
    /// The statement took too long, or waited too long for those of others.
    #[error("the database took too long to answer")]
    TooSlow,
    /// The schema can't be brought up to date.
    #[error("the database can't be brought up to date: {0}")]
    Migration(#[source] MigrateError),
    /// Another program keeps the database locked.
    #[error("the database is locked by another program")]
    Locked,
    /// Too much waits to be written.
    #[error("too much waits to be written to the database")]
    QueueFull,
    /// It has migrations that this version does not know. Nothing was changed.
    #[error(
        "the database was written by a newer version of the server: this one does not know its migration {migration}; start the newer version again, or restore a backup that was made before it"
    )]
    NewerVersion {
        /// The first unknown migration.
        migration: i64,
    },
    /// A write came after the database was closed.
    #[error("the database is closed because the server is shutting down")]
    Closed,
}

/// The cause of an error, by SQLite's code.
enum Cause {
    /// Another connection has a lock (`SQLITE_BUSY`, `SQLITE_LOCKED`).
    Lock,
    /// The statement was interrupted (`SQLITE_INTERRUPT`).
    Interrupt,
    /// The values cannot be stored (`SQLITE_TOOBIG`, `SQLITE_CONSTRAINT`, `SQLITE_MISMATCH`,
    /// `SQLITE_RANGE`).
    Content,
    Other,
}

fn cause(error: &sqlx::Error) -> Cause {
    let sqlx::Error::Database(error) = error else { return Cause::Other };
    // The lowest byte of an extended code is the primary one.
    match error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
        Some(5 | 6) => Cause::Lock,
        Some(9) => Cause::Interrupt,
        Some(18 | 19 | 20 | 25) => Cause::Content,
        _ => Cause::Other,
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match (&error, cause(&error)) {
            (sqlx::Error::PoolTimedOut, _) | (_, Cause::Interrupt) => Self::TooSlow,
            (sqlx::Error::PoolClosed, _) => Self::Closed,
            (_, Cause::Lock) => Self::Locked,
            _ => Self::Sqlite(error),
        }
    }
}

impl From<MigrateError> for DatabaseError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(migration) => Self::NewerVersion { migration },
            error => Self::Migration(error),
        }
    }
}

impl DatabaseError {
    /// Returns true when the same may succeed in a moment.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::TooSlow | Self::Locked | Self::QueueFull)
    }

    /// Returns true when the row itself is at fault, so that another try cannot succeed.
    pub(super) fn is_content(&self) -> bool {
        matches!(self, Self::Sqlite(error) if matches!(cause(error), Cause::Content))
    }

    /// Returns true when a UNIQUE constraint refused the statement.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Sqlite(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}
