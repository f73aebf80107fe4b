//! Errors of checking and saving a connection.

use crate::database::DatabaseError;

/// A connection that was not saved.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The base URL cannot be used.
    #[error("{0}")]
    BadUrl(String),
    /// The key holds characters that no header can carry.
    #[error("This key holds characters that keys never have; please copy it again.")]
    BadKey,
    /// The upstream refused; its own message.
    #[error("The upstream refused: {0}")]
    Refused(String),
    /// The upstream did not answer, or not like one.
    #[error("{0}")]
    Unreachable(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
