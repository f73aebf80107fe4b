//! The service on the port: answers `/health` from the start, and the rest once the server has
//! started. Paths of programs are brought to the spelling of their routes.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use axum::{
    Json, Router,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::future::{Either, Ready, ready};
use mai_contract::http;
use serde_json::json;
use tower::Service;

use super::{ApiError, NO_CONTENT_POLICY, paths};

const STARTING: &str = "The server is starting; try again in a moment.";

/// A service that answers 503 until its router is set. Its clones share the router.
#[derive(Clone, Default)]
pub(super) struct DeferredRouter {
    router: Arc<OnceLock<Router>>,
}

impl DeferredRouter {
    /// Passes requests to the started server from now on.
    pub(super) fn set(&self, router: Router) {
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        if let Some(uri) = paths::canonical(request.uri()) {
            *request.uri_mut() = uri;
        }
        match self.router.get() {
            Some(router) => Either::Left(router.clone().call(request)),
            None => Either::Right(ready(Ok(starting_answer(request.uri().path())))),
        }
    }
}

fn starting_answer(path: &str) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::CONTENT_SECURITY_POLICY, NO_CONTENT_POLICY)];
    let answer = match path {
        http::HEALTH_PATH => Json(json!({ "status": true })).into_response(),
        http::READY_PATH => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": false, "detail": STARTING }))).into_response()
        }
        _ => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, STARTING).retry_after(1).into_response(),
    };
    (headers, answer).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::{body::Body, routing::get};
    use tower::ServiceExt;

    use super::*;

    async fn status(router: &DeferredRouter, path: &str) -> u16 {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn starting_server_is_alive_and_not_ready() {
        let router = DeferredRouter::default();
        assert_eq!(status(&router, "/health").await, 200);
        assert_eq!(status(&router, "/ready").await, 503);
        assert_eq!(status(&router, "/api/config").await, 503);
        router.set(Router::new().route("/ready", get(async || "ready")));
        assert_eq!(status(&router, "/ready").await, 200);
        assert_eq!(status(&router, "/api/config").await, 404);
    }
}
