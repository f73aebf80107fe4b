//! Errors of the database.

use sqlx::migrate::MigrateError;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite or the file system refused.
    #[error("the database refused: {0}")]
    Sqlite(#[from] sqlx::Error),
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

impl From<MigrateError> for DatabaseError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(migration) => Self::NewerVersion { migration },
            error => Self::Migration(error),
        }
    }
}

impl DatabaseError {
    /// Returns true when a UNIQUE constraint refused the statement.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Sqlite(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}
