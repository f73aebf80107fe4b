//! The current password once more, before a credential is changed.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use super::error::AuthError;
use super::extractor::{Credential, CurrentUser};
use super::passwords::PasswordHasher;
use super::throttle::Throttle;
use super::token::TokenHash;
use crate::audit::{Action, Failure, FailureLog};
use crate::database::{Database, DatabaseError};

/// Time after the password was entered in a session during which it is not asked for again. Whoever
/// has just signed in is not asked twice, and a session that was left open changes no credential.
const FRESH: Duration = Duration::from_secs(10 * 60);

/// Asks people for their current password. Cloning is cheap.
#[derive(Clone)]
pub struct Confirmations {
    db: Database,
    passwords: PasswordHasher,
    throttle: Throttle,
    failures: FailureLog,
}

/// A person who has entered their current password again a short while ago.
#[derive(Debug, Clone)]
pub struct Confirmed(CurrentUser);

impl Confirmed {
    /// The person.
    pub fn person(&self) -> &CurrentUser {
        &self.0
    }
}

impl Confirmations {
    pub(crate) fn new(db: &Database, passwords: &PasswordHasher, throttle: &Throttle, failures: &FailureLog) -> Self {
        Self { db: db.clone(), passwords: passwords.clone(), throttle: throttle.clone(), failures: failures.clone() }
    }

    /// Returns proof that the caller has entered their password: `current`, or in the session a
    /// short while ago. An empty `current` counts as none.
    pub async fn confirm(&self, user: &CurrentUser, current: Option<SecretString>) -> Result<Confirmed, AuthError> {
        let Credential::Session(session) = &user.credential else { return Err(AuthError::PersonOnly) };
        match current.filter(|current| !current.expose_secret().is_empty()) {
            Some(current) => {
                self.check(user, &current).await?;
                self.save(*session).await?;
            }
            None if self.is_fresh(user).await? => {}
            None => return Err(AuthError::PasswordNeeded),
        }
        Ok(Confirmed(user.clone()))
    }

    /// Returns true when the caller would be confirmed without their password.
    pub async fn is_fresh(&self, user: &CurrentUser) -> Result<bool, DatabaseError> {
        let Credential::Session(session) = &user.credential else { return Ok(false) };
        let confirmed: Option<i64> = sqlx::query_scalar("SELECT confirmed_at FROM session WHERE token_hash = ?")
            .bind(session.as_bytes())
            .fetch_optional(self.db.quick_reader())
            .await?
            .flatten();
        let now = Timestamp::now();
        let oldest = (now - FRESH).as_millisecond();
        Ok(confirmed.is_some_and(|at| (oldest..=now.as_millisecond()).contains(&at)))
    }

    /// Checks the caller's password and returns its hash. Wrong attempts are limited.
    pub(super) async fn check(&self, user: &CurrentUser, current: &SecretString) -> Result<Option<String>, AuthError> {
        let attempt = self.throttle.own_password(&user.email)?;
        let hash = sqlx::query("SELECT password_hash FROM user WHERE id = ? AND deleted_at IS NULL")
            .bind(user.id.as_str())
            .fetch_optional(self.db.quick_reader())
            .await
            .and_then(|row| row.map(|row| row.try_get::<String, _>("password_hash")).transpose())
            .map_err(DatabaseError::from)?;
        if !self.passwords.verify(current, hash.clone()).await? {
            let failure =
                Failure { action: Action::PasswordRefused, actor: user.actor(), subject: Some(user.id.clone()) };
            self.failures.add(failure);
            return Err(AuthError::WrongPassword);
        }
        attempt.take_back();
        Ok(hash)
    }

    async fn save(&self, session: TokenHash) -> Result<(), DatabaseError> {
        let now = Timestamp::now().as_millisecond();
        self.db
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("UPDATE session SET confirmed_at = ? WHERE token_hash = ?")
                        .bind(now)
                        .bind(session.as_bytes())
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .await
    }
}
