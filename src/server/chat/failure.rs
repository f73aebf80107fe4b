//! The reason an answer was not completed: stored as a code, worded in the reader's language when
//! shown.

use std::fmt::{self, Write};

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::error::CompletionError;
use super::failure_code::FailureCode;
use super::failure_texts::FailureTexts;
use crate::i18n::Locale;
use crate::usage::{BudgetScope, Limiter, OverBudget};
use crate::zloty::Mid;
use mai_contract::is_unprintable;
use mai_openrouter::{AnswerEnd, ErrorKind, NanoUsd, NetworkFailure, UpstreamError, UpstreamErrorBody};

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

impl AnswerFailure {
    /// A failure without words of the provider.
    pub(super) fn new(code: FailureCode) -> Self {
        Self { code, status: None, words: None }
    }

    /// A failure with the provider's words.
    pub(super) fn with_words(code: FailureCode, words: impl Into<String>) -> Self {
        Self { code, status: None, words: Some(words.into()) }
    }

    /// An error of the provider before the answer began.
    pub(super) fn refused(status: Option<u16>, error: UpstreamErrorBody) -> Self {
        let code = FailureCode::from_kind(error.kind);
        Self { code, status: status.or(error.code), words: Some(error.message) }
    }

    /// An address that redirects, which is not followed.
    pub(super) fn redirected(base_url: &str, location: Option<&str>) -> Self {
        let to: String =
            location.unwrap_or("?").chars().filter(|character| !is_unprintable(*character)).take(300).collect();
        Self::with_words(FailureCode::Redirected, format!("{base_url} → {to}"))
    }

    /// The failure of an answer that came to this end, with text before it or without.
    pub(super) fn from_end(end: AnswerEnd, has_text: bool, base_url: &str) -> Self {
        match end {
            AnswerEnd::Error(error) if has_text => {
                Self { code: FailureCode::StoppedByProvider, status: error.code, words: Some(error.message) }
            }
            AnswerEnd::Error(error) => Self::refused(None, error),
            AnswerEnd::NotAnAnswer(what) => Self::with_words(FailureCode::NotAnAnswer, format!("{base_url}: {what}")),
            AnswerEnd::CutOff => Self::new(FailureCode::CutOff),
            AnswerEnd::Length => Self::new(FailureCode::Length),
            AnswerEnd::Filtered => Self::new(FailureCode::ContentFilter),
            AnswerEnd::Refused(words) => Self::with_words(FailureCode::RefusedByModel, words),
            AnswerEnd::ToolCalls(tools) => Self::with_words(FailureCode::ToolCalls, tools.join(", ")),
            AnswerEnd::OnlyReasoning => Self::new(FailureCode::OnlyReasoning),
            AnswerEnd::Images => Self::new(FailureCode::Images),
            AnswerEnd::LeftOut => Self::new(FailureCode::LeftOut),
            AnswerEnd::Empty | AnswerEnd::Complete => Self::new(FailureCode::Empty),
        }
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
            FailureCode::KeyLimit => t.key_limit(),
            FailureCode::BudgetSpent => t.budget_spent(),
            FailureCode::TooExpensive => t.too_expensive(),
            FailureCode::FreeLimit => t.free_limit(),
            FailureCode::ContentBlocked => t.rephrase(),
            FailureCode::TooLong => t.too_long(),
            FailureCode::Redirected => return t.redirected(words),
            FailureCode::NotAnAnswer => return t.not_an_answer(words),
            FailureCode::CutOff => return t.cut_off().to_owned(),
            FailureCode::Length => return t.length().to_owned(),
            FailureCode::ContentFilter => return t.content_filter().to_owned(),
            FailureCode::RefusedByModel => return t.refused_by_model(words.trim_end_matches('.')),
            FailureCode::ToolCalls => return t.tool_calls(words),
            FailureCode::OnlyReasoning => return t.only_reasoning().to_owned(),
            FailureCode::Images => return t.images().to_owned(),
            FailureCode::Empty => return t.empty().to_owned(),
            FailureCode::TextLimit => return t.text_limit().to_owned(),
            FailureCode::TimeLimit => return t.time_limit().to_owned(),
            FailureCode::LeftOut => return t.left_out().to_owned(),
            FailureCode::Interrupted => return t.interrupted().to_owned(),
            FailureCode::ConnectionLost => return t.connection_lost().to_owned(),
            FailureCode::StoppedByProvider => return t.stopped_by_provider(words.trim_end_matches('.')),
            FailureCode::Unreachable => return t.unreachable(words),
            FailureCode::BadConnection => return t.bad_connection(words),
            FailureCode::NoConnection => return t.no_connection().to_owned(),
            FailureCode::NotPrivate => return t.not_private().to_owned(),
            FailureCode::ModelNotFound => return t.model_not_found().to_owned(),
            FailureCode::CompanyBudget | FailureCode::PersonBudget | FailureCode::HostLimit => {
                return over_budget(self.code, words, locale);
            }
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
            CompletionError::NotPrivate { .. } => Self::new(FailureCode::NotPrivate),
            CompletionError::ModelNotFound => Self::new(FailureCode::ModelNotFound),
            CompletionError::Upstream(error) => error.into(),
            CompletionError::NoApiAnswer(_) => Self::with_words(FailureCode::BadConnection, error.to_string()),
            CompletionError::OverBudget(refusal) => refusal.into(),
            CompletionError::Overloaded => Self::worded(error.to_string()),
            CompletionError::Malformed(_)
            | CompletionError::InvalidField { .. }
            | CompletionError::MayChooseModel { .. }
            | CompletionError::UnknownCoding
            | CompletionError::NotUnpacked
            | CompletionError::TooLarge(_)
            | CompletionError::Incomplete => Self::with_words(FailureCode::RequestRejected, error.to_string()),
        }
    }
}

impl From<OverBudget> for AnswerFailure {
    /// The words are the limit, what is used of it, the day on which it is new, and the rate of one in złoty.
    fn from(refusal: OverBudget) -> Self {
        let code = match refusal.limiter {
            Limiter::Budget(BudgetScope::Company) => FailureCode::CompanyBudget,
            Limiter::Budget(BudgetScope::Person | BudgetScope::Key) => FailureCode::PersonBudget,
            Limiter::Provider => FailureCode::HostLimit,
        };
        let mut words = format!("{} {} {}", refusal.limit.get(), refusal.used.get(), refusal.new_on);
        if let Some(rate) = refusal.rate {
            let _ = write!(words, " {}", rate.millionths());
        }
        Self::with_words(code, words)
    }
}

/// Words a budget that is spent, for a reader.
fn over_budget(code: FailureCode, words: &str, locale: Locale) -> String {
    let t = FailureTexts(locale);
    let mut parts = words.split(' ');
    let mut amount = || parts.next().and_then(|part| part.parse().ok()).map_or(NanoUsd::ZERO, NanoUsd::new);
    let amounts = [amount(), amount()];
    let new_on = parts.next().and_then(|day| day.parse().ok()).map_or_else(String::new, |day| locale.day(day));
    let rate = parts.next().and_then(|millionths| Mid::from_millionths(millionths.parse().ok()?));
    let [limit, used] = amounts.map(|amount| locale.money(amount, rate));
    let whose = match code {
        FailureCode::CompanyBudget => t.company_budget(),
        FailureCode::HostLimit => t.host_limit(),
        _ => t.person_budget(),
    };
    let remedy = if code == FailureCode::HostLimit { t.host_raises() } else { t.admin_raises() };
    t.over_budget(whose, &limit, &used, &new_on, remedy)
}

impl From<UpstreamError> for AnswerFailure {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::InvalidUrl { .. }
            | UpstreamError::InvalidKey
            | UpstreamError::AddressRefused { .. }
            | UpstreamError::InvalidResponse { .. }
            | UpstreamError::ListTooLong { .. } => Self::with_words(FailureCode::BadConnection, error.to_string()),
            UpstreamError::Unreachable { origin, reason } => {
                Self::with_words(FailureCode::Unreachable, format!("{origin}: {reason}"))
            }
            UpstreamError::ConnectionLost { reason: NetworkFailure::AnswerTimeout(_), .. } => {
                Self::new(FailureCode::TimeLimit)
            }
            UpstreamError::ConnectionLost { reason, .. } => {
                Self::with_words(FailureCode::ConnectionLost, reason.to_string())
            }
            UpstreamError::Refused { status, message, .. } => {
                let code = FailureCode::from_kind(ErrorKind::from_status(status.as_u16()));
                Self { code, status: Some(status.as_u16()), words: Some(message) }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::failure_code::CODES;
    use super::*;

    #[test]
    fn every_code_has_a_sentence_in_every_language() {
        for (code, text) in CODES {
            let failure = AnswerFailure { code, status: Some(402), words: Some("No credit.".to_owned()) };
            let (english, polish) = (failure.sentence(Locale::En), failure.sentence(Locale::Pl));
            assert!(english.ends_with(['.', '!']) && polish.ends_with(['.', '!']), "{text}: {english} {polish}");
            assert_ne!(english, polish, "{text}");
        }
    }

    fn refused(status: u16, body: &str) -> AnswerFailure {
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        AnswerFailure::refused(Some(status.as_u16()), UpstreamErrorBody::parse(status, body.as_bytes()))
    }

    #[test]
    fn advice_follows_the_limit_and_not_the_status() {
        for (status, limit, code) in [
            (402, "openrouter_credits", FailureCode::NoCredit),
            (402, "openrouter_in_flight_budget", FailureCode::Busy),
            (402, "openrouter_key_limit", FailureCode::KeyLimit),
            (403, "openrouter_key_limit", FailureCode::KeyLimit),
            (403, "openrouter_workspace_budget", FailureCode::BudgetSpent),
            (429, "openrouter_free_tier_daily", FailureCode::FreeLimit),
            (429, "", FailureCode::Busy),
        ] {
            let body =
                format!(r#"{{"error":{{"code":{status},"message":"m","metadata":{{"limit_source":"{limit}"}}}}}}"#);
            assert_eq!(refused(status, &body).code, code, "{body}");
        }
    }

    #[test]
    fn refusal_keeps_the_words_of_the_provider() {
        let failure = refused(402, r#"{"error":{"code":402,"message":"Insufficient credits."}}"#);
        let english = "The AI provider refused: Insufficient credits (402). The provider account or key has no credit \
                       left; an administrator can add some.";
        assert_eq!(failure.to_string(), english);
        assert!(failure.sentence(Locale::Pl).starts_with("Dostawca AI odmówił: Insufficient credits (402). "));
    }
}
