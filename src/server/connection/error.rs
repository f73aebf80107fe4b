//! Errors of checking and saving a connection.

use crate::database::DatabaseError;
use http::StatusCode;
use mai_openrouter::UpstreamError;

/// A connection that was not saved.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The base URL cannot be used.
    #[error("{}", .problem.sentence(.url))]
    BadUrl {
        /// The base URL as it was given.
        url: String,
        /// The reason it cannot be used.
        problem: UrlProblem,
    },
    /// The key holds characters that no header can carry.
    #[error("This key holds characters that keys never have; please copy it again.")]
    BadKey,
    /// The upstream refused the key or the request.
    #[error("The upstream refused: {message} (HTTP {})", .status.as_u16())]
    Refused {
        /// The status of its answer.
        status: StatusCode,
        /// Its own message.
        message: String,
    },
    /// The upstream did not answer, or not like one.
    #[error("{}", .0.sentence())]
    Upstream(#[source] UpstreamError),
    /// The upstream at this base URL has no list of models.
    #[error("There is no {0}/models; is the base URL right? OpenRouter's is https://openrouter.ai/api/v1")]
    NoModels(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The reason a text cannot be a base URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UrlProblem {
    /// It is no URL.
    Malformed,
    /// It begins with neither `https://` nor `http://`.
    Scheme,
    /// It holds a user name or a password, which no message may repeat.
    Credentials,
    /// It has a query or a fragment.
    QueryOrFragment,
    /// Its port is that of another protocol.
    Port,
    /// It is longer than any address.
    TooLong,
}

impl UrlProblem {
    /// Returns the English sentence, for the JSON API.
    fn sentence(self, url: &str) -> String {
        let reason = match self {
            Self::Malformed => "write it like https://openrouter.ai/api/v1",
            Self::Scheme => "it has to begin with https:// or http://",
            Self::QueryOrFragment => "it ends before any ? or #",
            Self::Port => "its port belongs to another protocol than HTTP",
            Self::TooLong => "it is too long",
            Self::Credentials => {
                return "A base URL holds no user name or password; the key has its own field.".to_owned();
            }
        };
        format!("{url:?} can't be a base URL: {reason}")
    }
}
