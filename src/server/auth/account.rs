//! Registration, and changes of one's own password.

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::Row;

use super::error::AuthError;
use super::extractor::{Credential, CurrentUser};
use super::passwords::PasswordHasher;
use super::sessions::{Sessions, end_sessions_of};
use super::sign_in::{SignedIn, start_session};
use super::throttle::Throttle;
use crate::database::{Database, DatabaseError};
use crate::users::{self, InsertIf, NewUser, Role, UserError};
use crate::{Config, Signup};

/// Registers an account and signs it in: the first one as admin, and later ones as users when
/// [`Signup::Open`] allows them.
pub async fn register(
    db: &Database,
    passwords: &PasswordHasher,
    config: &Config,
    name: &str,
    email: &str,
    password: SecretString,
) -> Result<SignedIn, AuthError> {
    // Both are checked before anything is hashed, so that a closed or full server does no work for
    // strangers. The statement that inserts checks again.
    let first = !users::anybody(db).await?;
    let (role, condition) = match (config.signup, first) {
        (Signup::Closed, _) | (Signup::FirstUserOnly, false) => return Err(AuthError::RegistrationClosed),
        (Signup::FirstUserOnly | Signup::Open, true) => (Role::Admin, InsertIf::NoUsers),
        (Signup::Open, false) => (Role::User, InsertIf::SeatFree),
    };
    let max_users = config.max_users;
    if users::count(db).await? >= i64::from(max_users) {
        return Err(UserError::Full(max_users).into());
    }
    let new = NewUser { name: name.to_owned(), email: email.to_owned(), password, role };
    match users::insert(db, passwords, max_users, new.clone(), condition).await {
        Ok(user) => start_session(db, user.id, None).await,
        // A concurrent registration was faster; when registration is open, the slower one is a
        // user.
        Err(UserError::NotFirst) if config.signup == Signup::Open => {
            let new = NewUser { role: Role::User, ..new };
            let user = users::insert(db, passwords, max_users, new, InsertIf::SeatFree).await?;
            start_session(db, user.id, None).await
        }
        Err(UserError::NotFirst) => Err(AuthError::RegistrationClosed),
        Err(error) => Err(error.into()),
    }
}

/// Changes the caller's password and ends all their other sessions. API keys are their own
/// credentials and stay.
pub async fn change_password(
    db: &Database,
    sessions: &Sessions,
    passwords: &PasswordHasher,
    throttle: &Throttle,
    user: &CurrentUser,
    current: SecretString,
    new: SecretString,
) -> Result<(), AuthError> {
    throttle.count(&user.email, None)?;
    let old = sqlx::query("SELECT password_hash FROM user WHERE id = ? AND deleted_at IS NULL")
        .bind(user.id.as_str())
        .fetch_optional(db.reader())
        .await
        .and_then(|row| row.map(|row| row.try_get::<String, _>("password_hash")).transpose())
        .map_err(DatabaseError::from)?;
    if !passwords.verify(&current, old.clone()).await {
        return Err(AuthError::WrongPassword);
    }
    let hash = passwords.hash(&new).await.map_err(UserError::from)?;
    let keep = match user.credential {
        Credential::Session(token) => Some(token),
        Credential::ApiKey => None,
    };
    let id = user.id.clone();
    let changed = db
        .write(move |connection| {
            Box::pin(async move {
                let changed = sqlx::query(
                    "UPDATE user SET password_hash = ?, updated_at = ?
                     WHERE id = ? AND password_hash = ? AND deleted_at IS NULL",
                )
                .bind(hash)
                .bind(Timestamp::now().as_millisecond())
                .bind(id.as_str())
                .bind(old)
                .execute(&mut *connection)
                .await?
                .rows_affected();
                end_sessions_of(connection, &id, keep).await?;
                Ok(changed == 1)
            })
        })
        .await?;
    sessions.forget_user(&user.id);
    if changed { Ok(()) } else { Err(AuthError::WrongPassword) }
}
