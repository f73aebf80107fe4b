//! Who is calling, and may they: passwords, sessions, API keys, and the extractors that ask for them.

mod account;
mod api_keys;
mod cookie;
mod extractor;
mod passwords;
mod peer;
mod sessions;
mod sign_in;
mod throttle;
mod token;

pub use account::{change_password, register};
pub use api_keys::{ApiKey, NewApiKey, create_api_key, list_api_keys, remove_api_key};
pub use cookie::{SetCookie, clear_cookie, set_cookie};
pub(super) use extractor::bearer;
pub use extractor::{Admin, Credential, CurrentUser, Person, authenticate};
pub use passwords::{PasswordHasher, WeakPassword};
pub use peer::Peer;
pub(super) use sessions::end_sessions_of;
pub use sessions::{SESSION_LIFETIME, SessionCache};
pub use sign_in::{SignedIn, sign_in, sign_out};
pub use throttle::Throttle;
pub use token::{Token, TokenHash};

use axum::http::StatusCode;

use super::{ApiError, database::DatabaseError, users::UserError};

/// Why a sign-in, a registration or a credential was refused.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Unknown e-mail or wrong password; which of both is not told.
    #[error("The email or password provided is incorrect. Please check for typos and try logging in again.")]
    WrongCredentials,
    /// The current password given for a change is wrong.
    #[error("The current password is incorrect.")]
    WrongPassword,
    /// Too many tries; try again after so many seconds.
    #[error("Too many attempts. Please try again in {0} seconds.")]
    TooManyAttempts(u64),
    /// Registration is closed, or somebody was first.
    #[error("Registration is closed. Please ask your administrator for an account.")]
    RegistrationClosed,
    /// No credential was sent.
    #[error("Not authenticated")]
    NotAuthenticated,
    /// The credential is unknown, expired or revoked.
    #[error("Your session has expired or the token is invalid. Please sign in again.")]
    InvalidToken,
    /// The route is for admins.
    #[error("You do not have permission to access this resource. Please contact your administrator for assistance.")]
    Forbidden,
    /// The route is for people who signed in, not for API keys.
    #[error("This needs a signed-in person; an API key can't do it.")]
    PersonOnly,
    /// There is no such API key of this user.
    #[error("There is no such API key.")]
    NoSuchApiKey,
    /// The name of an API key is empty or too long.
    #[error("The name of an API key has 1 to 100 characters.")]
    BadKeyName,
    /// Too many API keys.
    #[error("You have {0} API keys, which is the most; remove one first.")]
    TooManyApiKeys(i64),
    /// The account itself was refused.
    #[error(transparent)]
    User(#[from] UserError),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let sentence = error.to_string();
        match error {
            AuthError::User(error) => error.into(),
            AuthError::Database(error) => error.into(),
            AuthError::TooManyAttempts(seconds) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, sentence).retry_after(seconds)
            }
            AuthError::WrongCredentials
            | AuthError::WrongPassword
            | AuthError::BadKeyName
            | AuthError::TooManyApiKeys(_) => Self::new(StatusCode::BAD_REQUEST, sentence),
            AuthError::NotAuthenticated | AuthError::InvalidToken => Self::new(StatusCode::UNAUTHORIZED, sentence),
            AuthError::RegistrationClosed | AuthError::Forbidden | AuthError::PersonOnly => {
                Self::new(StatusCode::FORBIDDEN, sentence)
            }
            AuthError::NoSuchApiKey => Self::new(StatusCode::NOT_FOUND, sentence),
        }
    }
}

impl axum::response::IntoResponse for AuthError {
    fn into_response(self) -> axum::response::Response {
        ApiError::from(self).into_response()
    }
}
