//! Signing in and out.

use std::net::IpAddr;

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::Row;

use super::{AuthError, Credential, CurrentUser, Token, sessions};
use crate::{
    App,
    users::{self, User, UserId},
};

/// A fresh session: the token in clear, and whose it is.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session's token, for the cookie or the `Authorization` header.
    pub token: Token,
    /// Who signed in.
    pub user: User,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
}

/// Longest e-mail there is (RFC 5321), and thus the longest worth looking up or counting.
const LONGEST_EMAIL: usize = 320;

/// Checks e-mail and password and starts a session. `address` is where the try comes from, for counting.
pub async fn sign_in(
    app: &App,
    address: Option<IpAddr>,
    email: &str,
    password: SecretString,
) -> Result<SignedIn, AuthError> {
    let email = email.trim().to_lowercase();
    if email.len() > LONGEST_EMAIL {
        return Err(AuthError::WrongCredentials);
    }
    app.throttle.count(&email, address)?;
    let row = sqlx::query("SELECT id, password_hash FROM user WHERE email = ? AND deleted_at IS NULL")
        .bind(&email)
        .fetch_optional(app.db.reader())
        .await
        .map_err(crate::database::DatabaseError::from)?;
    let found = row.map(|row| -> Result<(UserId, String), sqlx::Error> {
        Ok((UserId::from(row.try_get::<String, _>("id")?), row.try_get("password_hash")?))
    });
    let (id, hash) = match found.transpose().map_err(crate::database::DatabaseError::from)? {
        Some((id, hash)) => (Some(id), Some(hash)),
        None => (None, None),
    };
    let right = app.passwords.verify(&password, hash.clone()).await;
    match (id, hash) {
        (Some(id), Some(hash)) if right => start_session(app, id, Some(hash)).await,
        _ => Err(AuthError::WrongCredentials),
    }
}

/// Starts a session for a living user. With a hash, only when it is still the password's: a password changed or an
/// account removed while it was being checked must not leave a session behind.
pub(super) async fn start_session(app: &App, id: UserId, hash: Option<String>) -> Result<SignedIn, AuthError> {
    let token = Token::session();
    let now = Timestamp::now();
    let (fresh, owner) = (token.clone(), id);
    let started = app
        .db
        .write(move |connection| {
            Box::pin(async move {
                let living = sqlx::query(
                    "SELECT 1 FROM user WHERE id = ? AND deleted_at IS NULL AND (?2 IS NULL OR password_hash = ?2)",
                )
                .bind(owner.as_str())
                .bind(hash)
                .fetch_optional(&mut *connection)
                .await?;
                if living.is_none() {
                    return Ok(None);
                }
                let expires_at = sessions::start(connection, &owner, &fresh, now).await?;
                let user = users::find(connection, &owner).await?;
                Ok(user.map(|user| (user, expires_at)))
            })
        })
        .await?;
    let (user, expires_at) = started.ok_or(AuthError::WrongCredentials)?;
    Ok(SignedIn { token, user, expires_at })
}

/// Really ends the caller's session. Nothing to do for an API key.
pub async fn sign_out(app: &App, user: &CurrentUser) -> Result<(), AuthError> {
    if let Credential::Session(hash) = user.credential {
        app.db
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("DELETE FROM session WHERE token_hash = ?")
                        .bind(hash.as_bytes())
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .await?;
        app.sessions.forget(hash);
    }
    Ok(())
}
