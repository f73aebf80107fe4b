//! The models that the upstreams offer and this instance allows.
//!
//! [`Models`] fetches the catalogue of the connection in use and keeps it; the catalogue routes
//! each model to its upstream, and [`Upstreams`] has the clients. Chat completions are not sent
//! here.

mod cache;
mod catalogue;
mod routes;
mod upstreams;

use axum::Router;
use axum::http::Method;
use axum::routing::get;

use super::{App, Endpoint, route};

pub use cache::Models;
pub use catalogue::{Catalogue, OfferedModel, Routing};
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
