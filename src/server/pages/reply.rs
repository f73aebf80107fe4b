//! How a page leaves: its headers, its policy for the browser, and redirects that never lead elsewhere.

use askama::Template;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::shell::Shell;

/// What the browser may do on a page: run our scripts by nonce, use our style, talk to us, and nothing else. With Trusted
/// Types, only htmx's own policy may turn text into elements.
fn policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types htmx"
    )
}

/// A page or a part of one.
pub(super) fn page(shell: &Shell, status: StatusCode, template: &impl Template) -> Response {
    let body = match template.render() {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "a template could not be rendered");
            return (StatusCode::INTERNAL_SERVER_ERROR, shell.t.errors.broken).into_response();
        }
    };
    let mut headers = HeaderMap::with_capacity(5);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Pages show what only their reader may see; nothing may keep them.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    if let Ok(policy) = HeaderValue::try_from(policy(&shell.nonce)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    (status, headers, body).into_response()
}

/// To another page of this server, to be fetched with GET.
pub(super) fn redirect(path: &str) -> Response {
    let location = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))],
    )
        .into_response()
}

/// Done, and nothing to show for it.
pub(super) fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// A path of this server out of a form or a query, or `/`: what starts with two slashes, or a slash and a backslash,
/// leads to another host in a browser.
pub(super) fn local(path: &str) -> &str {
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
    fn a_way_back_never_leads_to_another_host() {
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
        for (asked, given) in table {
            assert_eq!(local(asked), given, "{asked:?}");
        }
    }
}
