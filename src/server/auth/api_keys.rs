//! API keys: several for each user, each with a name and scopes, shown once.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::confirmation::Confirmations;
use super::error::AuthError;
use super::extractor::CurrentUser;
use super::scope::{Scope, Scopes};
use super::sessions::Sessions;
use super::token::Token;
use crate::audit::{self, Action, Event};
use crate::database::{Database, DatabaseError};
use crate::user::{UserId, timestamp};

/// Most keys of one user.
const MAX_KEYS: i64 = 50;
/// Longest life of a key that expires, in days.
const MAX_DAYS: i64 = 3660;

/// An API key as its owner sees it again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, to remove it by.
    pub id: String,
    /// The name its owner gave it.
    pub name: String,
    /// Its last four characters.
    pub hint: String,
    /// The things it may be used for.
    pub scopes: Scopes,
    /// The time it was created.
    pub created_at: Timestamp,
    /// The time it expires; `None` for one that does not.
    pub expires_at: Option<Timestamp>,
    /// The time of its last use, to within a few minutes.
    pub last_used_at: Option<Timestamp>,
}

/// A new key; the only time it is shown in clear.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// The key as its owner sees it later.
    pub key: ApiKey,
    /// The key itself.
    pub secret: Token,
}

/// A key to create.
#[derive(Debug, Clone)]
pub struct ApiKeyWish {
    /// Its name.
    pub name: String,
    /// The things it may be used for.
    pub scopes: Scopes,
    /// The time it expires; `None` for one that does not.
    pub expires_at: Option<Timestamp>,
}

/// Creates a key for the caller. One with the scope `admin` needs an admin, who has entered their
/// password again.
pub async fn create_api_key(
    db: &Database,
    confirmations: &Confirmations,
    user: &CurrentUser,
    wish: ApiKeyWish,
    current_password: Option<SecretString>,
) -> Result<NewApiKey, AuthError> {
    let now = Timestamp::now();
    check(&wish, now)?;
    if wish.scopes.contains(Scope::Admin) {
        if !user.is_admin() {
            return Err(AuthError::AdminScope);
        }
        confirmations.confirm(user, current_password).await?;
    }
    let secret = Token::api_key();
    let text = secret.expose();
    let key = ApiKey {
        id: Uuid::now_v7().to_string(),
        name: wish.name.trim().to_owned(),
        hint: text[text.len() - 4..].to_owned(),
        scopes: wish.scopes,
        created_at: now,
        expires_at: wish.expires_at,
        last_used_at: None,
    };
    let (row, hash, owner) = (key.clone(), secret.hash(), user.id.clone());
    let event = created_event(user, &key);
    let created = db
        .write(move |connection| {
            Box::pin(async move {
                let inserted = sqlx::query(
                    "INSERT INTO api_key (id, user_id, name, key_hash, hint, created_at, scopes, expires_at)
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?8, ?9
                     WHERE (SELECT count(*) FROM api_key WHERE user_id = ?2) < ?7
                       AND EXISTS (SELECT 1 FROM user WHERE id = ?2 AND deleted_at IS NULL)",
                )
                .bind(row.id)
                .bind(owner.as_str())
                .bind(row.name)
                .bind(hash.as_bytes())
                .bind(row.hint)
                .bind(row.created_at.as_millisecond())
                .bind(MAX_KEYS)
                .bind(row.scopes.as_column())
                .bind(row.expires_at.map(Timestamp::as_millisecond))
                .execute(&mut *connection)
                .await?;
                let is_created = inserted.rows_affected() == 1;
                if is_created {
                    audit::record(connection, event).await?;
                }
                Ok(is_created)
            })
        })
        .await?;
    if created { Ok(NewApiKey { key, secret }) } else { Err(AuthError::TooManyApiKeys(MAX_KEYS)) }
}

fn created_event(user: &CurrentUser, key: &ApiKey) -> Event {
    let scopes: Vec<&str> = key.scopes.iter().map(Scope::as_str).collect();
    Event::new(Action::KeyCreated, user.actor())
        .of(&user.id)
        .with("key_id", key.id.as_str())
        .with("name", key.name.as_str())
        .with("hint", key.hint.as_str())
        .with("scopes", scopes)
        .with("expires_at", key.expires_at.map(Timestamp::as_second))
}

fn check(wish: &ApiKeyWish, now: Timestamp) -> Result<(), AuthError> {
    let name = wish.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(AuthError::BadKeyName);
    }
    if wish.scopes.is_empty() {
        return Err(AuthError::NoScope);
    }
    let latest = now + SignedDuration::from_hours(24 * MAX_DAYS);
    if wish.expires_at.is_some_and(|at| at <= now || at > latest) {
        return Err(AuthError::BadExpiry(MAX_DAYS));
    }
    Ok(())
}

/// The keys of a user, newest first.
pub async fn list_api_keys(db: &Database, user: &UserId) -> Result<Vec<ApiKey>, AuthError> {
    let rows = sqlx::query(
        "SELECT id, name, hint, scopes, created_at, expires_at, last_used_at FROM api_key WHERE user_id = ?
         ORDER BY created_at DESC, id DESC",
    )
    .bind(user.as_str())
    .fetch_all(db.reader())
    .await
    .map_err(DatabaseError::from)?;
    let keys: Result<Vec<ApiKey>, sqlx::Error> = rows
        .iter()
        .map(|row| {
            Ok(ApiKey {
                id: row.try_get("id")?,
                name: row.try_get("name")?,
                hint: row.try_get("hint")?,
                scopes: Scopes::from_column(row.try_get("scopes")?),
                created_at: timestamp(row.try_get("created_at")?),
                expires_at: row.try_get::<Option<i64>, _>("expires_at")?.map(timestamp),
                last_used_at: row.try_get::<Option<i64>, _>("last_used_at")?.map(timestamp),
            })
        })
        .collect();
    Ok(keys.map_err(DatabaseError::from)?)
}

/// Revokes a key of the caller; the next request with it is refused.
pub async fn remove_api_key(
    db: &Database,
    sessions: &Sessions,
    user: &CurrentUser,
    key: &str,
) -> Result<(), AuthError> {
    let (owner, actor, key) = (user.id.clone(), user.actor(), key.to_owned());
    let removed = db
        .write(move |connection| {
            Box::pin(async move {
                let removed: Option<(String, String)> =
                    sqlx::query_as("DELETE FROM api_key WHERE id = ? AND user_id = ? RETURNING name, hint")
                        .bind(&key)
                        .bind(owner.as_str())
                        .fetch_optional(&mut *connection)
                        .await?;
                let Some((name, hint)) = removed else { return Ok(false) };
                let event = Event::new(Action::KeyRevoked, actor).of(&owner);
                audit::record(connection, event.with("key_id", key).with("name", name).with("hint", hint)).await?;
                Ok(true)
            })
        })
        .await?;
    sessions.forget_user(&user.id);
    if removed { Ok(()) } else { Err(AuthError::NoSuchApiKey) }
}

/// Revokes all keys of a user inside a transaction and returns their number. After the commit the
/// caller calls [`Sessions::forget_user`].
pub(crate) async fn revoke_keys_of(connection: &mut SqliteConnection, user: &UserId) -> Result<u64, DatabaseError> {
    let revoked = sqlx::query("DELETE FROM api_key WHERE user_id = ?").bind(user.as_str()).execute(connection).await?;
    Ok(revoked.rows_affected())
}
