//! What the client's people used and what it cost.

use axum::Router;

use super::{App, Endpoint, route};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[];

pub(super) fn routes() -> Router<App> {
    route::build(ROUTES)
}
