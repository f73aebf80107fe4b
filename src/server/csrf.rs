//! Refuses requests that another site makes a browser send with our cookie.

use std::task::{Context, Poll};

use axum::{
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures::future::Either;
use tower::{Layer, Service};
use tower_http::csrf::{Csrf, CsrfLayer, ProtectionError};

use super::ApiError;
use super::auth::{HeaderCredential, header_credential};

/// The layer. Requests with a credential of ours in a header pass: a browser never adds one by
/// itself. It does add those for a proxy, which therefore change nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct CsrfForCookies;

impl<S: Clone> Layer<S> for CsrfForCookies {
    type Service = ProtectedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let refuse: Refuse = |_| {
            ApiError::new(StatusCode::FORBIDDEN, "This request came from another site and was refused.").into_response()
        };
        ProtectedService { protected: CsrfLayer::new().with_rejection_response(refuse).layer(inner.clone()), inner }
    }
}

type Refuse = fn(ProtectionError) -> Response;

/// The service with and without the protection.
#[derive(Clone)]
pub(super) struct ProtectedService<S> {
    inner: S,
    protected: Csrf<S, Refuse>,
}

impl<S> Service<Request> for ProtectedService<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, <Csrf<S, Refuse> as Service<Request>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A router's services are always ready, and both fields are clones of the same one.
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match header_credential(request.headers()) {
            HeaderCredential::Token(_) | HeaderCredential::Unreadable => Either::Left(self.inner.call(request)),
            HeaderCredential::Absent => Either::Right(self.protected.call(request)),
        }
    }
}
