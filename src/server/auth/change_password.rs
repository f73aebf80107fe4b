//! Changes of one's own password.

use jiff::Timestamp;
use secrecy::SecretString;
use sqlx::Row;

use super::error::AuthError;
use super::extractor::{Credential, CurrentUser};
use super::passwords::PasswordHasher;
use super::sessions::{Sessions, end_sessions_of};
use super::throttle::Throttle;
use crate::database::{Database, DatabaseError};

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
    let attempt = throttle.own_password(&user.email)?;
    let old = sqlx::query("SELECT password_hash FROM user WHERE id = ? AND deleted_at IS NULL")
        .bind(user.id.as_str())
        .fetch_optional(db.reader())
        .await
        .and_then(|row| row.map(|row| row.try_get::<String, _>("password_hash")).transpose())
        .map_err(DatabaseError::from)?;
    if !passwords.verify(&current, old.clone()).await? {
        return Err(AuthError::WrongPassword);
    }
    attempt.take_back();
    let hash = passwords.hash(&new).await?;
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
