//! The kinds of failure of an answer.

use mai_openrouter::ErrorKind;

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
    /// The limit of the key is spent.
    KeyLimit,
    /// A budget at the provider is spent.
    BudgetSpent,
    /// The request may cost more than what is left.
    TooExpensive,
    /// The free requests are used up.
    FreeLimit,
    /// The content is not allowed.
    ContentBlocked,
    /// The conversation is too long for the model.
    TooLong,
    /// The address of the provider redirects to another one.
    Redirected,
    /// The bytes that came are no answer of a model.
    NotAnAnswer,
    /// The answer ended without any mark of an end.
    CutOff,
    /// The answer was cut at the limit of its length.
    Length,
    /// The answer was held back by the provider's filter.
    ContentFilter,
    /// The model refused.
    RefusedByModel,
    /// The model wants a tool that is not there.
    ToolCalls,
    /// The answer holds nothing but reasoning.
    OnlyReasoning,
    /// The answer holds images, which are not shown.
    Images,
    /// The answer holds nothing.
    Empty,
    /// The answer was ended at the longest text that is kept.
    TextLimit,
    /// The answer was ended at the longest time.
    TimeLimit,
    /// A part of the answer was too long to be read.
    LeftOut,
    /// The provider could not be reached.
    Unreachable,
    /// The address or the key of the connection cannot be used.
    BadConnection,
    /// No provider is connected.
    NoConnection,
    /// The connection cannot keep what the provider promised about privacy.
    NotPrivate,
    /// The model is not offered here.
    ModelNotFound,
    /// The company's budget here is spent, or too small for the answer.
    CompanyBudget,
    /// The person's budget here is spent, or too small for the answer.
    PersonBudget,
    /// The limit of the hosting provider is reached.
    HostLimit,
    /// A failure recorded by another version of this server; its words are the whole sentence.
    Worded,
}

/// The codes in the database and the JSON API.
pub(super) const CODES: [(FailureCode, &str); 37] = [
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
    (FailureCode::NotPrivate, "not_private"),
    (FailureCode::ModelNotFound, "model_not_found"),
    (FailureCode::KeyLimit, "key_limit"),
    (FailureCode::BudgetSpent, "budget_spent"),
    (FailureCode::TooExpensive, "too_expensive"),
    (FailureCode::FreeLimit, "free_limit"),
    (FailureCode::ContentBlocked, "content_blocked"),
    (FailureCode::TooLong, "too_long"),
    (FailureCode::Redirected, "redirected"),
    (FailureCode::NotAnAnswer, "not_an_answer"),
    (FailureCode::CutOff, "cut_off"),
    (FailureCode::Length, "length"),
    (FailureCode::ContentFilter, "content_filter"),
    (FailureCode::RefusedByModel, "refused_by_model"),
    (FailureCode::ToolCalls, "tool_calls"),
    (FailureCode::OnlyReasoning, "only_reasoning"),
    (FailureCode::Images, "images"),
    (FailureCode::Empty, "empty"),
    (FailureCode::TextLimit, "text_limit"),
    (FailureCode::TimeLimit, "time_limit"),
    (FailureCode::LeftOut, "left_out"),
    (FailureCode::CompanyBudget, "company_budget"),
    (FailureCode::PersonBudget, "person_budget"),
    (FailureCode::HostLimit, "host_limit"),
];

impl FailureCode {
    /// Returns the text in the database and the JSON API. A [`FailureCode::Worded`] has none.
    pub fn as_str(self) -> Option<&'static str> {
        CODES.iter().find(|(code, _)| *code == self).map(|(_, text)| *text)
    }

    /// Returns the code of a database column; one of a newer version is [`FailureCode::Worded`].
    pub(super) fn from_column(text: &str) -> Self {
        CODES.iter().find(|(_, known)| *known == text).map_or(Self::Worded, |(code, _)| *code)
    }

    /// Returns the code of the provider's error.
    pub(super) fn from_kind(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::KeyRejected => Self::KeyRejected,
            ErrorKind::NoCredit => Self::NoCredit,
            ErrorKind::KeyLimit => Self::KeyLimit,
            ErrorKind::BudgetSpent => Self::BudgetSpent,
            ErrorKind::RequestTooExpensive => Self::TooExpensive,
            ErrorKind::FreeLimit => Self::FreeLimit,
            ErrorKind::RateLimited | ErrorKind::Unavailable => Self::Busy,
            ErrorKind::ContentBlocked => Self::ContentBlocked,
            ErrorKind::TooLong => Self::TooLong,
            ErrorKind::BadRequest => Self::RequestRejected,
            ErrorKind::NotAllowed => Self::NotAllowed,
            ErrorKind::ModelUnavailable => Self::ModelUnavailable,
            ErrorKind::Unknown => Self::Refused,
        }
    }

    /// True when the text above the notice is a real answer that lacks something.
    pub(crate) fn is_a_remark(self) -> bool {
        matches!(self, Self::Length | Self::Images | Self::TextLimit | Self::TimeLimit | Self::LeftOut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_as_it_is_written() {
        for (code, text) in CODES {
            assert_eq!((code.as_str(), FailureCode::from_column(text)), (Some(text), code));
        }
        assert_eq!(FailureCode::from_column("from_the_future"), FailureCode::Worded);
    }
}
