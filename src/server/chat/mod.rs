//! Chat completions, stored chats and live answers.

use axum::Router;

use super::{App, Endpoint, route};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[];

pub(super) fn routes() -> Router<App> {
    route::build(ROUTES)
}
