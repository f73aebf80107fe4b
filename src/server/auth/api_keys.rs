//! API keys: several for each user, each with a name, shown once.

use jiff::Timestamp;
use sqlx::Row;
use uuid::Uuid;

use super::error::AuthError;
use super::extractor::CurrentUser;
use super::sessions::Sessions;
use super::token::Token;
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// Most keys of one user.
const MAX_KEYS: i64 = 50;

/// An API key as its owner sees it again later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, to remove it by.
    pub id: String,
    /// The name its owner gave it.
    pub name: String,
    /// Its last four characters.
    pub hint: String,
    /// The time it was created.
    pub created_at: Timestamp,
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

/// Creates a key for the caller.
pub async fn create_api_key(db: &Database, user: &CurrentUser, name: &str) -> Result<NewApiKey, AuthError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(AuthError::BadKeyName);
    }
    let secret = Token::api_key();
    let text = secret.expose();
    let key = ApiKey {
        id: Uuid::now_v7().to_string(),
        name: name.to_owned(),
        hint: text[text.len() - 4..].to_owned(),
        created_at: Timestamp::now(),
        last_used_at: None,
    };
    let (row, hash, owner) = (key.clone(), secret.hash(), user.id.clone());
    let created = db
        .write(move |connection| {
            Box::pin(async move {
                let inserted = sqlx::query(
                    "INSERT INTO api_key (id, user_id, name, key_hash, hint, created_at)
                     SELECT ?1, ?2, ?3, ?4, ?5, ?6
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
                .execute(connection)
                .await?;
                Ok(inserted.rows_affected() == 1)
            })
        })
        .await?;
    if created { Ok(NewApiKey { key, secret }) } else { Err(AuthError::TooManyApiKeys(MAX_KEYS)) }
}

/// The keys of a user, newest first.
pub async fn list_api_keys(db: &Database, user: &UserId) -> Result<Vec<ApiKey>, AuthError> {
    let rows = sqlx::query(
        "SELECT id, name, hint, created_at, last_used_at FROM api_key WHERE user_id = ? ORDER BY created_at DESC, id DESC",
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
                created_at: crate::user::timestamp(row.try_get("created_at")?),
                last_used_at: row.try_get::<Option<i64>, _>("last_used_at")?.map(crate::user::timestamp),
            })
        })
        .collect();
    Ok(keys.map_err(DatabaseError::from)?)
}

/// Revokes a key of the user; the next request with it is refused.
pub async fn remove_api_key(db: &Database, sessions: &Sessions, user: &UserId, key: &str) -> Result<(), AuthError> {
    let (owner, key) = (user.clone(), key.to_owned());
    let removed = db
        .write(move |connection| {
            Box::pin(async move {
                let removed = sqlx::query("DELETE FROM api_key WHERE id = ? AND user_id = ?")
                    .bind(key)
                    .bind(owner.as_str())
                    .execute(connection)
                    .await?;
                Ok(removed.rows_affected() == 1)
            })
        })
        .await?;
    sessions.forget_user(user);
    if removed { Ok(()) } else { Err(AuthError::NoSuchApiKey) }
}
