//! The HTTP status of every room's errors. The JSON API and the pages answer by this table;
//! requests that no handler accepts (unknown routes, malformed bodies, other sites) are refused
//! where they are read.

use axum::http::StatusCode;
use mai_openrouter::UpstreamError;

use super::{
    auth::{AuthError, BUSY_SECONDS},
    chat::{ChatError, CompletionError},
    connection::ConnectionError,
    database::DatabaseError,
    error::HttpStatus,
    rates::RateError,
    statement::StatementError,
    usage::{BudgetError, InvalidBudget, InvalidMonth},
    user::InvalidRole,
    users::{LinkError, UserError},
};

impl HttpStatus for DatabaseError {
    fn status(&self) -> StatusCode {
        match self {
            Self::TooSlow | Self::Locked | Self::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
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
            | Self::BadRole(_)
            | Self::BadLocale
            | Self::EmailTaken
            | Self::AlreadyInvited => StatusCode::BAD_REQUEST,
            Self::Link(LinkError::Unknown) => StatusCode::NOT_FOUND,
            Self::Link(LinkError::Used | LinkError::Expired) => StatusCode::GONE,
            Self::RegistrationClosed
            | Self::Full(_)
            | Self::NotFirst
            | Self::LastAdmin
            | Self::Yourself
            | Self::PersonOnly => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) => error.status(),
        }
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Busy(_)).then_some(BUSY_SECONDS)
    }
}

impl HttpStatus for RateError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Day(_) => StatusCode::BAD_REQUEST,
            Self::Known(_) => StatusCode::CONFLICT,
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

impl HttpStatus for StatementError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotClosed { .. } | Self::TooEarly(_) => StatusCode::NOT_FOUND,
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
            Self::WrongCredentials
            | Self::WrongPassword
            | Self::WeakPassword(_)
            | Self::BadKeyName
            | Self::NoScope
            | Self::BadScope(_)
            | Self::BadExpiry(_)
            | Self::TooManyApiKeys(_) => StatusCode::BAD_REQUEST,
            Self::NotAuthenticated | Self::InvalidToken | Self::UnknownKey | Self::UnknownToken | Self::KeyExpired => {
                StatusCode::UNAUTHORIZED
            }
            Self::Forbidden | Self::PersonOnly | Self::MissingScope(_) | Self::PasswordNeeded | Self::AdminScope => {
                StatusCode::FORBIDDEN
            }
            Self::NoSuchApiKey => StatusCode::NOT_FOUND,
            Self::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Database(error) => error.status(),
        }
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyAttempts(seconds) => Some(*seconds),
            Self::Busy(_) => Some(BUSY_SECONDS),
            _ => None,
        }
    }
}

impl HttpStatus for ConnectionError {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadUrl { .. }
            | Self::BadKey
            | Self::Refused { .. }
            | Self::Upstream(UpstreamError::InvalidUrl { .. } | UpstreamError::AddressRefused { .. }) => {
                StatusCode::BAD_REQUEST
            }
            Self::Upstream(_) | Self::NoModels(_) => StatusCode::BAD_GATEWAY,
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
            Self::ModelNotFound
            | Self::Malformed(_)
            | Self::InvalidField { .. }
            | Self::MayChooseModel { .. }
            | Self::NotUnpacked
            | Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownCoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            // A 429 would be repeated by clients.
            Self::OverBudget(_) => StatusCode::PAYMENT_REQUIRED,
            Self::NoApiAnswer(_) | Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::NoConnection | Self::NotPrivate { .. } | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl HttpStatus for ChatError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Empty | Self::TooLong(_) | Self::BadTitle(_) | Self::BadSearch { .. } => StatusCode::BAD_REQUEST,
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

impl HttpStatus for BudgetError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(
                InvalidBudget::Limit | InvalidBudget::Subject | InvalidBudget::Currency | InvalidBudget::OtherCurrency,
            ) => StatusCode::BAD_REQUEST,
            Self::Invalid(InvalidBudget::NoRate) => StatusCode::CONFLICT,
            Self::Invalid(InvalidBudget::NoSuchSubject | InvalidBudget::NotFound) => StatusCode::NOT_FOUND,
            Self::Database(error) => error.status(),
        }
    }

    fn database_error(&self) -> Option<&DatabaseError> {
        match self {
            Self::Database(error) => Some(error),
            Self::Invalid(_) => None,
        }
    }
}

impl HttpStatus for InvalidRole {
    fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

impl HttpStatus for InvalidMonth {
    fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}
