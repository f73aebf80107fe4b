//! An upstream's answer on its way to a client: which headers pass, and which answers do.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use crate::chat::{CompletionError, MeteredBody};

/// Response headers that pass. All others are of the hop to the upstream, or tell a browser things
/// about its host that are not true of this one.
static PASSED: [HeaderName; 6] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::RETRY_AFTER,
    HeaderName::from_static("x-generation-id"),
    HeaderName::from_static("x-request-id"),
];

/// Beginnings of the names of further headers that pass: limits, and OpenRouter's own.
const PASSED_PREFIXES: [&str; 2] = ["x-ratelimit-", "x-openrouter-"];

/// Longest text of another host that is repeated in a sentence of ours.
const LONGEST_REPEATED: usize = 200;

/// Returns the answer for the client, its bytes unchanged. One that is neither JSON nor an event
/// stream is none of this API.
pub(super) fn pass(answer: Response<MeteredBody>) -> Result<Response<Body>, CompletionError> {
    let (head, body) = answer.into_parts();
    if let Some(problem) = problem(head.status, &head.headers) {
        body.fail();
        return Err(CompletionError::NoApiAnswer(problem));
    }
    let mut answer = Response::new(Body::new(body));
    *answer.status_mut() = head.status;
    let headers = answer.headers_mut();
    headers.reserve(head.headers.len());
    for (name, value) in &head.headers {
        if passes(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    // For a reverse proxy such as nginx, which would otherwise buffer a stream.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(answer)
}

fn passes(name: &HeaderName) -> bool {
    PASSED.contains(name) || PASSED_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix))
}

/// Returns what is wrong with an answer of this head, as the end of a sentence about the provider.
fn problem(status: StatusCode, headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(shortened);
    if status.is_redirection() || status.is_informational() {
        let target = text(header::LOCATION).unwrap_or_else(|| "an address that it does not name".to_owned());
        return Some(format!("redirected to {target} (HTTP {})", status.as_u16()));
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    if is_api_kind(&kind) {
        return None;
    }
    let kind = if kind.is_empty() { "an unnamed content type" } else { &kind };
    Some(format!("answered with {kind} instead of JSON (HTTP {})", status.as_u16()))
}

/// Returns true for JSON and event streams, with any parameters.
fn is_api_kind(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(kind.as_str(), "application/json" | "text/json" | "text/event-stream") || kind.ends_with("+json")
}

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_REPEATED).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_json_and_event_streams_are_answers() {
        for (status, headers, words) in [
            (200, &[("content-type", "application/json")][..], None),
            (429, &[("content-type", "Application/JSON; charset=utf-8")], None),
            (200, &[("content-type", "text/event-stream;charset=utf-8")], None),
            (400, &[("content-type", "application/problem+json")], None),
            (200, &[("content-type", "text/html")], Some("answered with text/html instead of JSON (HTTP 200)")),
            (200, &[("content-type", "application/jsonp")], Some("answered with application/jsonp instead")),
            (502, &[], Some("answered with an unnamed content type instead of JSON (HTTP 502)")),
            (301, &[("location", "https://a.example/"), ("content-type", "application/json")], Some("https://a.exa")),
            (302, &[], Some("redirected to an address that it does not name (HTTP 302)")),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_str(value).unwrap());
            }
            let problem = problem(StatusCode::from_u16(status).unwrap(), &map);
            match words {
                None => assert_eq!(problem, None, "{headers:?}"),
                Some(words) => assert!(problem.as_ref().unwrap().contains(words), "{problem:?}"),
            }
        }
    }

    #[test]
    fn headers_pass_by_the_list() {
        for (name, expected) in [
            ("content-type", true),
            ("retry-after", true),
            ("x-ratelimit-remaining-requests", true),
            ("x-openrouter-cache-status", true),
            ("set-cookie", false),
            ("location", false),
            ("www-authenticate", false),
            ("access-control-allow-origin", false),
            ("clear-site-data", false),
            ("content-security-policy", false),
            ("x-custom", false),
        ] {
            assert_eq!(passes(&HeaderName::from_static(name)), expected, "{name}");
        }
    }
}
