//! Errors of the database.

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// SQLite or the file system refused.
    #[error("the database refused: {0}")]
    Sqlite(#[from] sqlx::Error),
    /// The schema can't be brought up to date.
    #[error("the database can't be brought up to date: {0}; it may have been written by a newer version")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A write came after the database was closed.
    #[error("the database is closed because the server is shutting down")]
    Closed,
}

impl DatabaseError {
    /// Returns true when a UNIQUE constraint refused the statement.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Sqlite(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}
