//! The models the upstreams offer and this instance allows.

mod catalogue;
mod routes;
mod upstreams;

use axum::Router;
use axum::http::Method;
use axum::routing::get;

use super::{App, Endpoint, route};

pub use catalogue::{Catalogue, Models, OfferedModel, Routing, list};
pub use upstreams::{Upstream, Upstreams};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/models", handler: || get(routes::list) },
    Endpoint { method: Method::GET, path: "/api/v1/models", handler: || get(routes::list) },
    Endpoint { method: Method::GET, path: "/v1/models", handler: || get(routes::list) },
];

pub(super) fn routes() -> Router<App> {
    route::build(ROUTES)
}
