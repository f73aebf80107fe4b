//! What the service functions refuse, said in the reader's language; their own sentences are English.

use crate::{
    auth::AuthError,
    chat::{AskError, ChatError},
    i18n::{Locale, Texts},
    users::UserError,
};

/// A refused account. `None` when it is not the reader's doing and a page of its own has to say so.
pub(super) fn user(t: &Texts, error: &UserError) -> Option<String> {
    Some(match error {
        UserError::BadName => t.users.name_missing.to_owned(),
        UserError::BadEmail => t.users.email_invalid.to_owned(),
        UserError::WeakPassword(_) => t.users.password_short.to_owned(),
        UserError::EmailTaken => t.users.email_taken.to_owned(),
        UserError::Full(_) => t.users.full.to_owned(),
        UserError::NotFirst => t.door.closed.to_owned(),
        UserError::BadRole | UserError::BadLocale | UserError::LastAdmin | UserError::Yourself => error.to_string(),
        UserError::NotFound | UserError::Database(_) => return None,
    })
}

/// A refused sign-in or registration.
pub(super) fn auth(t: &Texts, error: &AuthError) -> Option<String> {
    Some(match error {
        AuthError::WrongCredentials => t.door.wrong.to_owned(),
        AuthError::WrongPassword => t.account.password_wrong.to_owned(),
        AuthError::TooManyAttempts(_) => t.door.too_many_tries.to_owned(),
        AuthError::RegistrationClosed => t.door.closed.to_owned(),
        AuthError::BadKeyName | AuthError::TooManyApiKeys(_) => error.to_string(),
        AuthError::User(error) => return user(t, error),
        AuthError::NotAuthenticated
        | AuthError::InvalidToken
        | AuthError::Forbidden
        | AuthError::PersonOnly
        | AuthError::NoSuchApiKey
        | AuthError::Database(_) => return None,
    })
}

/// A question that was not put.
pub(super) fn chat(locale: Locale, error: &ChatError) -> Option<String> {
    let t = &locale.texts().chat;
    Some(match error {
        ChatError::Busy => t.busy.to_owned(),
        ChatError::Empty => t.empty_message.to_owned(),
        ChatError::TooLong(most) => (t.too_long)(&locale.number(i64::try_from(*most).unwrap_or(i64::MAX))),
        ChatError::BadTitle(most) => (t.bad_title)(*most),
        ChatError::Ask(AskError::NoConnection) => t.not_connected.to_owned(),
        ChatError::Ask(AskError::ModelNotFound) => t.model_gone.to_owned(),
        // The upstream's own words.
        ChatError::Ask(error) => error.to_string(),
        ChatError::NotFound | ChatError::Database(_) => return None,
    })
}
