//! What has to survive a restart where there is no cluster to keep it: a SQLite state database.

/// Why the state database could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The database refused.
    #[error("state database {path}: {source}")]
    Database {
        /// Its file.
        path: String,
        /// What SQLite said.
        source: sqlx::Error,
    },
}
