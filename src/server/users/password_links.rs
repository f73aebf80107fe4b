//! Links by which somebody whose password was forgotten chooses another one.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::Row;
use uuid::Uuid;

use super::error::UserError;
use super::find::get;
use super::link::{self, LinkError};
use crate::audit::{self, Action, Actor, Event};
use crate::auth::{self, Confirmed, PasswordHasher, Sessions, Token, TokenHash};
use crate::database::{Database, DatabaseError};
use crate::user::{User, UserId};

/// Time for which a link works.
const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Makes a link by which a user chooses another password. A former one does not work any more.
pub async fn make_password_link(db: &Database, by: &Confirmed, id: &UserId) -> Result<(User, Token), UserError> {
    let user = get(db, id).await?;
    let (token, now) = (Token::link(), Timestamp::now());
    let (hash, owner, actor) = (link::bound(&token), user.id.clone(), by.person().actor());
    let made = db.write(move |connection| {
        Box::pin(async move {
            link::remove_old(connection, now).await?;
            sqlx::query("DELETE FROM account_link WHERE user_id = ? AND used_at IS NULL")
                .bind(owner.as_str())
                .execute(&mut *connection)
                .await?;
            sqlx::query(
                "INSERT INTO account_link (id, token_hash, user_id, created_by, created_at, expires_at)
                 VALUES (?, ?, ?, ?, ?, ?)",
            )
            .bind(Uuid::now_v7().to_string())
            .bind(hash)
            .bind(owner.as_str())
            .bind(actor.user.as_ref().map_or("", |user| user.as_str()).to_owned())
            .bind(now.as_millisecond())
            .bind((now + LIFETIME).as_millisecond())
            .execute(&mut *connection)
            .await?;
            audit::record(connection, Event::new(Action::PasswordLinkMade, actor).of(&owner)).await
        })
    });
    made.await?;
    Ok((user, token))
}

/// Returns the user whose password a link changes.
pub async fn password_link_owner(db: &Database, token: &str) -> Result<User, UserError> {
    let row = link::find(db, token).await??;
    let owner: Option<String> = row.try_get("user_id").map_err(DatabaseError::from)?;
    let owner = owner.ok_or(LinkError::Unknown)?;
    match get(db, &UserId::from(owner)).await {
        Err(UserError::NotFound) => Err(LinkError::Unknown.into()),
        found => found,
    }
}

/// Gives the owner of a link another password, and ends all their sessions.
pub async fn reset_password(
    db: &Database,
    sessions: &Sessions,
    passwords: &PasswordHasher,
    token: &str,
    password: &SecretString,
    address: Option<IpAddr>,
) -> Result<User, UserError> {
    let user = password_link_owner(db, token).await?;
    let hash = passwords.for_strangers().hash(password).await?;
    let (owner, token_hash) = (user.id.clone(), TokenHash::new(token));
    let changed = db.write(move |connection| {
        Box::pin(async move {
            let now = Timestamp::now().as_millisecond();
            if !link::mark_used(connection, token_hash, now).await? {
                return Ok(false);
            }
            sqlx::query("UPDATE user SET password_hash = ?2, updated_at = ?3 WHERE id = ?1 AND deleted_at IS NULL")
                .bind(owner.as_str())
                .bind(hash)
                .bind(now)
                .execute(&mut *connection)
                .await?;
            auth::end_sessions_of(connection, &owner, None).await?;
            let event = Event::new(Action::PasswordChanged, Actor::account(owner.clone(), address));
            audit::record(connection, event.of(&owner).with("by_link", true)).await?;
            Ok(true)
        })
    });
    let changed = changed.await?;
    sessions.forget_user(&user.id);
    // Somebody else was faster.
    if changed { Ok(user) } else { Err(LinkError::Used.into()) }
}
