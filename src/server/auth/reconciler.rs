//! The extractor of requests by the reconciler, which is nobody with an account.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use mai_contract::InternalToken;
use secrecy::SecretString;

use super::error::AuthError;
use super::extractor::{HeaderCredential, header_credential};

/// Knows the token of the reconciler. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct ReconcilerToken(Option<InternalToken>);

impl ReconcilerToken {
    /// The token that both sides derive from the secret of the instance.
    pub(crate) fn new(secret: &SecretString) -> Self {
        Self(InternalToken::from_session_key(secret))
    }
}

/// The reconciler. Sessions and API keys get 401 like visitors, and no attempt is logged or counted: a
/// token of 256 bits is not guessed, and a refusal costs no more than an unknown path.
#[derive(Debug, Clone, Copy)]
pub struct ReconcilerAccess;

impl<S> FromRequestParts<S> for ReconcilerAccess
where
    S: Send + Sync,
    ReconcilerToken: FromRef<S>,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AuthError> {
        let HeaderCredential::Token(given) = header_credential(&parts.headers) else {
            return Err(AuthError::NotAuthenticated);
        };
        let ReconcilerToken(token) = ReconcilerToken::from_ref(state);
        match token.is_some_and(|token| token.is(given)) {
            true => Ok(Self),
            false => Err(AuthError::NotAuthenticated),
        }
    }
}
