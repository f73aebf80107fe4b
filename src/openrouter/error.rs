//! Errors of a call to the upstream, and the upstream's own message in an error body.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A call to the upstream that did not bring what was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UpstreamError {
    /// The base URL cannot be used; nothing was sent.
    #[error("`{url}` is not an upstream address: {reason}; give one like https://openrouter.ai/api/v1")]
    InvalidUrl {
        /// The address as it was given.
        url: String,
        /// The reason it cannot be used.
        reason: &'static str,
    },
    /// The key holds characters that no header can carry; nothing was sent.
    #[error("the upstream key holds characters that cannot be sent; copy it again, without line breaks")]
    InvalidKey,
    /// No connection; nothing was sent.
    #[error(
        "the upstream at {origin} could not be reached: {reason}; check the address and the network, then try again"
    )]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// The reason there is none.
        reason: NetworkFailure,
    },
    /// The connection was lost after the request was sent; whether it was worked on (and charged)
    /// is not known.
    #[error("the upstream at {origin} did not finish its answer: {reason}; try again")]
    ConnectionLost {
        /// Scheme, host and port.
        origin: String,
        /// The reason it was lost.
        reason: NetworkFailure,
    },
    /// An answer with an error status.
    #[error("the upstream at {origin} refused: {message} (HTTP {status})")]
    Refused {
        /// Scheme, host and port.
        origin: String,
        /// The answer's status.
        status: StatusCode,
        /// The upstream's own message.
        message: String,
    },
    /// An answer that is not what this call is documented to give.
    #[error(
        "the upstream at {origin} gave an answer that is not understood: {reason}; is this an OpenAI-compatible address?"
    )]
    InvalidResponse {
        /// Scheme, host and port.
        origin: String,
        /// The difference from what the call documents.
        reason: String,
    },
}

/// The reason a connection could not be opened, or was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFailure {
    /// The host's name has no address.
    #[error("its name has no address")]
    NoAddress,
    /// No connection was opened within this time.
    #[error("no connection within {} s", .0.as_secs())]
    ConnectTimeout(Duration),
    /// The TLS handshake did not end in time.
    #[error("the TLS handshake took too long")]
    HandshakeTimeout,
    /// No answer began, or ended, within this time.
    #[error("no answer within {} s", .0.as_secs())]
    AnswerTimeout(Duration),
    /// Nothing came for this time in the middle of an answer.
    #[error("no data for {} s", .0.as_secs())]
    Silence(Duration),
    /// The message of the system or of a library.
    #[error("{0}")]
    Message(String),
}

impl NetworkFailure {
    /// The failure that the system or a library reports.
    pub(super) fn message(error: impl ToString) -> Self {
        Self::Message(error.to_string())
    }
}

impl UpstreamError {
    /// Returns the message as a sentence of its own, with a capital letter and without a full stop.
    pub fn sentence(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }
}

/// The upstream's error body: `{"error":{"code","message"}}`, or any of the shapes seen in
/// practice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamErrorBody {
    /// The numeric code inside the body; in a stream it stands where the HTTP status cannot.
    pub code: Option<u16>,
    /// The sentence.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum ErrorObject {
    Object {
        #[serde(default)]
        code: Option<serde_json::Value>,
        message: String,
    },
    Text(String),
}

impl From<ErrorObject> for UpstreamErrorBody {
    fn from(object: ErrorObject) -> Self {
        match object {
            ErrorObject::Text(message) => Self { code: None, message },
            ErrorObject::Object { code, message } => {
                let code = code.and_then(|code| match code {
                    serde_json::Value::Number(n) => n.as_u64(),
                    serde_json::Value::String(s) => s.parse().ok(),
                    _ => None,
                });
                Self { code: code.and_then(|code| u16::try_from(code).ok()), message }
            }
        }
    }
}

impl UpstreamErrorBody {
    /// Reads an error body. A body without a message gets the status's own text.
    pub fn parse(status: StatusCode, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            error: Option<&'a RawValue>,
            #[serde(borrow)]
            detail: Option<&'a RawValue>,
            #[serde(borrow)]
            message: Option<&'a RawValue>,
        }
        let parsed = serde_json::from_slice::<Body>(body).ok().and_then(|body| {
            let raw = body.error.or(body.detail).or(body.message)?;
            Self::from_raw(raw)
        });
        parsed.unwrap_or_else(|| Self {
            code: None,
            message: status.canonical_reason().unwrap_or("no reason was given").to_owned(),
        })
    }

    /// Reads an `error` value: an object with a message, or a bare text.
    pub(super) fn from_raw(raw: &RawValue) -> Option<Self> {
        let body: Self = serde_json::from_str::<ErrorObject>(raw.get()).ok()?.into();
        (!body.message.is_empty()).then_some(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_body_is_read_in_every_known_shape() {
        for (body, code, message) in [
            (
                r#"{"error":{"code":402,"message":"Insufficient credits"},"user_id":"u"}"#,
                Some(402),
                "Insufficient credits",
            ),
            (r#"{"error":{"code":"429","message":"Slow down"}}"#, Some(429), "Slow down"),
            (r#"{"error":{"code":"rate_limited","message":"Slow down"}}"#, None, "Slow down"),
            (r#"{"error":"model not loaded"}"#, None, "model not loaded"),
            (r#"{"detail":"Not authenticated"}"#, None, "Not authenticated"),
            (r#"{"error":null,"message":"hello"}"#, None, "hello"),
            ("<html>", None, "Bad Gateway"),
            ("{}", None, "Bad Gateway"),
            (r#"{"error":{"message":""}}"#, None, "Bad Gateway"),
        ] {
            let parsed = UpstreamErrorBody::parse(StatusCode::BAD_GATEWAY, body.as_bytes());
            assert_eq!(parsed, UpstreamErrorBody { code, message: message.to_owned() }, "{body}");
        }
    }
}
