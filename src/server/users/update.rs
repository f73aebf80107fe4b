//! Changes of users.

use jiff::Timestamp;
use secrecy::SecretString;

use super::error::UserError;
use super::link;
use super::validate;
use crate::audit::{self, Action, Actor, Event};
use crate::auth::{self, Confirmed, CurrentUser, PasswordHasher, Sessions};
use crate::database::{Database, DatabaseError};
use crate::user::{LOCALES, Role, User, UserId, find};

/// A change of a user. A field that is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    /// A new name.
    pub name: Option<String>,
    /// A new e-mail.
    pub email: Option<String>,
    /// A new role.
    pub role: Option<Role>,
    /// A new password, which ends all their sessions.
    pub password: Option<PasswordReset>,
    /// True to revoke all their API keys.
    pub revoke_keys: bool,
}

impl UserChange {
    /// Returns true for a change of what the user gets in with, or of what they may do.
    fn is_of_credentials(&self) -> bool {
        self.email.is_some() || self.role.is_some() || self.password.is_some() || self.revoke_keys
    }
}

/// A new password that an admin sets.
#[derive(Debug, Clone)]
pub struct PasswordReset {
    /// The new password.
    pub password: SecretString,
    /// The admin, who has entered their own again.
    pub by: Confirmed,
}

/// Changes a user on behalf of `by`. The last admin stays one. A key changes nothing but the name.
pub async fn update(
    db: &Database,
    sessions: &Sessions,
    passwords: &PasswordHasher,
    by: &CurrentUser,
    id: &UserId,
    change: UserChange,
) -> Result<User, UserError> {
    if change.is_of_credentials() && !by.is_person() {
        return Err(UserError::PersonOnly);
    }
    let name = change.name.as_deref().map(validate::name).transpose()?;
    let email = change.email.as_deref().map(validate::email).transpose()?;
    let hash = match &change.password {
        Some(reset) => Some(passwords.hash(&reset.password).await?),
        None => None,
    };
    let (owner, role, revoke_keys, actor) = (id.clone(), change.role, change.revoke_keys, by.actor());
    let outcome = db
        .write(move |connection| {
            Box::pin(async move {
                let Some(before) = find(connection, &owner).await? else { return Ok(Err(UserError::NotFound)) };
                let changed = sqlx::query(
                    "UPDATE user SET name = coalesce(?2, name), email = coalesce(?3, email), role = coalesce(?4, role),
                            password_hash = coalesce(?5, password_hash), updated_at = ?6
                     WHERE id = ?1 AND deleted_at IS NULL AND (role <> 'admin' OR coalesce(?4, 'admin') = 'admin'
                        OR (SELECT count(*) FROM user WHERE role = 'admin' AND deleted_at IS NULL) > 1)",
                )
                .bind(owner.as_str())
                .bind(name)
                .bind(email)
                .bind(role.map(Role::as_str))
                .bind(&hash)
                .bind(Timestamp::now().as_millisecond())
                .execute(&mut *connection)
                .await?;
                if changed.rows_affected() == 0 {
                    return Ok(Err(UserError::LastAdmin));
                }
                if hash.is_some() {
                    auth::end_sessions_of(connection, &owner, None).await?;
                }
                if role == Some(Role::User) && before.role == Role::Admin {
                    link::end_those_of(connection, &owner).await?;
                }
                let revoked = if revoke_keys { auth::revoke_keys_of(connection, &owner).await? } else { 0 };
                let after = find(connection, &owner).await?.unwrap_or_else(|| before.clone());
                for event in events(&actor, &before, &after, hash.is_some(), revoked) {
                    audit::record(connection, event).await?;
                }
                Ok(Ok(after))
            })
        })
        .await;
    sessions.forget_user(id);
    match outcome {
        Ok(outcome) => outcome,
        Err(error) if error.is_unique_violation() => Err(UserError::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

/// Returns the events of a change. A name is no credential.
fn events(actor: &Actor, before: &User, after: &User, is_reset: bool, revoked_keys: u64) -> Vec<Event> {
    let event = |action| Event::new(action, actor.clone()).of(&before.id);
    let mut events = Vec::new();
    if before.email != after.email {
        let (from, to) = (before.email.as_str(), after.email.as_str());
        events.push(event(Action::EmailChanged).with("from", from).with("to", to));
    }
    if before.role != after.role {
        events.push(event(Action::RoleChanged).with("role", after.role.as_str()));
    }
    if is_reset {
        events.push(event(Action::PasswordReset));
    }
    if revoked_keys > 0 {
        events.push(event(Action::KeysRevoked).with("keys", revoked_keys));
    }
    events
}

/// Changes a user's own name.
pub async fn set_name(
    db: &Database,
    sessions: &Sessions,
    passwords: &PasswordHasher,
    user: &CurrentUser,
    name: &str,
) -> Result<User, UserError> {
    let change = UserChange { name: Some(name.to_owned()), ..UserChange::default() };
    update(db, sessions, passwords, user, &user.id, change).await
}

/// Changes a user's language; `None` leaves the choice to the server and the browser.
pub async fn set_locale(
    db: &Database,
    sessions: &Sessions,
    id: &UserId,
    locale: Option<&str>,
) -> Result<(), UserError> {
    if locale.is_some_and(|locale| !LOCALES.contains(&locale)) {
        return Err(UserError::BadLocale);
    }
    let (owner, locale) = (id.clone(), locale.map(str::to_owned));
    db.write(move |connection| {
        Box::pin(async move {
            sqlx::query("UPDATE user SET locale = ?, updated_at = ? WHERE id = ?")
                .bind(locale)
                .bind(Timestamp::now().as_millisecond())
                .bind(owner.as_str())
                .execute(connection)
                .await?;
            Ok::<(), DatabaseError>(())
        })
    })
    .await?;
    sessions.forget_user(id);
    Ok(())
}
