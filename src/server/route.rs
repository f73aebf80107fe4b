//! A route as a row of a table, so that a test can walk over all of them.

use axum::{Router, http::Method, routing::MethodRouter};

use super::App;

/// One method on one path. Rooms list theirs in a `ROUTES` table and build their router from it with `build`, so that
/// no route can exist which the authorisation test doesn't know.
pub struct Endpoint {
    /// The method it answers.
    pub method: Method,
    /// The path as axum spells it, for instance `/api/v1/users/{id}`.
    pub path: &'static str,
    /// Its handler, for instance `|| get(list)`.
    pub handler: fn() -> MethodRouter<App>,
}

/// Builds the router of a table.
pub(super) fn build(table: &[Endpoint]) -> Router<App> {
    table.iter().fold(Router::new(), |router, endpoint| router.route(endpoint.path, (endpoint.handler)()))
}
