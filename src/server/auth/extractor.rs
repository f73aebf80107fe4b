//! The caller of a request, by the credential in it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use sqlx::{Row, sqlite::SqliteRow};

use super::scope::{Scope, Scopes};
use super::token::TokenHash;
use crate::{
    audit::{self, Actor},
    database::DatabaseError,
    user::{Role, UserId},
};

/// The caller, by session or API key. Handlers get it from the extractors of `access`, which say what
/// it may be used for.
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
    /// The address they call from.
    pub address: Option<IpAddr>,
}

/// The credential of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// The token of a session, in the cookie or as a bearer.
    Session(TokenHash),
    /// An API key.
    ApiKey(KeyGrant),
}

/// An API key and what it may be used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyGrant {
    /// The id of the key.
    pub id: Arc<str>,
    /// Its scopes.
    pub scopes: Scopes,
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
            address: None,
        })
    }

    /// Returns who they are in the audit log.
    pub fn actor(&self) -> Actor {
        let credential = match &self.credential {
            Credential::Session(hash) => audit::Credential::Session(hash.short_id()),
            Credential::ApiKey(key) => audit::Credential::ApiKey(Arc::clone(&key.id)),
        };
        Actor { user: Some(self.id.clone()), credential: Some(credential), address: self.address }
    }

    /// Returns true for an admin.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Returns true for a person with a session, false for an API key.
    pub fn is_person(&self) -> bool {
        self.api_key().is_none()
    }

    /// Returns the API key they call with.
    pub fn api_key(&self) -> Option<&KeyGrant> {
        match &self.credential {
            Credential::Session(_) => None,
            Credential::ApiKey(key) => Some(key),
        }
    }

    /// Returns true when the credential may be used for this. A session may be used for everything.
    pub(super) fn has_scope(&self, scope: Scope) -> bool {
        self.api_key().is_none_or(|key| key.scopes.contains(scope))
    }
}

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
