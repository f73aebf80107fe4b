//! The extractors that authorise a request. Without a valid credential they answer 401, and 403 to
//! a caller who may not do this.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};

use super::error::AuthError;
use super::extractor::CurrentUser;
use super::scope::Scope;
use super::sessions::Sessions;

/// A caller who may chat: a person, or a key with the scope `chat`.
#[derive(Debug, Clone)]
pub struct ChatAccess(pub CurrentUser);

/// A caller who may read their own usage: a person, or a key with the scope `usage`.
#[derive(Debug, Clone)]
pub struct UsageAccess(pub CurrentUser);

/// A caller who may read everybody's usage: an admin, also by a key with the scope `usage`.
#[derive(Debug, Clone)]
pub struct ReportAccess(pub CurrentUser);

/// An admin, also by a key with the scope `admin`. Users get 403; the original image answers 401
/// there, but a caller with a valid credential gains nothing by signing in again.
#[derive(Debug, Clone)]
pub struct Admin(pub CurrentUser);

/// A caller with a session. API keys get 403: a leaked key must not create more keys, change the
/// password or end sessions.
#[derive(Debug, Clone)]
pub struct Person(pub CurrentUser);

/// An admin with a session, who alone changes credentials: accounts, passwords, the upstream's key.
#[derive(Debug, Clone)]
pub struct AdminPerson(pub CurrentUser);

/// The rule of an extractor.
trait Access {
    /// Returns why the caller may not do this.
    fn refusal(user: &CurrentUser) -> Option<AuthError>;
}

fn lacks(user: &CurrentUser, scope: Scope) -> Option<AuthError> {
    (!user.has_scope(scope)).then_some(AuthError::MissingScope(scope.as_str()))
}

fn is_user(user: &CurrentUser) -> Option<AuthError> {
    (!user.is_admin()).then_some(AuthError::Forbidden)
}

fn is_key(user: &CurrentUser) -> Option<AuthError> {
    (!user.is_person()).then_some(AuthError::PersonOnly)
}

impl Access for ChatAccess {
    fn refusal(user: &CurrentUser) -> Option<AuthError> {
        lacks(user, Scope::Chat)
    }
}

impl Access for UsageAccess {
    fn refusal(user: &CurrentUser) -> Option<AuthError> {
        lacks(user, Scope::Usage)
    }
}

impl Access for ReportAccess {
    fn refusal(user: &CurrentUser) -> Option<AuthError> {
        is_user(user).or_else(|| lacks(user, Scope::Usage))
    }
}

impl Access for Admin {
    fn refusal(user: &CurrentUser) -> Option<AuthError> {
        is_user(user).or_else(|| lacks(user, Scope::Admin))
    }
}

impl Access for Person {
    fn refusal(user: &CurrentUser) -> Option<AuthError> {
        is_key(user)
    }
}

impl Access for AdminPerson {
    fn refusal(user: &CurrentUser) -> Option<AuthError> {
        is_user(user).or_else(|| is_key(user))
    }
}

async fn authorised<A: Access>(parts: &Parts, sessions: &Sessions) -> Result<CurrentUser, AuthError> {
    let user = sessions.caller(parts).await?;
    match A::refusal(&user) {
        None => Ok(user),
        Some(refusal) => Err(refusal),
    }
}

macro_rules! extractors {
    ($($access:ident),+ $(,)?) => {
        $(impl<S> FromRequestParts<S> for $access
        where
            S: Send + Sync,
            Sessions: FromRef<S>,
        {
            type Rejection = AuthError;

            async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AuthError> {
                Ok(Self(authorised::<Self>(parts, &Sessions::from_ref(state)).await?))
            }
        })+
    };
}

extractors!(ChatAccess, UsageAccess, ReportAccess, Admin, Person, AdminPerson);
