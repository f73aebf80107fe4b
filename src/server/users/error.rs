//! Errors of users.

use super::link::LinkError;
use crate::{
    auth::{HashError, HasherBusy, WeakPassword},
    database::DatabaseError,
    user::InvalidRole,
};

/// A user that was not added, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The name is empty or too long.
    #[error("A name has 1 to 100 characters.")]
    BadName,
    /// The e-mail has no valid form.
    #[error("This does not look like an email address. Please check it for typos.")]
    BadEmail,
    /// The password is too short or too long.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// The role is neither admin nor user.
    #[error(transparent)]
    BadRole(#[from] InvalidRole),
    /// The language is not supported.
    #[error("The language has to be en or pl.")]
    BadLocale,
    /// Another account has this e-mail.
    #[error("This email is already registered. Please use another one.")]
    EmailTaken,
    /// All accounts are taken.
    #[error("All {0} accounts are in use; remove one before you add another.")]
    Full(u32),
    /// Registration is closed.
    #[error("Registration is closed. Please ask your administrator for an account.")]
    RegistrationClosed,
    /// An account exists already.
    #[error("There is an account already.")]
    NotFirst,
    /// No such user, or a removed one.
    #[error("There is no such user.")]
    NotFound,
    /// It would leave no admin.
    #[error("This is the last administrator; make somebody else one first.")]
    LastAdmin,
    /// An API key asks for a change that needs a session.
    #[error("This needs a signed-in person; an API key can't do it.")]
    PersonOnly,
    /// Somebody with this e-mail has an invitation that works.
    #[error("This email is invited already. Renew the invitation if its link was lost.")]
    AlreadyInvited,
    /// A one-time link does not work.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Admins cannot remove themselves.
    #[error("You can't remove yourself.")]
    Yourself,
    /// Too many passwords wait to be hashed.
    #[error(transparent)]
    Busy(#[from] HasherBusy),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl From<HashError> for UserError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Weak(error) => error.into(),
            HashError::Busy(error) => error.into(),
        }
    }
}
