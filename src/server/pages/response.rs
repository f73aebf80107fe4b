//! Responses of pages: headers, the policy for the browser, and redirects that stay on this server.

use askama::Template;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::layout::Layout;

/// Returns the content security policy: scripts by nonce, our style, requests to this server, and
/// nothing else. With Trusted Types, only htmx's own policy may turn text into elements.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx"
    )
}

/// Renders a page or a part of one.
pub(super) fn html(layout: &Layout, status: StatusCode, template: &impl Template) -> Response {
    let body = match template.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a template could not be rendered");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // A page is for its reader alone, so no cache may keep it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    if let Ok(policy) = HeaderValue::try_from(policy(&layout.nonce)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    (status, headers, body).into_response()
}

/// Redirects to another page of this server, to be fetched with GET.
pub(super) fn redirect(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
    )
        .into_response()
}

/// Answers with events. axum would let caches keep them, if they ask before each use.
pub(super) fn events(events: impl IntoResponse) -> Response {
    let mut response = events.into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers a form that changes nothing on the page.
pub(super) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// Returns `path` if it stays on this server, else `/`. A browser takes two slashes, or a slash and
/// a backslash, for the start of another host.
pub(super) fn local_path(path: &str) -> &str {
    let bytes = path.as_bytes();
    let stays = bytes.first() == Some(&b'/')
        && !matches!(bytes.get(1), Some(b'/' | b'\\'))
        && bytes.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'\\');
    if stays { path } else { "/" }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn local_path_never_leads_to_another_host() {
        let table = [
            ("/usage?month=2026-11", "/usage?month=2026-11"),
            ("/", "/"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example/", "/"),
            ("/a\r\nset-cookie: x=y", "/"),
            ("/\t/evil.example", "/"),
            ("javascript:alert(1)", "/"),
        ];
        for (asked, expected) in table {
            assert_eq!(local_path(asked), expected, "{asked:?}");
        }
    }
}
