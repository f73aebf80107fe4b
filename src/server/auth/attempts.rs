//! The attempts of a caller to sign in.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts},
    http::request::Parts,
};

use super::error::AuthError;
use super::throttle::Throttle;

/// Counts the attempts from the address of a request's connection. Behind a proxy that is the
/// proxy's: a header that names another one can be forged, so it is not used.
#[derive(Clone)]
pub struct Attempts {
    throttle: Throttle,
    address: Option<IpAddr>,
}

impl Attempts {
    /// Counts one attempt for this e-mail; fails after too many.
    pub(super) fn count(&self, email: &str) -> Result<(), AuthError> {
        self.throttle.count(email, self.address)
    }
}

impl<S> FromRequestParts<S> for Attempts
where
    S: Send + Sync,
    Throttle: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self { throttle: Throttle::from_ref(state), address })
    }
}
