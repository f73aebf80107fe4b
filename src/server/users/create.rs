//! Creation of accounts.

use std::net::IpAddr;

use jiff::Timestamp;
use secrecy::SecretString;

use super::error::UserError;
use super::find::anybody;
use super::link;
use super::validate;
use crate::audit::{self, Action, Actor, Event};
use crate::auth::{PasswordHasher, TokenHash};
use crate::database::Database;
use crate::user::{Role, User, UserId};

/// An account to create.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Their name.
    pub name: String,
    /// Their e-mail.
    pub email: String,
    /// Their first password.
    pub password: SecretString,
    /// Their rights.
    pub role: Role,
}

/// The condition of an insertion, checked by the statement that inserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InsertIf {
    /// There has never been an account.
    NoUsers,
    /// Fewer accounts than the limit exist.
    SeatFree,
    /// Fewer accounts exist, and the invitation with this token works; it is used up then.
    Invited(TokenHash),
}

/// The cause of a new account, for the audit log.
#[derive(Debug, Clone)]
pub(super) enum CreatedBy {
    /// An admin, or the configuration.
    Actor(Actor),
    /// Its owner, who registers from this address.
    Owner(Option<IpAddr>),
}

impl CreatedBy {
    fn event(self, user: &User) -> Event {
        let event = match self {
            Self::Actor(actor) => Event::new(Action::AccountAdded, actor),
            Self::Owner(address) => Event::new(Action::AccountRegistered, Actor::account(user.id.clone(), address)),
        };
        event.of(&user.id).with("role", user.role.as_str())
    }
}

/// Creates an account while fewer than `max_users` exist.
pub async fn create(
    db: &Database,
    passwords: &PasswordHasher,
    max_users: u32,
    by: Actor,
    new: NewUser,
) -> Result<User, UserError> {
    insert(db, passwords, max_users, CreatedBy::Actor(by), new, InsertIf::SeatFree).await
}

/// Inserts an account by one statement that checks the condition and inserts at once, so that of
/// many concurrent calls exactly as many succeed as may.
pub(super) async fn insert(
    db: &Database,
    passwords: &PasswordHasher,
    max_users: u32,
    by: CreatedBy,
    new: NewUser,
    condition: InsertIf,
) -> Result<User, UserError> {
    let now = Timestamp::now();
    let user = User {
        id: UserId::new(),
        name: validate::name(&new.name)?,
        email: validate::email(&new.email)?,
        role: new.role,
        locale: None,
        created_at: now,
        updated_at: now,
        last_active_at: None,
        deleted_at: None,
    };
    let hash = passwords.hash(&new.password).await?;
    let statement = match condition {
        InsertIf::NoUsers => {
            "INSERT INTO user (id, name, email, role, password_hash, created_at, updated_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6 WHERE NOT EXISTS (SELECT 1 FROM user) AND ?7 > 0"
        }
        InsertIf::SeatFree | InsertIf::Invited(_) => {
            "INSERT INTO user (id, name, email, role, password_hash, created_at, updated_at)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6 WHERE (SELECT count(*) FROM user WHERE deleted_at IS NULL) < ?7"
        }
    };
    let row = user.clone();
    let event = by.event(&user);
    let inserted = db
        .write(move |connection| {
            Box::pin(async move {
                if let InsertIf::Invited(token) = condition
                    && !link::is_open(connection, token, now.as_millisecond()).await?
                {
                    return Ok(false);
                }
                let done = sqlx::query(statement)
                    .bind(row.id.as_str())
                    .bind(row.name)
                    .bind(row.email)
                    .bind(row.role.as_str())
                    .bind(hash)
                    .bind(row.created_at.as_millisecond())
                    .bind(max_users)
                    .execute(&mut *connection)
                    .await?;
                let is_created = done.rows_affected() == 1;
                if is_created {
                    if let InsertIf::Invited(token) = condition {
                        link::mark_used(connection, token, now.as_millisecond()).await?;
                    }
                    audit::record(connection, event).await?;
                }
                Ok(is_created)
            })
        })
        .await;
    match inserted {
        Ok(true) => Ok(user),
        Ok(false) if condition == InsertIf::NoUsers => Err(UserError::NotFirst),
        Ok(false) => Err(UserError::Full(max_users)),
        Err(error) if error.is_unique_violation() => Err(UserError::EmailTaken),
        Err(error) => Err(error.into()),
    }
}

/// Creates the declared admin while there are no accounts.
pub(crate) async fn create_declared_admin(
    db: &Database,
    passwords: &PasswordHasher,
    max_users: u32,
    admin: NewUser,
) -> Result<(), UserError> {
    if anybody(db).await? {
        return Ok(());
    }
    let by = CreatedBy::Actor(Actor::server());
    match insert(db, passwords, max_users, by, admin, InsertIf::NoUsers).await {
        Ok(user) => {
            tracing::info!(email = %user.email, "declared admin created");
            Ok(())
        }
        Err(UserError::NotFirst) => Ok(()),
        Err(error) => Err(error),
    }
}
