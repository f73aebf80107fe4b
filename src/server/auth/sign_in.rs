//! Signing in.

use std::net::IpAddr;

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::Row;

use super::attempts::Attempts;
use super::error::AuthError;
use super::passwords::{PasswordHasher, is_foreign};
use super::sessions;
use super::token::Token;
use crate::audit::{self, Action, Actor, Event};
use crate::database::{Database, DatabaseError};
use crate::user::{self, User, UserId, normalised_email};

/// A new session: the token in clear, and its user.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The session's token, for the cookie or the `Authorization` header.
    pub token: Token,
    /// The user who signed in.
    pub user: User,
    /// The time the session expires.
    pub expires_at: Timestamp,
}

/// Longest possible e-mail (RFC 5321); a longer one is neither looked up nor counted.
const LONGEST_EMAIL: usize = 320;

/// Checks e-mail and password and starts a session. Wrong attempts are limited.
pub async fn sign_in(
    db: &Database,
    passwords: &PasswordHasher,
    attempts: &Attempts,
    email: &str,
    password: SecretString,
) -> Result<SignedIn, AuthError> {
    if email.len() > LONGEST_EMAIL {
        return Err(AuthError::WrongCredentials);
    }
    let typed = email.trim().to_lowercase();
    let email = normalised_email(email);
    let attempt = attempts.begin(&email)?;
    // Earlier versions stored it as it was typed.
    let row = sqlx::query("SELECT id, password_hash FROM user WHERE email IN (?, ?) AND deleted_at IS NULL")
        .bind(&email)
        .bind(&typed)
        .fetch_optional(db.quick_reader())
        .await
        .map_err(DatabaseError::from)?;
    let found = row.map(|row| -> Result<(UserId, String), sqlx::Error> {
        Ok((UserId::from(row.try_get::<String, _>("id")?), row.try_get("password_hash")?))
    });
    let (id, hash) = match found.transpose().map_err(DatabaseError::from)? {
        Some((id, hash)) => (Some(id), Some(hash)),
        None => (None, None),
    };
    let passwords = if attempt.is_of_known_device() { passwords.clone() } else { passwords.for_strangers() };
    let correct = match passwords.verify(&password, hash.clone()).await {
        Ok(correct) => correct,
        Err(busy) => {
            // Nothing was tried.
            attempt.take_back();
            return Err(busy.into());
        }
    };
    match (id, hash) {
        (Some(id), Some(hash)) if correct => {
            attempt.take_back();
            let hash = if is_foreign(&hash) { rehash(db, &passwords, &id, &password, hash).await? } else { hash };
            start_session_if(db, id, attempts.address, Some(hash)).await
        }
        (id, _) => {
            attempts.failed(id.as_ref());
            Err(AuthError::WrongCredentials)
        }
    }
}

/// Replaces the hash of another program by one of ours, and returns the one that is stored now. A
/// password that is too short for ours keeps the hash it has, and so does one whose turn to be hashed
/// does not come.
async fn rehash(
    db: &Database,
    passwords: &PasswordHasher,
    id: &UserId,
    password: &SecretString,
    old: String,
) -> Result<String, AuthError> {
    let Ok(new) = passwords.hash(password).await else { return Ok(old) };
    let (owner, new_hash, old_hash) = (id.clone(), new.clone(), old.clone());
    let replaced = db
        .write(move |connection| {
            Box::pin(async move {
                let replaced = sqlx::query("UPDATE user SET password_hash = ? WHERE id = ? AND password_hash = ?")
                    .bind(new_hash)
                    .bind(owner.as_str())
                    .bind(old_hash)
                    .execute(connection)
                    .await?;
                Ok(replaced.rows_affected() == 1)
            })
        })
        .await?;
    Ok(if replaced { new } else { old })
}

/// Starts a session of a user who has just registered.
pub async fn start_session(db: &Database, id: UserId, address: Option<IpAddr>) -> Result<SignedIn, AuthError> {
    start_session_if(db, id, address, None).await
}

/// Starts a session. With a hash, only when it is still the password's: a password changed or an
/// account removed during the check must not leave a session behind.
async fn start_session_if(
    db: &Database,
    id: UserId,
    address: Option<IpAddr>,
    hash: Option<String>,
) -> Result<SignedIn, AuthError> {
    let token = Token::session();
    let now = Timestamp::now();
    let (new_token, owner) = (token.clone(), id);
    let started = db
        .write(move |connection| {
            Box::pin(async move {
                let row = sqlx::query(
                    "SELECT 1 FROM user WHERE id = ? AND deleted_at IS NULL AND (?2 IS NULL OR password_hash = ?2)",
                )
                .bind(owner.as_str())
                .bind(hash)
                .fetch_optional(&mut *connection)
                .await?;
                if row.is_none() {
                    return Ok(None);
                }
                let expires_at = sessions::start(connection, &owner, &new_token, now).await?;
                let session = audit::Credential::Session(new_token.hash().short_id());
                let actor = Actor { credential: Some(session), ..Actor::account(owner.clone(), address) };
                audit::record(connection, Event::new(Action::SignedIn, actor).of(&owner)).await?;
                let user = user::find(connection, &owner).await?;
                Ok(user.map(|user| (user, expires_at)))
            })
        })
        .await?;
    let (user, expires_at) = started.ok_or(AuthError::WrongCredentials)?;
    Ok(SignedIn { token, user, expires_at })
}
