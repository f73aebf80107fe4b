//! Errors of checking and saving a connection.

use crate::database::DatabaseError;
use mai_openrouter::UpstreamError;

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
    #[error("{}", .0.sentence())]
    Unreachable(#[source] UpstreamError),
    /// The upstream at this base URL has no list of models.
    #[error("There is no {0}/models; is the base URL right? OpenRouter's is https://openrouter.ai/api/v1")]
    NoModels(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}
