//! The extractors that authorise a request: any user, a person with a session, an admin.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use sqlx::{Row, sqlite::SqliteRow};

use super::error::AuthError;
use super::sessions::Sessions;
use super::token::TokenHash;
use crate::{
    database::DatabaseError,
    user::{Role, UserId},
};

/// The caller, by session or API key. As an extractor it answers 401 without a valid credential.
#[derive(Debug, Clone)]
pub struct CurrentUser {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: Arc<str>,
    /// Their e-mail in lower case.
    pub email: Arc<str>,
    /// Their rights.
    pub role: Role,
    /// The language they chose.
    pub locale: Option<Arc<str>>,
    /// The credential they sent.
    pub credential: Credential,
}

/// The credential of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// The token of a session, in the cookie or as a bearer.
    Session(TokenHash),
    /// An API key.
    ApiKey,
}

impl CurrentUser {
    pub(super) fn from_row(row: &SqliteRow, credential: Credential) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: UserId::from(row.try_get::<String, _>("id")?),
            name: row.try_get::<String, _>("name")?.into(),
            email: row.try_get::<String, _>("email")?.into(),
            role: Role::from_column(row.try_get("role")?),
            locale: row.try_get::<Option<String>, _>("locale")?.map(Arc::from),
            credential,
        })
    }

    /// Returns true for an admin.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

/// A caller who is an admin. Users get 403; the original image answers 401 there, but a caller with
/// a valid credential gains nothing by signing in again.
#[derive(Debug, Clone)]
pub struct Admin(pub CurrentUser);

/// A caller with a session. API keys get 403: a leaked key must not create more keys, change the
/// password or end sessions.
#[derive(Debug, Clone)]
pub struct Person(pub CurrentUser);

/// A credential of ours in a request's headers. A browser never adds one by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderCredential<'a> {
    /// None; a cookie may count.
    Absent,
    /// A session's token or an API key.
    Token(&'a str),
    /// One that nothing can be made of.
    Unreadable,
}

/// Schemes of `Authorization` that browsers answer by themselves, for a proxy in front of us.
const SCHEMES_OF_PROXIES: [&str; 4] = ["basic", "digest", "negotiate", "ntlm"];

/// Returns the credential in the headers: `Authorization: Bearer`, else `x-api-key`.
pub(crate) fn header_credential(headers: &HeaderMap) -> HeaderCredential<'_> {
    let mut unreadable = false;
    for value in headers.get_all(header::AUTHORIZATION) {
        // Schemes are case-insensitive (RFC 9110, section 11.1).
        let text = value.to_str().unwrap_or_default().trim();
        let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return HeaderCredential::Token(token.trim());
        }
        unreadable |= !SCHEMES_OF_PROXIES.iter().any(|known| scheme.eq_ignore_ascii_case(known));
    }
    match headers.get("x-api-key") {
        _ if unreadable => HeaderCredential::Unreadable,
        None => HeaderCredential::Absent,
        Some(value) => value.to_str().map_or(HeaderCredential::Unreadable, |key| HeaderCredential::Token(key.trim())),
    }
}

impl<S> FromRequestParts<S> for CurrentUser
where
    S: Send + Sync,
    Sessions: FromRef<S>,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AuthError> {
        Sessions::from_ref(state).authenticate(&parts.headers).await
    }
}

impl<S> FromRequestParts<S> for Admin
where
    S: Send + Sync,
    Sessions: FromRef<S>,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AuthError> {
        let user = CurrentUser::from_request_parts(parts, state).await?;
        if user.is_admin() { Ok(Self(user)) } else { Err(AuthError::Forbidden) }
    }
}

impl<S> FromRequestParts<S> for Person
where
    S: Send + Sync,
    Sessions: FromRef<S>,
{
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AuthError> {
        let user = CurrentUser::from_request_parts(parts, state).await?;
        match user.credential {
            Credential::Session(_) => Ok(Self(user)),
            Credential::ApiKey => Err(AuthError::PersonOnly),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_and_key_are_credentials_of_ours() {
        use HeaderCredential::{Absent, Token, Unreadable};
        for (headers, expected) in [
            (&[][..], Absent),
            (&[("authorization", "Bearer abc")], Token("abc")),
            (&[("authorization", "bEARER  abc ")], Token("abc")),
            (&[("authorization", "Basic b2ZmaWNlOmRvb3I=")], Absent),
            (&[("authorization", "NTLM TlRM"), ("x-api-key", "sk-1")], Token("sk-1")),
            (&[("authorization", "Basic eDp5"), ("authorization", "Bearer abc")], Token("abc")),
            (&[("authorization", "Negotiate")], Absent),
            (&[("authorization", "abc")], Unreadable),
            (&[("authorization", "abc"), ("x-api-key", "sk-1")], Unreadable),
            (&[("authorization", "Bearer")], Token("")),
            (&[("x-api-key", " sk-1 ")], Token("sk-1")),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            assert_eq!(header_credential(&map), expected, "{headers:?}");
        }
    }
}
