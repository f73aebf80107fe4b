//! The models the upstream offers and this instance allows.

use axum::Router;

use super::{App, Endpoint, route};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[];

pub(super) fn routes() -> Router<App> {
    route::build(ROUTES)
}
