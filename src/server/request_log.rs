//! One debug line for each request: method, path, status, time. Never a header, a query or a body.

use std::time::Instant;

use axum::{extract::Request, middleware::Next, response::Response};
use tracing::Level;

/// The target of the lines. They are switched on with `RUST_LOG=mai::request=debug`.
const TARGET: &str = "mai::request";

/// Returns true when the lines are switched on.
pub(super) fn is_enabled() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

/// The middleware. The time is that to the head of the answer, not to the end of a stream.
pub(super) async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(target: TARGET, %method, path, status, ms, "request");
    response
}
