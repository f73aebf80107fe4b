//! Routes as tables, so that a test can walk over all of them.

use axum::{Router, http::Method, routing::MethodRouter};

use super::App;

/// One method on one path. Each path stands once, in the `ROUTES` table of its handlers; the router
/// is built from the tables, so that the authorisation test knows every route.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path in axum's syntax, for instance `/api/v1/users/{id}`.
    pub path: &'static str,
    /// Its handler, for instance `|| get(list)`.
    pub handler: fn() -> MethodRouter<App>,
}

/// Builds the router of some tables.
pub(super) fn build(tables: &[&[Endpoint]]) -> Router<App> {
    let endpoints = tables.iter().copied().flatten();
    endpoints.fold(Router::new(), |router, endpoint| router.route(endpoint.path, (endpoint.handler)()))
}
