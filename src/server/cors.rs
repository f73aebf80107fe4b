//! Lets pages of declared origins call the API from a browser (CORS, Fetch standard), with a key of
//! their own and never with the cookie of whoever looks at them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use mai_contract::environment;
use url::Url;

use super::auth::{HeaderCredential, header_credential};
use super::{ApiError, is_api_path};

/// Methods of the API.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
/// The longest time for which a browser keeps the answer, in seconds: that of Chromium.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
/// Any origin, and any header.
const ANY: HeaderValue = HeaderValue::from_static("*");

/// The origins whose pages may call the API. Cloning is cheap.
#[derive(Debug, Clone)]
pub(super) struct AllowedOrigins(Arc<[String]>);

impl AllowedOrigins {
    /// Reads declared origins; an empty list allows none.
    pub(super) fn parse<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        texts
            .map(|text| normal_form(text).ok_or_else(|| InvalidOrigin(text.to_owned())))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of `Access-Control-Allow-Origin` for a request, if its origin is allowed.
    fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        if self.0.iter().any(|known| known == "*") {
            return Some(ANY);
        }
        self.0.iter().any(|known| known == text).then(|| origin.clone())
    }
}

/// A text that is no origin.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no origin; write it like https://app.example.com, without a path, or * for any")]
pub(super) struct InvalidOrigin(String);

/// Returns an origin as browsers send it.
fn normal_form(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    let (scheme, host) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+.-".contains(letter));
    if !is_scheme || host.is_empty() || host.contains(['/', '?', '#', '@', '*', ' ']) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    Some(match url.scheme() {
        "http" | "https" => url.origin().ascii_serialization(),
        // Of browser extensions and apps.
        _ => text.to_ascii_lowercase(),
    })
}

/// Answers preflights, and adds the headers that let a page of an allowed origin read an answer.
pub(super) async fn apply(State(origins): State<AllowedOrigins>, request: Request, next: Next) -> Response {
    if !is_api_path(request.uri().path()) {
        return next.run(request).await;
    }
    let allowed = origins.allowed(request.headers());
    if request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return preflight(allowed, request.headers());
    }
    let has_key = header_credential(request.headers()) != HeaderCredential::Absent;
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed.filter(|_| has_key) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANY);
    }
    response
}

/// Answers whether a request may be sent. One without a key may not: signing in and out, and whatever
/// a cookie decides, is for the pages of this server alone.
fn preflight(allowed: Option<HeaderValue>, headers: &HeaderMap) -> Response {
    let requested = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let names = requested.and_then(|names| names.to_str().ok()).unwrap_or_default();
    let is_key = |name: &str| name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("x-api-key");
    let sends_key = names.split(',').any(|name| is_key(name.trim()));
    let vary = [(header::VARY, HeaderValue::from_static("origin, access-control-request-headers"))];
    match (allowed, requested) {
        (Some(origin), Some(requested)) if sends_key => {
            let granted = [
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
                (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, requested.clone()),
                (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
            ];
            (StatusCode::NO_CONTENT, vary, granted).into_response()
        }
        (Some(_), _) => {
            let sentence = "Pages of other origins may call this API with a key alone.";
            (vary, ApiError::new(StatusCode::FORBIDDEN, sentence)).into_response()
        }
        (None, _) => {
            let sentence = format!(
                "This origin is not allowed; server.corsAllowedOrigins ({}) names those that are.",
                environment::CORS_ALLOWED_ORIGINS
            );
            (vary, ApiError::new(StatusCode::FORBIDDEN, sentence)).into_response()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_browsers_send_them() {
        for (declared, sent, expected) in [
            ("https://app.example.com", "https://app.example.com", true),
            ("https://App.Example.com:443", "https://app.example.com", true),
            ("https://app.example.com", "http://app.example.com", false),
            ("https://app.example.com", "https://app.example.com:8443", false),
            ("https://app.example.com", "https://app.example.com.evil.example", false),
            ("http://localhost:3000", "http://localhost:3000", true),
            ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh", true),
            ("app://obsidian.md", "app://obsidian.md", true),
            ("*", "https://anybody.example", true),
            ("*", "null", true),
            ("https://app.example.com", "null", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("origin", sent.parse().unwrap());
            let origins = AllowedOrigins::parse([declared].into_iter()).unwrap();
            assert_eq!(origins.allowed(&headers).is_some(), expected, "{declared} {sent}");
            assert_eq!(origins.allowed(&HeaderMap::new()), None);
        }
    }

    #[test]
    fn text_that_is_no_origin_is_refused() {
        for text in [
            "",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/path",
            "https://*.example.com",
            "https://me@example.com",
            "https://",
            "://a",
            "null",
            "https://a b",
        ] {
            assert!(AllowedOrigins::parse([text].into_iter()).is_err(), "{text}");
        }
    }
}
