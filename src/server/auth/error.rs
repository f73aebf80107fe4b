//! Errors of authentication.

use axum::response::{IntoResponse, Response};

use super::passwords::{HashError, HasherBusy, WeakPassword};
use super::scope::InvalidScope;
use crate::{ApiError, database::DatabaseError};

/// A refused sign-in or credential.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown e-mail or wrong password; the message does not say which.
    #[error("The email or password provided is incorrect. Please check for typos and try logging in again.")]
    WrongCredentials,
    /// The current password of a change is wrong.
    #[error("The current password is incorrect.")]
    WrongPassword,
    /// Too many attempts; the next is allowed after this many seconds.
    #[error("Too many attempts. Please try again in {0} seconds.")]
    TooManyAttempts(u64),
    /// No credential was sent.
    #[error("Not authenticated")]
    NotAuthenticated,
    /// The session of the cookie is unknown or has ended.
    #[error("Your session has expired or the token is invalid. Please sign in again.")]
    InvalidToken,
    /// The API key in a header is unknown or revoked.
    #[error(
        "Incorrect API key: it was mistyped or revoked, or is of another server. Make a new one on the account page of this server and enter it in your program."
    )]
    UnknownKey,
    /// The header holds no API key and no token of a session.
    #[error(
        "Incorrect API key: keys of this server begin with sk- and are made on its account page. If this is the token of a session, that has ended; sign in again."
    )]
    UnknownToken,
    /// The route is for admins.
    #[error("You do not have permission to access this resource. Please contact your administrator for assistance.")]
    Forbidden,
    /// The route needs a session; an API key is not enough.
    #[error("This needs a signed-in person; an API key can't do it.")]
    PersonOnly,
    /// The API key has not the scope of the route.
    #[error("This API key can't be used for this; it needs the scope {0}. Make one that has it on the account page.")]
    MissingScope(&'static str),
    /// The API key has expired.
    #[error("This API key has expired. Make a new one on the account page.")]
    KeyExpired,
    /// The change needs the current password, and the session is older than a few minutes.
    #[error("This needs your current password again, as current_password.")]
    PasswordNeeded,
    /// A user asks for a key with the scope of admins.
    #[error("Only an administrator can make an API key with the scope admin.")]
    AdminScope,
    /// A key would allow nothing.
    #[error("An API key needs at least one scope: chat, usage or admin.")]
    NoScope,
    /// A scope that does not exist.
    #[error(transparent)]
    BadScope(#[from] InvalidScope),
    /// The time a new key expires at is over, or too far ahead.
    #[error("The expiry of an API key has to be a time in the next {0} days, in seconds since 1970.")]
    BadExpiry(i64),
    /// The user has no such API key.
    #[error("There is no such API key.")]
    NoSuchApiKey,
    /// The name of an API key is empty or too long.
    #[error("The name of an API key has 1 to 100 characters.")]
    BadKeyName,
    /// Too many API keys.
    #[error("You have {0} API keys, which is the most; remove one first.")]
    TooManyApiKeys(i64),
    /// The new password is too short or too long.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Busy(#[from] HasherBusy),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<HashError> for AuthError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Weak(error) => error.into(),
            HashError::Busy(error) => error.into(),
        }
    }
}

impl IntoResponse for AuthError {
    fn into_response(self) -> Response {
        ApiError::from(self).into_response()
    }
}
