//! What handlers ask for when they want to know who is calling: anybody signed in, a person, an admin.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use axum_extra::extract::CookieJar;
use sqlx::{Row, sqlite::SqliteRow};

use super::{AuthError, TokenHash, cookie, sessions};
use crate::{
    App,
    database::DatabaseError,
    users::{Role, UserId},
};

/// Whoever is calling, by session or API key. As an extractor it answers 401 when nobody is.
#[derive(Debug, Clone)]
pub struct CurrentUser {
    /// Their id.
    pub id: UserId,
    /// Their name.
    pub name: Arc<str>,
    /// Their e-mail in lower case.
    pub email: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// The language they chose.
    pub locale: Option<Arc<str>>,
    /// How they proved who they are.
    pub credential: Credential,
}

/// How a caller proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// By the token of a session, in the cookie or as a bearer.
    Session(TokenHash),
    /// By an API key.
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

    /// Whether they are an admin.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

/// Whoever is calling and is an admin. Users get 403; the image's original answers 401 there, but a caller whose
/// credential is fine can't mend anything by signing in again.
#[derive(Debug, Clone)]
pub struct Admin(pub CurrentUser);

/// Whoever is calling by a session of their own. API keys get 403: a leaked key must not be able to make more of
/// itself, change the password or end sessions.
#[derive(Debug, Clone)]
pub struct Person(pub CurrentUser);

/// Whose credential the headers carry: `Authorization: Bearer`, `x-api-key`, or the cookie, in this order. A header
/// that is sent decides; the cookie doesn't make good for a bad one.
pub async fn authenticate(app: &App, headers: &HeaderMap) -> Result<CurrentUser, AuthError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let token = value.to_str().ok().and_then(bearer).ok_or(AuthError::InvalidToken)?;
        return sessions::user_of(app, token).await;
    }
    if let Some(value) = headers.get("x-api-key") {
        let token = value.to_str().map_err(|_| AuthError::InvalidToken)?;
        return sessions::user_of(app, token.trim()).await;
    }
    match CookieJar::from_headers(headers).get(cookie::NAME) {
        Some(cookie) => sessions::user_of(app, cookie.value()).await,
        None => Err(AuthError::NotAuthenticated),
    }
}

/// The token of a bearer credential, whose scheme is case-insensitive (RFC 9110, section 11.1).
pub(crate) fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<App> for CurrentUser {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AuthError> {
        authenticate(app, &parts.headers).await
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AuthError> {
        let user = authenticate(app, &parts.headers).await?;
        if user.is_admin() { Ok(Self(user)) } else { Err(AuthError::Forbidden) }
    }
}

impl FromRequestParts<App> for Person {
    type Rejection = AuthError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, AuthError> {
        let user = authenticate(app, &parts.headers).await?;
        match user.credential {
            Credential::Session(_) => Ok(Self(user)),
            Credential::ApiKey => Err(AuthError::PersonOnly),
        }
    }
}
