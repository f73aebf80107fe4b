//! The attempts of a caller to sign in.

use std::{convert::Infallible, net::IpAddr};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};

use super::cookie::{Cookies, RequestCookies};
use super::error::AuthError;
use super::throttle::{CountedAttempt, Throttle};
use crate::audit::{Action, Actor, Failure, FailureLog};
use crate::client_address::{TrustedProxies, client_address};
use crate::user::UserId;

/// Counts the attempts of the caller of a request: by their device, if it has signed in before, or
/// by their address.
#[derive(Clone)]
pub struct Attempts {
    throttle: Throttle,
    cookies: RequestCookies,
    pub(super) address: Option<IpAddr>,
    failures: FailureLog,
}

impl Attempts {
    /// Counts one attempt for this e-mail; fails after too many.
    pub(super) fn begin(&self, email: &str) -> Result<CountedAttempt, AuthError> {
        self.throttle
            .sign_in(email, self.address, self.cookies.device(email))
            .inspect_err(|_| self.record(Action::SignInLimited, None))
    }

    /// Records a wrong attempt. `account` is the one with the e-mail, if there is one: whatever else
    /// was typed may be a password.
    pub(super) fn failed(&self, account: Option<&UserId>) {
        self.record(Action::SignInFailed, account);
    }

    fn record(&self, action: Action, account: Option<&UserId>) {
        let actor = Actor { address: self.address, ..Actor::default() };
        self.failures.add(Failure { action, actor, subject: account.cloned() });
    }
}

impl<S> FromRequestParts<S> for Attempts
where
    S: Send + Sync,
    Throttle: FromRef<S>,
    Cookies: FromRef<S>,
    TrustedProxies: FromRef<S>,
    FailureLog: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let cookies = RequestCookies::from_request_parts(parts, state).await?;
        let address = client_address(parts, &TrustedProxies::from_ref(state));
        Ok(Self { throttle: Throttle::from_ref(state), cookies, address, failures: FailureLog::from_ref(state) })
    }
}
