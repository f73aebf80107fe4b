//! Changes of one's own password.

use jiff::Timestamp;
use secrecy::SecretString;

use super::confirmation::Confirmations;
use super::error::AuthError;
use super::extractor::{Credential, CurrentUser};
use super::passwords::PasswordHasher;
use super::sessions::{Sessions, end_sessions_of};
use crate::audit::{self, Action, Event};
use crate::database::Database;

/// Changes the caller's password and ends all their other sessions. API keys are their own
/// credentials and stay.
pub async fn change_password(
    db: &Database,
    sessions: &Sessions,
    passwords: &PasswordHasher,
    confirmations: &Confirmations,
    user: &CurrentUser,
    current: SecretString,
    new: SecretString,
) -> Result<(), AuthError> {
    let Credential::Session(keep) = user.credential else { return Err(AuthError::PersonOnly) };
    let old = confirmations.check(user, &current).await?;
    let hash = passwords.hash(&new).await?;
    let id = user.id.clone();
    let event = Event::new(Action::PasswordChanged, user.actor()).of(&user.id);
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
                end_sessions_of(connection, &id, Some(keep)).await?;
                if changed == 1 {
                    audit::record(connection, event).await?;
                }
                Ok(changed == 1)
            })
        })
        .await?;
    sessions.forget_user(&user.id);
    if changed { Ok(()) } else { Err(AuthError::WrongPassword) }
}
