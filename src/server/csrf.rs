//! Refuses requests another site makes a browser send with our cookie.

use std::task::{Context, Poll};

use axum::{
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::future::Either;
use tower::{Layer, Service};
use tower_http::csrf::{Csrf, CsrfLayer, ProtectionError};

use super::ApiError;

/// The layer. Requests that carry their own credential in a header pass: a browser never adds one by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct CsrfForCookies;

impl<S: Clone> Layer<S> for CsrfForCookies {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let refuse: Refuse = |_| {
            ApiError::new(StatusCode::FORBIDDEN, "This request came from another site and was refused.").into_response()
        };
        Guarded { guarded: CsrfLayer::new().with_rejection_response(refuse).layer(inner.clone()), inner }
    }
}

type Refuse = fn(ProtectionError) -> Response;

/// The service with and without the guard.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    guarded: Csrf<S, Refuse>,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Either<S::Future, <Csrf<S, Refuse> as Service<Request>>::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A router's services are always ready; both doors lead to clones of the same one.
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let headers = request.headers();
        if headers.contains_key(header::AUTHORIZATION) || headers.contains_key("x-api-key") {
            Either::Left(self.inner.call(request))
        } else {
            Either::Right(self.guarded.call(request))
        }
    }
}
