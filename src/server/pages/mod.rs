//! What people see in a browser.

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{App, Endpoint, route};

/// The routes of this room.
pub const ROUTES: &[Endpoint] = &[];

pub(super) fn routes() -> Router<App> {
    route::build(ROUTES)
}

/// The answer for a path nobody serves.
pub(super) async fn not_found(_app: App, _request: Request) -> Response {
    (StatusCode::NOT_FOUND, "There is nothing at this address.").into_response()
}
