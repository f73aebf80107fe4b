//! Credentials and their users: rows in the database behind a cache.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, request::Parts};
use jiff::Timestamp;
use sqlx::{Row, SqliteConnection};

use super::cookie::Cookies;
use super::error::AuthError;
use super::extractor::{Credential, CurrentUser, HeaderCredential, KeyGrant, header_credential};
use super::scope::Scopes;
use super::session_cache::{Entry, SEEN_EVERY_MS, SessionCache};
use super::token::{API_KEY_PREFIX, Token, TokenHash};
use crate::audit::{self, Action, Event};
use crate::client_address::{TrustedProxies, client_address};
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// Lifetime of a session from sign-in: four weeks.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(28 * 24 * 60 * 60);

/// Looks up the user of a credential. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Sessions(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: Database,
    cookies: Cookies,
    proxies: TrustedProxies,
    cache: SessionCache,
}

impl Sessions {
    pub(crate) fn new(db: &Database, cookies: Cookies, proxies: TrustedProxies) -> Self {
        Self(Arc::new(Shared { db: db.clone(), cookies, proxies, cache: SessionCache::default() }))
    }

    /// Returns the user of the credential in a request, with the address that it comes from.
    pub async fn caller(&self, parts: &Parts) -> Result<CurrentUser, AuthError> {
        let user = self.authenticate(&parts.headers).await?;
        Ok(CurrentUser { address: client_address(parts, &self.0.proxies), ..user })
    }

    /// Returns the user of the credential in the headers: `Authorization: Bearer`, `x-api-key`, or
    /// the cookie, in this order. A header of ours decides; the cookie does not replace a bad one.
    /// The credential of a proxy in front of us is none of ours.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<CurrentUser, AuthError> {
        match header_credential(headers) {
            HeaderCredential::Token(token) => match self.user_of(token).await {
                // Somebody reads it in the program that sent it.
                Err(AuthError::InvalidToken) if token.starts_with(API_KEY_PREFIX) => Err(AuthError::UnknownKey),
                Err(AuthError::InvalidToken) => Err(AuthError::UnknownToken),
                found => found,
            },
            HeaderCredential::Unreadable => Err(AuthError::UnknownToken),
            HeaderCredential::Absent => match self.0.cookies.session_token(headers) {
                Some(token) => self.user_of(&token).await,
                None => Err(AuthError::NotAuthenticated),
            },
        }
    }

    /// Ends the caller's session. An API key has none.
    pub async fn sign_out(&self, user: &CurrentUser) -> Result<(), AuthError> {
        if let Credential::Session(hash) = user.credential {
            let event = Event::new(Action::SignedOut, user.actor()).of(&user.id);
            let delete = self.0.db.write(move |connection| {
                Box::pin(async move {
                    let ended = sqlx::query("DELETE FROM session WHERE token_hash = ?")
                        .bind(hash.as_bytes())
                        .execute(&mut *connection)
                        .await?;
                    if ended.rows_affected() == 1 {
                        audit::record(connection, event).await?;
                    }
                    Ok(())
                })
            });
            delete.await?;
            self.0.cache.forget(hash);
        }
        Ok(())
    }

    /// Drops all cached credentials of a user; called after the commit of a change to them.
    pub fn forget_user(&self, user: &UserId) {
        self.0.cache.forget_user(user);
    }

    /// Returns the user of a session's token or an API key.
    async fn user_of(&self, token: &str) -> Result<CurrentUser, AuthError> {
        let Shared { db, cache, .. } = &*self.0;
        let credential = TokenHash::new(token);
        let now = Timestamp::now().as_millisecond();
        if let Some((user, due)) = cache.get(&credential, now) {
            if due {
                write_seen(db, &user, credential, now);
            }
            return Ok(user);
        }
        let read_at = cache.generation();
        let (user, expires_at, seen_at) = if token.starts_with(API_KEY_PREFIX) {
            find_api_key(db, credential).await?
        } else {
            find_session(db, credential, now).await?
        }
        .ok_or(AuthError::InvalidToken)?;
        if expires_at <= now {
            return Err(AuthError::KeyExpired);
        }
        let due = now - seen_at >= SEEN_EVERY_MS;
        let seen_at = if due { now } else { seen_at };
        cache.insert(credential, Entry { user: user.clone(), expires_at, seen_at }, read_at);
        if due {
            write_seen(db, &user, credential, now);
        }
        Ok(user)
    }
}

/// The user of a credential, when it expires and when it was last seen, in milliseconds.
type Found = Option<(CurrentUser, i64, i64)>;

async fn find_session(db: &Database, credential: TokenHash, now: i64) -> Result<Found, DatabaseError> {
    let row = sqlx::query(
        "SELECT user.id, user.name, user.email, user.role, user.locale, session.expires_at, session.last_seen_at
         FROM session JOIN user ON user.id = session.user_id
         WHERE session.token_hash = ? AND session.expires_at > ? AND user.deleted_at IS NULL",
    )
    .bind(credential.as_bytes())
    .bind(now)
    .fetch_optional(db.quick_reader())
    .await?;
    row.map(|row| {
        let user = CurrentUser::from_row(&row, Credential::Session(credential))?;
        Ok((user, row.try_get("expires_at")?, row.try_get("last_seen_at")?))
    })
    .transpose()
}

async fn find_api_key(db: &Database, credential: TokenHash) -> Result<Found, DatabaseError> {
    let row = sqlx::query(
        "SELECT user.id, user.name, user.email, user.role, user.locale, api_key.id AS key_id, api_key.scopes,
                api_key.expires_at, api_key.last_used_at
         FROM api_key JOIN user ON user.id = api_key.user_id
         WHERE api_key.key_hash = ? AND user.deleted_at IS NULL",
    )
    .bind(credential.as_bytes())
    .fetch_optional(db.quick_reader())
    .await?;
    row.map(|row| {
        let key = KeyGrant {
            id: row.try_get::<String, _>("key_id")?.into(),
            scopes: Scopes::from_column(row.try_get("scopes")?),
        };
        let user = CurrentUser::from_row(&row, Credential::ApiKey(key))?;
        let expires_at = row.try_get::<Option<i64>, _>("expires_at")?.unwrap_or(i64::MAX);
        Ok((user, expires_at, row.try_get::<Option<i64>, _>("last_used_at")?.unwrap_or(0)))
    })
    .transpose()
}

fn write_seen(db: &Database, user: &CurrentUser, credential: TokenHash, now: i64) {
    let id = user.id.clone();
    let statement = match user.credential {
        Credential::Session(_) => "UPDATE session SET last_seen_at = ? WHERE token_hash = ?",
        Credential::ApiKey(_) => "UPDATE api_key SET last_used_at = ? WHERE key_hash = ?",
    };
    db.write_later(move |connection| {
        Box::pin(async move {
            sqlx::query(statement).bind(now).bind(credential.as_bytes()).execute(&mut *connection).await?;
            sqlx::query("UPDATE user SET last_active_at = ? WHERE id = ?")
                .bind(now)
                .bind(id.as_str())
                .execute(&mut *connection)
                .await?;
            Ok(())
        })
    });
}

/// Inserts a session inside a transaction and deletes the user's expired ones.
pub(super) async fn start(
    connection: &mut SqliteConnection,
    user: &UserId,
    token: &Token,
    now: Timestamp,
) -> Result<Timestamp, DatabaseError> {
    let expires_at = now + SESSION_LIFETIME;
    sqlx::query("DELETE FROM session WHERE user_id = ? AND expires_at <= ?")
        .bind(user.as_str())
        .bind(now.as_millisecond())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "INSERT INTO session (token_hash, user_id, created_at, last_seen_at, confirmed_at, expires_at)
         VALUES (?1, ?2, ?3, ?3, ?3, ?4)",
    )
    .bind(token.hash().as_bytes().to_vec())
    .bind(user.as_str())
    .bind(now.as_millisecond())
    .bind(expires_at.as_millisecond())
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE user SET last_active_at = ? WHERE id = ?")
        .bind(now.as_millisecond())
        .bind(user.as_str())
        .execute(connection)
        .await?;
    Ok(expires_at)
}

/// Ends what lets somebody in as this user inside a transaction: all sessions but `keep`, and links for
/// another password that nobody has used. After the commit the caller calls [`Sessions::forget_user`].
pub(crate) async fn end_sessions_of(
    connection: &mut SqliteConnection,
    user: &UserId,
    keep: Option<TokenHash>,
) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM session WHERE user_id = ? AND token_hash IS NOT ?")
        .bind(user.as_str())
        .bind(keep.map(|hash| hash.as_bytes().to_vec()))
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM account_link WHERE user_id = ? AND used_at IS NULL")
        .bind(user.as_str())
        .execute(connection)
        .await?;
    Ok(())
}
