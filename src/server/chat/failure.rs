//! The reason an answer was not completed: stored as a code, worded in the reader's language when
//! shown.

use std::fmt;

use axum::http::StatusCode;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::error::CompletionError;
use super::failure_texts::FailureTexts;
use crate::i18n::Locale;
use mai_openrouter::UpstreamError;

/// The reason an answer was not completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFailure {
    /// The kind of failure.
    pub code: FailureCode,
    /// The HTTP status of a refusal.
    pub status: Option<u16>,
    /// The provider's own words, unchanged.
    pub words: Option<String>,
}

/// The kind of failure of an answer; it decides the sentence that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureCode {
    /// The server ended first.
    Interrupted,
    /// The connection to the provider was lost during the answer.
    ConnectionLost,
    /// The provider reported an error during the answer.
    StoppedByProvider,
    /// The provider did not accept the key.
    KeyRejected,
    /// The provider's account or key has no credit.
    NoCredit,
    /// The provider does not allow the request.
    NotAllowed,
    /// The provider does not have the model.
    ModelUnavailable,
    /// The provider is busy or temporarily down.
    Busy,
    /// The provider cannot process the request, for instance because it is too long.
    RequestRejected,
    /// Any other refusal.
    Refused,
    /// The provider could not be reached.
    Unreachable,
    /// The address or the key of the connection cannot be used.
    BadConnection,
    /// No provider is connected.
    NoConnection,
    /// The model is not offered here.
    ModelNotFound,
    /// A failure recorded by another version of this server; its words are the whole sentence.
    Worded,
}

/// The codes in the database and the JSON API.
const CODES: [(FailureCode, &str); 14] = [
    (FailureCode::Interrupted, "interrupted"),
    (FailureCode::ConnectionLost, "connection_lost"),
    (FailureCode::StoppedByProvider, "stopped_by_provider"),
    (FailureCode::KeyRejected, "key_rejected"),
    (FailureCode::NoCredit, "no_credit"),
    (FailureCode::NotAllowed, "not_allowed"),
    (FailureCode::ModelUnavailable, "model_unavailable"),
    (FailureCode::Busy, "busy"),
    (FailureCode::RequestRejected, "request_rejected"),
    (FailureCode::Refused, "refused"),
    (FailureCode::Unreachable, "unreachable"),
    (FailureCode::BadConnection, "bad_connection"),
    (FailureCode::NoConnection, "no_connection"),
    (FailureCode::ModelNotFound, "model_not_found"),
];

impl FailureCode {
    /// Returns the text in the database and the JSON API. A [`FailureCode::Worded`] has none.
    pub fn as_str(self) -> Option<&'static str> {
        CODES.iter().find(|(code, _)| *code == self).map(|(_, text)| *text)
    }

    /// Returns the code of a database column; one of a newer version is [`FailureCode::Worded`].
    fn from_column(text: &str) -> Self {
        CODES.iter().find(|(_, known)| *known == text).map_or(Self::Worded, |(code, _)| *code)
    }

    /// Returns the code of the provider's refusal with this status.
    fn from_status(status: u16) -> Self {
        match status {
            401 => Self::KeyRejected,
            402 => Self::NoCredit,
            403 => Self::NotAllowed,
            404 => Self::ModelUnavailable,
            408 | 429 | 502 | 503 | 524 | 529 => Self::Busy,
            400 | 413 | 422 => Self::RequestRejected,
            _ => Self::Refused,
        }
    }
}

impl AnswerFailure {
    /// A failure without words of the provider.
    pub(super) fn new(code: FailureCode) -> Self {
        Self { code, status: None, words: None }
    }

    /// A failure with the provider's words.
    pub(super) fn with_words(code: FailureCode, words: impl Into<String>) -> Self {
        Self { code, status: None, words: Some(words.into()) }
    }

    /// A refusal of the provider.
    pub(super) fn refused(status: StatusCode, words: String) -> Self {
        let status = status.as_u16();
        Self { code: FailureCode::from_status(status), status: Some(status), words: Some(words) }
    }

    /// A failure recorded as a sentence.
    pub(crate) fn worded(sentence: impl Into<String>) -> Self {
        Self::with_words(FailureCode::Worded, sentence)
    }

    /// Reads a row of table `message`. Rows of earlier versions have a sentence in `error`.
    pub(super) fn from_row(row: &SqliteRow) -> Result<Option<Self>, sqlx::Error> {
        Ok(match row.try_get::<Option<&str>, _>("failure")? {
            Some(code) => Some(Self {
                code: FailureCode::from_column(code),
                status: row.try_get("failure_status")?,
                words: row.try_get("failure_words")?,
            }),
            None => row.try_get::<Option<String>, _>("error")?.filter(|text| !text.is_empty()).map(Self::worded),
        })
    }

    /// Returns the sentence for a reader, with the provider's words unchanged.
    pub(crate) fn sentence(&self, locale: Locale) -> String {
        let t = FailureTexts(locale);
        let words = self.words.as_deref().unwrap_or_default();
        let advice = match self.code {
            FailureCode::KeyRejected => t.key_rejected(),
            FailureCode::NoCredit => t.no_credit(),
            FailureCode::NotAllowed => t.not_allowed(),
            FailureCode::ModelUnavailable => t.choose_another_model(),
            FailureCode::Busy => t.try_later(),
            FailureCode::RequestRejected => t.shorten(),
            FailureCode::Refused => t.try_again(),
            FailureCode::Interrupted => return t.interrupted().to_owned(),
            FailureCode::ConnectionLost => return t.connection_lost().to_owned(),
            FailureCode::StoppedByProvider => return t.stopped_by_provider(words),
            FailureCode::Unreachable => return t.unreachable(words),
            FailureCode::BadConnection => return t.bad_connection(words),
            FailureCode::NoConnection => return t.no_connection().to_owned(),
            FailureCode::ModelNotFound => return t.model_not_found().to_owned(),
            FailureCode::Worded => return words.to_owned(),
        };
        let status = self.status.map(|status| format!(" ({status})")).unwrap_or_default();
        t.refused(words.trim_end_matches('.'), &status, advice)
    }
}

impl fmt::Display for AnswerFailure {
    /// The English sentence, for the JSON API.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(Locale::En))
    }
}

impl From<CompletionError> for AnswerFailure {
    fn from(error: CompletionError) -> Self {
        match error {
            CompletionError::NoConnection => Self::new(FailureCode::NoConnection),
            CompletionError::ModelNotFound => Self::new(FailureCode::ModelNotFound),
            CompletionError::Upstream(error) => error.into(),
            CompletionError::Malformed(_) | CompletionError::TooLarge(_) | CompletionError::Incomplete => {
                Self::with_words(FailureCode::RequestRejected, error.to_string())
            }
        }
    }
}

impl From<UpstreamError> for AnswerFailure {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::InvalidUrl { .. } | UpstreamError::InvalidKey | UpstreamError::InvalidResponse { .. } => {
                Self::with_words(FailureCode::BadConnection, error.to_string())
            }
            UpstreamError::Unreachable { origin, reason } => {
                Self::with_words(FailureCode::Unreachable, format!("{origin}: {reason}"))
            }
            UpstreamError::ConnectionLost { reason, .. } => {
                Self::with_words(FailureCode::ConnectionLost, reason.to_string())
            }
            UpstreamError::Refused { status, message, .. } => Self::refused(status, message),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_as_it_is_written() {
        for (code, text) in CODES {
            assert_eq!((code.as_str(), FailureCode::from_column(text)), (Some(text), code));
        }
        assert_eq!(FailureCode::from_column("from_the_future"), FailureCode::Worded);
    }

    #[test]
    fn every_code_has_a_sentence_in_every_language() {
        for (code, text) in CODES {
            let failure = AnswerFailure { code, status: Some(402), words: Some("No credit.".to_owned()) };
            let (english, polish) = (failure.sentence(Locale::En), failure.sentence(Locale::Pl));
            assert!(english.ends_with(['.', '!']) && polish.ends_with(['.', '!']), "{text}: {english} {polish}");
            assert_ne!(english, polish, "{text}");
        }
    }

    #[test]
    fn refusal_keeps_the_words_of_the_provider() {
        let failure = AnswerFailure::refused(StatusCode::PAYMENT_REQUIRED, "Insufficient credits.".to_owned());
        let english = "The AI provider refused: Insufficient credits (402). The provider account or key has no credit \
                       left; an administrator can add some.";
        assert_eq!(failure.to_string(), english);
        assert!(failure.sentence(Locale::Pl).starts_with("Dostawca AI odmówił: Insufficient credits (402). "));
    }
}
