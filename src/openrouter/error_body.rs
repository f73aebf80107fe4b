//! The upstream's own account of an error, in any of the shapes that are met in practice.

use http::StatusCode;
use mai_contract::is_unprintable;
use serde_json::{Map, Value};

use super::error_kind::{ErrorKind, Signs, classify};
use super::json;

/// Most characters that are kept of somebody else's sentence.
const MOST_CHARACTERS: usize = 500;
/// Where the sentence of an error stands, the best place first.
const MESSAGE_KEYS: [&str; 9] =
    ["message", "error", "errors", "detail", "error_description", "error_msg", "msg", "title", "errorMessage"];

/// The upstream's error: OpenRouter's `{"error":{"code","message","metadata"}}`, or any of the
/// shapes of others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamErrorBody {
    /// The numeric code inside the body; in a stream it stands where the HTTP status cannot.
    pub code: Option<u16>,
    /// The cause, as far as the upstream names it.
    pub kind: ErrorKind,
    /// The sentence, with the provider and the provider's own reason.
    pub message: String,
}

impl UpstreamErrorBody {
    /// An error without anything but a sentence.
    pub(super) fn worded(message: &str) -> Self {
        Self { message: printable(message), ..Self::default() }
    }

    /// Reads the body of an answer with an error status. A body without a message gets the status's
    /// own text.
    pub fn parse(status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        let mut read = match json::from_str::<Value>(text) {
            Ok(value) => Self::from_value(&value).unwrap_or_default(),
            Err(_) if text.starts_with('<') => Self::worded(html_title(text).unwrap_or_default()),
            Err(_) => Self::default(),
        };
        if read.kind == ErrorKind::Unknown {
            read.kind = ErrorKind::from_status(status.as_u16());
        }
        if read.message.is_empty() {
            read.message = status.canonical_reason().unwrap_or("no reason was given").to_owned();
        }
        read
    }

    /// Reads an error value: an object with a message, a list of such, or a bare text. `None` when
    /// it says nothing.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::worded(text)).filter(|error| !error.message.is_empty()),
            Value::Array(entries) => entries.iter().find_map(Self::from_value),
            Value::Object(fields) => Self::from_fields(fields),
            _ => None,
        }
    }

    fn from_fields(fields: &Map<String, Value>) -> Option<Self> {
        // An envelope such as {"error":{…}} or {"response":{"error":{…}}}: what is inside says all.
        if let Some(inner @ (Value::Object(_) | Value::Array(_))) =
            ["error", "errors", "detail"].iter().find_map(|key| fields.get(*key))
            && let Some(error) = Self::from_value(inner)
        {
            return Some(error);
        }
        let metadata = fields.get("metadata").and_then(Value::as_object);
        let inside = |key: &str| metadata.and_then(|metadata| metadata.get(key));
        let text =
            |value: Option<&'_ Value>| value.and_then(Value::as_str).map(str::trim).unwrap_or_default().to_owned();
        let code =
            ["code", "status", "http_status", "status_code"].iter().find_map(|key| status_code(fields.get(*key)?));
        let sentence = MESSAGE_KEYS.iter().map(|key| text(fields.get(*key))).find(|text| !text.is_empty());
        let error_type = [inside("error_type"), fields.get("error_type"), fields.get("code"), fields.get("type")]
            .map(text)
            .into_iter()
            .find(|text| !text.is_empty() && text.parse::<u16>().is_err() && text != "error")
            .unwrap_or_default();
        if sentence.is_none() && code.is_none() && error_type.is_empty() {
            return None;
        }
        let sentence = sentence.unwrap_or_default();
        let kind = classify(&Signs {
            limit_source: &text(inside("limit_source")),
            reason: &text(inside("reason")),
            error_type: &error_type,
            code,
            message: &sentence,
        });
        let sentence = if sentence.is_empty() { error_type } else { sentence };
        let provider = [inside("provider_name"), inside("provider"), fields.get("provider")]
            .map(text)
            .into_iter()
            .find(|name| !name.is_empty());
        let reason = inside("raw").and_then(inner_reason).or_else(|| moderation(inside("reasons")));
        let until = text(inside("resets_at"));
        Some(Self { code, kind, message: sentence_with(&sentence, provider.as_deref(), reason.as_deref(), &until) })
    }
}

/// Puts what is known of the cause behind the upstream's sentence.
fn sentence_with(sentence: &str, provider: Option<&str>, reason: Option<&str>, until: &str) -> String {
    let mut text = printable(sentence);
    let reason = reason.map(printable).filter(|reason| !reason.is_empty() && !text.contains(reason.as_str()));
    let provider = provider.map(printable).filter(|name| !text.contains(name.as_str()));
    let more = match (provider, reason) {
        (Some(provider), Some(reason)) => format!("{provider}: {reason}"),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => String::new(),
    };
    let until = if until.is_empty() { String::new() } else { format!("until {}", printable(until)) };
    for addition in [more, until] {
        if !addition.is_empty() {
            let body = text.trim_end_matches(['.', ' ']).to_owned();
            text = if body.is_empty() { addition } else { format!("{body} ({addition})") };
        }
    }
    text
}

/// The provider's own reason: text, JSON, or JSON in a text.
fn inner_reason(raw: &Value) -> Option<String> {
    let reason = match raw {
        Value::String(text) => match json::from_str::<Value>(text.trim()) {
            Ok(inner @ (Value::Object(_) | Value::Array(_))) => {
                UpstreamErrorBody::from_value(&inner).map(|error| error.message)?
            }
            _ if text.trim_start().starts_with('<') => html_title(text)?.to_owned(),
            _ => text.clone(),
        },
        other => UpstreamErrorBody::from_value(other)?.message,
    };
    Some(reason).filter(|reason| !reason.trim().is_empty())
}

/// The reasons of a moderation.
fn moderation(reasons: Option<&Value>) -> Option<String> {
    let reasons: Vec<&str> = reasons?.as_array()?.iter().filter_map(Value::as_str).collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

/// An HTTP status that is written as a number or as a text.
fn status_code(value: &Value) -> Option<u16> {
    let code = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    u16::try_from(code).ok().filter(|code| (300..600).contains(code))
}

/// The title of an HTML page.
pub(super) fn html_title(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let start = lower.find("<title")?;
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    text.get(start..end).map(str::trim).filter(|title| !title.is_empty())
}

/// Somebody else's text on one line: without control characters and marks that change the direction
/// of writing, and not too long.
pub(super) fn printable(text: &str) -> String {
    let plain: String = text
        .chars()
        .filter(
            |c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'),
        )
        .map(|c| if is_unprintable(c) { ' ' } else { c })
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
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
            (r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, None, "field required"),
            (r#"{"error":null,"message":"hello"}"#, None, "hello"),
            (r#"[{"error":{"code":400,"message":"From a list"}}]"#, Some(400), "From a list"),
            (r#"{"errors":[{"message":"First"},{"message":"Second"}]}"#, None, "First"),
            (r#"{"error":{"type":"overloaded_error"}}"#, None, "overloaded_error"),
            ("\u{feff}{\"error\":{\"message\":\"two\\nlines \\u202eand more\"}}", None, "two lines and more"),
            ("<html>", None, "Bad Gateway"),
            ("<html><head><TITLE>Just a\n moment...</TITLE></head>", None, "Just a moment..."),
            ("{}", None, "Bad Gateway"),
            ("", None, "Bad Gateway"),
            (r#"{"error":{"message":""}}"#, None, "Bad Gateway"),
        ] {
            let parsed = UpstreamErrorBody::parse(StatusCode::BAD_GATEWAY, body.as_bytes());
            assert_eq!((parsed.code, parsed.message.as_str()), (code, message), "{body}");
        }
    }

    #[test]
    fn inner_reason_and_provider_are_part_of_the_sentence() {
        for (metadata, message) in [
            (r#"{"raw":"at capacity","provider_name":"Acme"}"#, "Provider returned error (Acme: at capacity)"),
            (
                r#"{"raw":"{\"error\":{\"message\":\"one image at most\"}}","provider_name":"Acme"}"#,
                "Provider returned error (Acme: one image at most)",
            ),
            (r#"{"raw":{"detail":"country not served"}}"#, "Provider returned error (country not served)"),
            (r#"{"raw":"<html><title>502</title>","provider_name":"Acme"}"#, "Provider returned error (Acme: 502)"),
            (r#"{"provider_name":"Acme"}"#, "Provider returned error (Acme)"),
            (r#"{"reasons":["violence","hate"]}"#, "Provider returned error (violence, hate)"),
            (r#"{"resets_at":"2026-12-01T00:00:00Z"}"#, "Provider returned error (until 2026-12-01T00:00:00Z)"),
            (r#"{"raw":null,"provider_name":""}"#, "Provider returned error."),
        ] {
            let body =
                format!(r#"{{"error":{{"code":429,"message":"Provider returned error.","metadata":{metadata}}}}}"#);
            let parsed = UpstreamErrorBody::parse(StatusCode::OK, body.as_bytes());
            assert_eq!(parsed.message, message);
        }
    }
}
