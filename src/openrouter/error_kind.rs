//! The cause of an upstream's error.

/// The cause of an error, by the type and the limit that the upstream names. A status says less:
/// four different limits are a 402.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorKind {
    /// The key is missing, wrong, disabled or expired.
    KeyRejected,
    /// The account has no credit left.
    NoCredit,
    /// The limit of the key is spent.
    KeyLimit,
    /// A budget of a guardrail, workspace or member is spent.
    BudgetSpent,
    /// This one request may cost more than what is left.
    RequestTooExpensive,
    /// The free requests of the minute or day are used up.
    FreeLimit,
    /// Too many requests at once; another attempt will do.
    RateLimited,
    /// The provider is overloaded, down or slow.
    Unavailable,
    /// The provider's policy or filter does not allow the content.
    ContentBlocked,
    /// The conversation is too long for the model.
    TooLong,
    /// The request is not one that this model takes.
    BadRequest,
    /// Not allowed for another reason.
    NotAllowed,
    /// No provider runs the model under these conditions.
    ModelUnavailable,
    /// Not named.
    #[default]
    Unknown,
}

impl ErrorKind {
    /// The kind that a status alone stands for.
    pub fn from_status(status: u16) -> Self {
        match status {
            401 => Self::KeyRejected,
            402 => Self::NoCredit,
            403 => Self::NotAllowed,
            404 => Self::ModelUnavailable,
            429 => Self::RateLimited,
            408 | 502 | 503 | 504 | 524 | 529 => Self::Unavailable,
            400 | 413 | 422 => Self::BadRequest,
            _ => Self::Unknown,
        }
    }
}

/// The parts of an error that tell its cause.
#[derive(Default)]
pub(super) struct Signs<'a> {
    pub(super) limit_source: &'a str,
    pub(super) reason: &'a str,
    pub(super) error_type: &'a str,
    pub(super) code: Option<u16>,
    pub(super) message: &'a str,
}

/// The cause of an error. The limit and the type count before the number, and the sentences of
/// older answers, which have neither, before the number too.
pub(super) fn classify(signs: &Signs<'_>) -> ErrorKind {
    match signs.reason {
        "in_flight_budget_exhausted" => return ErrorKind::RateLimited,
        "weight_exceeds_budget" => return ErrorKind::RequestTooExpensive,
        _ => {}
    }
    match signs.limit_source {
        "openrouter_in_flight_budget" => return ErrorKind::RateLimited,
        "openrouter_credits" => return ErrorKind::NoCredit,
        "openrouter_key_limit" => return ErrorKind::KeyLimit,
        source if source.starts_with("openrouter_free_tier") => return ErrorKind::FreeLimit,
        source if source.ends_with("_budget") => return ErrorKind::BudgetSpent,
        _ => {}
    }
    match signs.error_type {
        "context_length_exceeded" | "max_tokens_exceeded" | "token_limit_exceeded" | "string_too_long" => {
            return ErrorKind::TooLong;
        }
        "content_policy_violation" | "refusal" | "content_filter" | "moderation" => return ErrorKind::ContentBlocked,
        "rate_limit_exceeded" | "rate_limit_error" | "rate_limit" => return ErrorKind::RateLimited,
        "insufficient_quota" | "insufficient_credits" | "billing_error" => return ErrorKind::NoCredit,
        "invalid_api_key" | "authentication_error" | "unauthenticated" => return ErrorKind::KeyRejected,
        "permission_error" | "permission_denied" => return ErrorKind::NotAllowed,
        "model_not_found" | "not_found_error" | "not_found" => return ErrorKind::ModelUnavailable,
        "provider_unavailable"
        | "provider_overloaded"
        | "overloaded_error"
        | "overloaded"
        | "timeout"
        | "server"
        | "server_error"
        | "api_error"
        | "internal_server_error" => return ErrorKind::Unavailable,
        "invalid_request" | "invalid_prompt" | "invalid_request_error" => return ErrorKind::BadRequest,
        _ => {}
    }
    for (words, kind) in [
        ("can only afford", ErrorKind::RequestTooExpensive),
        ("Prompt tokens limit exceeded", ErrorKind::RequestTooExpensive),
        ("/settings/keys", ErrorKind::KeyLimit),
        ("Key limit exceeded", ErrorKind::KeyLimit),
        ("free-models-per-", ErrorKind::FreeLimit),
        ("maximum context length", ErrorKind::TooLong),
    ] {
        if signs.message.contains(words) {
            return kind;
        }
    }
    if signs.message.contains(" budget of $") && signs.message.contains(" exceeded") {
        return ErrorKind::BudgetSpent;
    }
    signs.code.map_or(ErrorKind::Unknown, ErrorKind::from_status)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::error_body::UpstreamErrorBody;

    #[test]
    fn kind_follows_limit_and_type_before_the_number() {
        use ErrorKind::*;
        for (error, kind) in [
            (r#"{"code":402,"message":"m","metadata":{"limit_source":"openrouter_credits"}}"#, NoCredit),
            (r#"{"code":402,"message":"m","metadata":{"limit_source":"openrouter_key_limit"}}"#, KeyLimit),
            (r#"{"code":403,"message":"m","metadata":{"limit_source":"openrouter_key_limit"}}"#, KeyLimit),
            (
                r#"{"code":402,"message":"m","metadata":{"reason":"in_flight_budget_exhausted","limit_source":"openrouter_in_flight_budget"}}"#,
                RateLimited,
            ),
            (
                r#"{"code":402,"message":"m","metadata":{"reason":"weight_exceeds_budget","limit_source":"openrouter_credits"}}"#,
                RequestTooExpensive,
            ),
            (r#"{"code":403,"message":"m","metadata":{"limit_source":"openrouter_guardrail_budget"}}"#, BudgetSpent),
            (r#"{"code":403,"message":"m","metadata":{"limit_source":"openrouter_workspace_budget"}}"#, BudgetSpent),
            (r#"{"code":429,"message":"m","metadata":{"limit_source":"openrouter_free_tier_daily"}}"#, FreeLimit),
            (r#"{"code":429,"message":"Rate limit exceeded: free-models-per-day. Add 10 credits"}"#, FreeLimit),
            (r#"{"code":403,"message":"m","metadata":{"error_type":"content_policy_violation"}}"#, ContentBlocked),
            (r#"{"code":400,"message":"m","metadata":{"error_type":"context_length_exceeded"}}"#, TooLong),
            (
                r#"{"code":402,"message":"You requested up to 65536 tokens, but can only afford 14114."}"#,
                RequestTooExpensive,
            ),
            (r#"{"code":403,"message":"Key limit exceeded (total limit)"}"#, KeyLimit),
            (r#"{"code":403,"message":"Workspace monthly budget of $500.00 exceeded."}"#, BudgetSpent),
            (r#"{"code":"insufficient_quota","message":"m","type":"insufficient_quota"}"#, NoCredit),
            (r#"{"code":401,"message":"m"}"#, KeyRejected),
            (r#"{"code":402,"message":"m"}"#, NoCredit),
            (r#"{"code":529,"message":"m"}"#, Unavailable),
            (r#"{"message":"m"}"#, Unknown),
        ] {
            let body = format!(r#"{{"error":{error}}}"#);
            let parsed = UpstreamErrorBody::parse(StatusCode::OK, body.as_bytes());
            assert_eq!(parsed.kind, kind, "{error}");
        }
    }
}
