//! Sessions and whose they are: rows in the database, and a bounded cache in front of them for the hot path.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use sqlx::{Row, SqliteConnection};

use super::{AuthError, Credential, CurrentUser, Token, TokenHash};
use crate::{App, database::DatabaseError, users::UserId};

/// How long a session lasts from sign-in: four weeks.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(28 * 24 * 60 * 60);

/// How often at most a session's and a person's "last seen" is written.
const SEEN_EVERY_MS: i64 = 5 * 60 * 1000;
/// Most credentials remembered; 20 people with a few devices and keys each stay far below.
const CACHED: usize = 1024;

/// Whose credential is whose, so that a request does not read the database.
#[derive(Debug, Default)]
pub struct SessionCache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    credentials: HashMap<TokenHash, Entry>,
    /// Grows with every invalidation. What was read before one must not be remembered after it.
    age: u64,
}

#[derive(Debug)]
struct Entry {
    user: CurrentUser,
    /// Milliseconds; `i64::MAX` for API keys.
    expires_at: i64,
    seen_at: i64,
}

impl SessionCache {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock()
    }

    /// Forgets one credential.
    pub(super) fn forget(&self, credential: TokenHash) {
        let mut known = self.known();
        known.age += 1;
        known.credentials.remove(&credential);
    }

    /// Forgets all credentials of a user; call it after the commit of whatever changed them.
    pub fn forget_user(&self, user: &UserId) {
        let mut known = self.known();
        known.age += 1;
        known.credentials.retain(|_, entry| entry.user.id != *user);
    }

    fn age(&self) -> u64 {
        self.known().age
    }

    fn remember(&self, credential: TokenHash, entry: Entry, read_at_age: u64) {
        let mut known = self.known();
        if known.age != read_at_age {
            return;
        }
        if known.credentials.len() >= CACHED {
            let now = Timestamp::now().as_millisecond();
            known.credentials.retain(|_, entry| entry.expires_at > now);
            if known.credentials.len() >= CACHED {
                known.credentials.clear();
            }
        }
        known.credentials.insert(credential, entry);
    }

    /// The user of a remembered credential, and whether "last seen" is due to be written.
    fn recall(&self, credential: &TokenHash, now: i64) -> Option<(CurrentUser, bool)> {
        let mut known = self.known();
        let entry = known.credentials.get_mut(credential)?;
        if entry.expires_at <= now {
            known.credentials.remove(credential);
            return None;
        }
        let due = now - entry.seen_at >= SEEN_EVERY_MS;
        if due {
            entry.seen_at = now;
        }
        Some((entry.user.clone(), due))
    }
}

/// Whose credential this is; a session's token or an API key.
pub(super) async fn user_of(app: &App, token: &str) -> Result<CurrentUser, AuthError> {
    let credential = TokenHash::of(token);
    let now = Timestamp::now().as_millisecond();
    if let Some((user, due)) = app.sessions.recall(&credential, now) {
        if due {
            write_seen(app, &user, credential, now);
        }
        return Ok(user);
    }

    let age = app.sessions.age();
    let (user, expires_at, seen_at) = if token.starts_with(super::token::API_KEY_PREFIX) {
        find_api_key(app, credential).await?
    } else {
        find_session(app, credential, now).await?
    }
    .ok_or(AuthError::InvalidToken)?;
    let due = now - seen_at >= SEEN_EVERY_MS;
    let seen_at = if due { now } else { seen_at };
    app.sessions.remember(credential, Entry { user: user.clone(), expires_at, seen_at }, age);
    if due {
        write_seen(app, &user, credential, now);
    }
    Ok(user)
}

type Found = Option<(CurrentUser, i64, i64)>;

async fn find_session(app: &App, credential: TokenHash, now: i64) -> Result<Found, DatabaseError> {
    let row = sqlx::query(
        "SELECT user.id, user.name, user.email, user.role, user.locale, session.expires_at, session.last_seen_at
         FROM session JOIN user ON user.id = session.user_id
         WHERE session.token_hash = ? AND session.expires_at > ? AND user.deleted_at IS NULL",
    )
    .bind(credential.as_bytes())
    .bind(now)
    .fetch_optional(app.db.reader())
    .await?;
    row.map(|row| {
        let user = CurrentUser::from_row(&row, Credential::Session(credential))?;
        Ok((user, row.try_get("expires_at")?, row.try_get("last_seen_at")?))
    })
    .transpose()
}

async fn find_api_key(app: &App, credential: TokenHash) -> Result<Found, DatabaseError> {
    let row = sqlx::query(
        "SELECT user.id, user.name, user.email, user.role, user.locale, api_key.last_used_at
         FROM api_key JOIN user ON user.id = api_key.user_id
         WHERE api_key.key_hash = ? AND user.deleted_at IS NULL",
    )
    .bind(credential.as_bytes())
    .fetch_optional(app.db.reader())
    .await?;
    row.map(|row| {
        let user = CurrentUser::from_row(&row, Credential::ApiKey)?;
        Ok((user, i64::MAX, row.try_get::<Option<i64>, _>("last_used_at")?.unwrap_or(0)))
    })
    .transpose()
}

fn write_seen(app: &App, user: &CurrentUser, credential: TokenHash, now: i64) {
    let id = user.id.clone();
    let statement = match user.credential {
        Credential::Session(_) => "UPDATE session SET last_seen_at = ? WHERE token_hash = ?",
        Credential::ApiKey => "UPDATE api_key SET last_used_at = ? WHERE key_hash = ?",
    };
    app.db.write_later(move |connection| {
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

/// Starts a session inside a transaction; expired ones of the same user are swept on the way.
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
        "INSERT INTO session (token_hash, user_id, created_at, last_seen_at, expires_at) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(token.hash().as_bytes().to_vec())
    .bind(user.as_str())
    .bind(now.as_millisecond())
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

/// Ends all sessions of a user inside a transaction, but for the one to keep. The cache is the caller's to clear.
pub(crate) async fn end_sessions_of(
    connection: &mut SqliteConnection,
    user: &UserId,
    keep: Option<TokenHash>,
) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM session WHERE user_id = ? AND token_hash IS NOT ?")
        .bind(user.as_str())
        .bind(keep.map(|hash| hash.as_bytes().to_vec()))
        .execute(connection)
        .await?;
    Ok(())
}
