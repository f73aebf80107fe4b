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

/// SQLite's code for an interrupted statement.
const INTERRUPTED: &str = "9";

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::PoolTimedOut => Self::TooSlow,
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::Database(cause) if cause.code().as_deref() == Some(INTERRUPTED) => Self::TooSlow,
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
        matches!(self, Self::TooSlow)
    }

    /// Returns true when a UNIQUE constraint refused the statement.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Sqlite(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}
