//! The outcome of a form, shown when its page is drawn again: that it worked, or what the reader
//! has to correct.

mod texts;

use axum::http::StatusCode;

use super::{error_page::PageError, layout::Notice, upstream_problem};
use crate::{
    auth::AuthError,
    chat::{ChatError, CompletionError},
    connection::ConnectionError,
    error::HttpStatus,
    i18n::Locale,
    usage::{BudgetError, InvalidBudget},
    users::{LinkError, UserError},
};
use texts::ProblemTexts;

/// A failure that a form can cause.
pub(super) trait FormError: Into<PageError> {
    /// Returns the problem in the reader's language, or `None` when the reader cannot correct it.
    fn problem(&self, locale: Locale) -> Option<Notice>;

    /// Returns the status of the page that is drawn again.
    fn status(&self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// The status of a page with a form, and the notice above it.
pub(super) struct FormOutcome {
    pub(super) status: StatusCode,
    pub(super) notice: Option<Notice>,
}

impl FormOutcome {
    /// The form was not sent yet.
    pub(super) fn none() -> Self {
        Self { status: StatusCode::OK, notice: None }
    }

    /// The form was accepted.
    pub(super) fn success(notice: Notice) -> Self {
        Self { status: StatusCode::OK, notice: Some(notice) }
    }

    /// The form was refused.
    pub(super) fn problem(status: StatusCode, notice: Notice) -> Self {
        Self { status, notice: Some(notice) }
    }
}

impl FormError for UserError {
    fn problem(&self, locale: Locale) -> Option<Notice> {
        let t = ProblemTexts(locale);
        Some(Notice::problem(match self {
            Self::BadName => t.bad_name(),
            Self::BadEmail => t.bad_email(),
            Self::WeakPassword(_) => t.weak_password(),
            Self::EmailTaken => t.email_taken(),
            Self::Full(_) => t.full(),
            Self::NotFirst | Self::RegistrationClosed => t.registration_closed(),
            Self::Busy(_) => t.hasher_busy(),
            Self::LastAdmin => t.last_admin(),
            Self::Yourself => t.yourself(),
            Self::AlreadyInvited => t.already_invited(),
            Self::Link(LinkError::Unknown) => t.link_unknown(),
            Self::Link(LinkError::Used) => t.link_used(),
            Self::Link(LinkError::Expired) => t.link_expired(),
            // The pages offer no other role or language.
            Self::BadRole(_) | Self::BadLocale | Self::NotFound | Self::PersonOnly | Self::Database(_) => return None,
        }))
    }

    fn status(&self) -> StatusCode {
        HttpStatus::status(self)
    }
}

impl FormError for AuthError {
    fn problem(&self, locale: Locale) -> Option<Notice> {
        let t = ProblemTexts(locale);
        Some(Notice::problem(match self {
            Self::WrongCredentials => t.wrong_credentials().to_owned(),
            Self::WrongPassword => t.wrong_password().to_owned(),
            Self::TooManyAttempts(seconds) => t.too_many_attempts(*seconds),
            Self::Busy(_) => t.hasher_busy().to_owned(),
            Self::WeakPassword(_) => t.weak_password().to_owned(),
            Self::BadKeyName => t.bad_key_name().to_owned(),
            Self::TooManyApiKeys(most) => t.too_many_keys(*most),
            Self::PasswordNeeded => t.password_needed().to_owned(),
            Self::BadExpiry(_) => t.bad_expiry().to_owned(),
            Self::AdminScope => t.admin_scope().to_owned(),
            Self::NotAuthenticated
            | Self::InvalidToken
            | Self::UnknownKey
            | Self::UnknownToken
            | Self::Forbidden
            | Self::PersonOnly
            | Self::MissingScope(_)
            | Self::KeyExpired
            // The page offers no other scopes, and takes none for the default.
            | Self::NoScope
            | Self::BadScope(_)
            | Self::NoSuchApiKey
            | Self::Database(_) => return None,
        }))
    }

    fn status(&self) -> StatusCode {
        HttpStatus::status(self)
    }
}

impl FormError for ChatError {
    fn problem(&self, locale: Locale) -> Option<Notice> {
        let t = ProblemTexts(locale);
        Some(Notice::problem(match self {
            Self::Busy => t.answer_in_progress().to_owned(),
            Self::Empty => t.empty_message().to_owned(),
            Self::TooLong(most) => t.message_too_long(&locale.number(i64::try_from(*most).unwrap_or(i64::MAX))),
            Self::BadTitle(most) => t.bad_title(*most),
            Self::BadSearch { characters, words } => t.bad_search(*characters, *words),
            Self::Completion(CompletionError::NoConnection) => t.not_connected().to_owned(),
            Self::Completion(CompletionError::NotPrivate { .. }) => t.not_private().to_owned(),
            Self::Completion(CompletionError::Overloaded) => t.overloaded().to_owned(),
            Self::Completion(CompletionError::ModelNotFound) => t.model_not_found().to_owned(),
            Self::Completion(CompletionError::Upstream(error)) => upstream_problem::upstream_sentence(error, locale),
            // Only requests and answers of the JSON API can be wrong in these ways.
            Self::Completion(
                CompletionError::Malformed(_)
                | CompletionError::InvalidField { .. }
                | CompletionError::MayChooseModel { .. }
                | CompletionError::UnknownCoding
                | CompletionError::NotUnpacked
                | CompletionError::TooLarge(_)
                | CompletionError::Incomplete
                | CompletionError::NoApiAnswer(_)
                // Told in the answer.
                | CompletionError::OverBudget(_),
            )
            | Self::NotFound
            | Self::Database(_) => return None,
        }))
    }

    fn status(&self) -> StatusCode {
        HttpStatus::status(self)
    }
}

impl FormError for BudgetError {
    fn problem(&self, locale: Locale) -> Option<Notice> {
        let t = ProblemTexts(locale);
        match self {
            Self::Invalid(InvalidBudget::Limit) => Some(Notice::problem(t.bad_limit())),
            Self::Invalid(InvalidBudget::NoSuchSubject) => Some(Notice::problem(t.no_such_account())),
            Self::Invalid(InvalidBudget::NoRate) => Some(Notice::problem(t.no_rate())),
            // The page offers nothing else.
            Self::Invalid(
                InvalidBudget::Subject
                | InvalidBudget::NotFound
                | InvalidBudget::Currency
                | InvalidBudget::OtherCurrency,
            )
            | Self::Database(_) => None,
        }
    }
}

impl FormError for ConnectionError {
    fn problem(&self, locale: Locale) -> Option<Notice> {
        let text = upstream_problem::connection_sentence(self, locale)?;
        Some(Notice::problem(text).with_title(ProblemTexts(locale).connection_not_saved()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A problem, and a part of its English and Polish text.
    type Case<'a> = (&'a dyn Fn(Locale) -> Option<Notice>, &'a str, &'a str);

    #[test]
    fn problem_of_a_form_is_in_the_language_of_the_reader() {
        let problems: [Case; 3] = [
            (&|locale| UserError::LastAdmin.problem(locale), "last administrator", "ostatni administrator"),
            (&|locale| AuthError::TooManyApiKeys(5).problem(locale), "5 API keys", "5 kluczy API"),
            (&|locale| ConnectionError::BadKey.problem(locale), "Copy it again", "Skopiuj go"),
        ];
        for (problem, english, polish) in problems {
            for (locale, words) in [(Locale::En, english), (Locale::Pl, polish)] {
                let text = problem(locale).map(|notice| notice.text);
                assert!(text.as_ref().is_some_and(|text| text.contains(words)), "{text:?}");
            }
        }
    }

    #[test]
    fn problem_the_reader_cannot_correct_has_no_text() {
        assert!(UserError::NotFound.problem(Locale::En).is_none());
        assert!(AuthError::Forbidden.problem(Locale::En).is_none());
    }
}
