//! The people of the client: one admin or more, and users.

mod create;
mod find;
mod remove;
mod update;
mod user;

pub use create::{NewUser, When, create};
pub(super) use create::{create_declared_admin, insert};
pub use find::{PER_PAGE, Page, all, anybody, count, get, list};
pub(super) use find::{find, timestamp};
pub use remove::remove;
pub use update::{UserChange, set_locale, set_name, update};
pub use user::{LOCALES, Role, User, UserId};

use axum::http::StatusCode;

use super::{ApiError, auth::WeakPassword, database::DatabaseError};

/// Why a person could not be added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name is empty or too long.
    #[error("A name has 1 to 100 characters.")]
    BadName,
    /// The e-mail doesn't look like one.
    #[error("This does not look like an email address. Please check it for typos.")]
    BadEmail,
    /// The password is too short or too long.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// The role is neither admin nor user.
    #[error("The role has to be admin or user.")]
    BadRole,
    /// The language is not one of ours.
    #[error("The language has to be en or pl.")]
    BadLocale,
    /// Somebody has this e-mail already.
    #[error("This email is already registered. Please use another one.")]
    EmailTaken,
    /// All accounts are taken.
    #[error("All {0} accounts are in use; remove one before you add another.")]
    Full(u32),
    /// There is somebody already, so nobody can be the first.
    #[error("There is an account already.")]
    NotFirst,
    /// There is no such living user.
    #[error("There is no such user.")]
    NotFound,
    /// It would leave nobody in charge.
    #[error("This is the last administrator; make somebody else one first.")]
    LastAdmin,
    /// Admins don't remove themselves.
    #[error("You can't remove yourself.")]
    Yourself,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let sentence = error.to_string();
        match error {
            UserError::Database(error) => error.into(),
            UserError::Full(_) | UserError::NotFirst | UserError::LastAdmin | UserError::Yourself => {
                Self::new(StatusCode::FORBIDDEN, sentence)
            }
            UserError::NotFound => Self::new(StatusCode::NOT_FOUND, sentence),
            UserError::BadName
            | UserError::BadEmail
            | UserError::WeakPassword(_)
            | UserError::BadRole
            | UserError::BadLocale
            | UserError::EmailTaken => Self::new(StatusCode::BAD_REQUEST, sentence),
        }
    }
}
