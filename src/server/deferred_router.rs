//! What answers on the port: `/health` from the first moment, everything else once the server has started.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use axum::{
    Json, Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::future::{Either, Ready, ready};
use mai_contract::http;
use serde_json::json;
use tower::Service;

/// The port's service; its clones share the router that is put in once.
#[derive(Clone, Default)]
pub(super) struct DeferredRouter {
    router: Arc<OnceLock<Router>>,
}

impl DeferredRouter {
    /// Lets requests through to the started server.
    pub(super) fn open(&self, router: Router) {
        self.router.set(router).ok();
    }
}

impl Service<Request> for DeferredRouter {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<<Router as Service<Request>>::Future, Ready<Result<Response, Infallible>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.router.get() {
            Some(router) => Either::Left(router.clone().call(request)),
            None => Either::Right(ready(Ok(starting(request.uri().path())))),
        }
    }
}

fn starting(path: &str) -> Response {
    match path {
        http::HEALTH_PATH => Json(json!({ "status": true })).into_response(),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": false, "detail": "The server is starting; try again in a moment." })),
        )
            .into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::{body::Body, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn status(gate: &DeferredRouter, path: &str) -> u16 {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        gate.clone().oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn a_starting_server_is_alive_and_not_ready() {
        let gate = DeferredRouter::default();
        assert_eq!(status(&gate, "/health").await, 200);
        assert_eq!(status(&gate, "/ready").await, 503);
        assert_eq!(status(&gate, "/api/config").await, 503);
        gate.open(Router::new().route("/ready", get(async || "ready")));
        assert_eq!(status(&gate, "/ready").await, 200);
        assert_eq!(status(&gate, "/api/config").await, 404);
    }
}
