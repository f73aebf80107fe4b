//! The HTTP status of every room's errors. The JSON API and the pages answer by this table;
//! requests that no handler accepts (unknown routes, malformed bodies, other sites) are refused
//! where they are read.

use std::fmt::Display;

use axum::http::StatusCode;

use super::{
    ApiError,
    auth::AuthError,
    chat::{ChatError, CompletionError},
    connection::ConnectionError,
    database::DatabaseError,
    usage::InvalidMonth,
    users::UserError,
};

/// An error with an HTTP status.
pub(super) trait HttpStatus: Display {
    /// Returns the status of the answer.
    fn status(&self) -> StatusCode;

    /// Returns the database error that caused it: its text is for the log, not for the caller.
    fn database_error(&self) -> Option<&DatabaseError> {
        None
    }

    /// Returns the seconds until another attempt is allowed.
    fn retry_after(&self) -> Option<u64> {
        None
    }
}

impl<E: HttpStatus> From<E> for ApiError {
    fn from(error: E) -> Self {
        if let Some(cause) = error.database_error() {
            tracing::error!(error = %cause, "the database failed a request");
            return Self::new(error.status(), "The server could not reach its database. Please try again.");
        }
        let answer = Self::new(error.status(), error.to_string());
        match error.retry_after() {
            Some(seconds) => answer.retry_after(seconds),
            None => answer,
        }
    }
}

impl HttpStatus for DatabaseError {
    fn status(&self) -> StatusCode {
        StatusCode::INTERNAL_SERVER_ERROR
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        Some(self)
    }
}

impl HttpStatus for UserError {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadName
            | Self::BadEmail
            | Self::WeakPassword(_)
            | Self::BadRole
            | Self::BadLocale
            | Self::EmailTaken => StatusCode::BAD_REQUEST,
            Self::Full(_) | Self::NotFirst | Self::LastAdmin | Self::Yourself => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Database(error) => error.status(),
        }
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl HttpStatus for AuthError {
    fn status(&self) -> StatusCode {
        match self {
            Self::WrongCredentials | Self::WrongPassword | Self::BadKeyName | Self::TooManyApiKeys(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NotAuthenticated | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::RegistrationClosed | Self::Forbidden | Self::PersonOnly => StatusCode::FORBIDDEN,
            Self::NoSuchApiKey => StatusCode::NOT_FOUND,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::User(error) => error.status(),
            Self::Database(error) => error.status(),
        }
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            Self::User(error) => error.database_error(),
            Self::Database(error) => Some(error),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts(seconds) => Some(*seconds),
            _ => None,
        }
    }
}

impl HttpStatus for ConnectionError {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadUrl(_) | Self::BadKey | Self::Refused(_) => StatusCode::BAD_REQUEST,
            Self::Unreachable(_) => StatusCode::BAD_GATEWAY,
            Self::Database(error) => error.status(),
        }
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl HttpStatus for CompletionError {
    fn status(&self) -> StatusCode {
        match self {
            Self::ModelNotFound | Self::Malformed(_) | Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::NoConnection => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl HttpStatus for ChatError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Empty | Self::TooLong(_) | Self::BadTitle(_) => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Busy => StatusCode::CONFLICT,
            Self::Completion(error) => error.status(),
            Self::Database(error) => error.status(),
        }
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl HttpStatus for InvalidMonth {
    fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}
