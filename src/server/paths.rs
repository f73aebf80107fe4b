//! Paths of programs: which they are, and the one spelling that the routes have.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

use super::endpoints;

/// First parts of the paths of programs.
const API_ROOTS: [&str; 3] = ["api", "v1", "openai"];

/// Returns true for the paths of programs, whose errors are JSON. All others get pages. Letter case
/// and doubled slashes do not turn such a path into one of people.
pub fn is_api_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    API_ROOTS.iter().any(|root| first.eq_ignore_ascii_case(root))
}

/// Returns the path below `/v1` that a program meant whose base URL lacks it.
pub(super) fn versioned(path: &str) -> Option<&'static str> {
    let meant =
        |endpoint: &&'static str| endpoint.strip_prefix("/v1").is_some_and(|rest| rest == path.trim_end_matches('/'));
    endpoints().map(|endpoint| endpoint.path).find(meant)
}

/// Returns the address with the path as the routes spell it: without doubled slashes, and with a
/// slash at its end where the route has one. `None` where nothing changes, and for pages.
pub(super) fn canonical(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    if !is_api_path(path) {
        return None;
    }
    let routed = canonical_path(path);
    if routed == path {
        return None;
    }
    let path_and_query = match uri.query() {
        Some(query) => format!("{routed}?{query}"),
        None => routed,
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::try_from(path_and_query).ok();
    Uri::from_parts(parts).ok()
}

fn canonical_path(path: &str) -> String {
    let mut routed = String::with_capacity(path.len() + 1);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        routed.push('/');
        routed.push_str(part);
    }
    let closed = |route: &str| route.strip_suffix('/') == Some(routed.as_str());
    if endpoints().any(|endpoint| closed(endpoint.path)) {
        routed.push('/');
    }
    routed
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn api_paths_are_recognised_in_every_spelling() {
        for path in ["/v1", "/v1/", "/api", "/api/x", "//v1/models", "/V1/models", "/openai/config"] {
            assert!(is_api_path(path), "{path}");
        }
        for path in ["/", "", "/v1x", "/apis", "/chat/v1", "/openapi.json", "/favicon.ico"] {
            assert!(!is_api_path(path), "{path}");
        }
    }

    #[test]
    fn address_is_spelled_as_its_route() {
        for (given, expected) in [
            ("/v1/models/", Some("/v1/models")),
            ("//v1//chat/completions?a=//", Some("/v1/chat/completions?a=//")),
            ("/api/v1/users?page=2", Some("/api/v1/users/?page=2")),
            ("/api/v1/users/", None),
            ("/api/v1/auths//", Some("/api/v1/auths/")),
            ("/v1/models/openai%2Fgpt-5/", Some("/v1/models/openai%2Fgpt-5")),
            ("/v1/models", None),
            ("/v1/", Some("/v1")),
            ("/chat//", None),
        ] {
            let routed = canonical(&given.parse().unwrap());
            assert_eq!(routed.map(|uri| uri.to_string()).as_deref(), expected, "{given}");
        }
    }
}
