//! Secrets generated for an instance, once, and stored outside its data volume.

use rand::RngCore;
use secrecy::SecretString;

use super::{State, StateError};

const READ: &str = "SELECT value FROM generated_secrets WHERE uid = ? AND purpose = ?";

impl State {
    /// Returns the secret of an instance for a purpose, if it was ever generated.
    pub async fn known_secret(&self, uid: &str, purpose: &str) -> Result<Option<SecretString>, StateError> {
        let known: Option<(String,)> = sqlx::query_as(READ)
            .bind(uid)
            .bind(purpose)
            .fetch_optional(&self.inner.readers)
            .await
            .map_err(|source| self.failed(source))?;
        Ok(known.map(|(value,)| SecretString::from(value)))
    }

    /// Returns the secret of an instance for a purpose: 32 random bytes in hex, generated on first
    /// use and the same ever after.
    pub async fn generated_secret(&self, uid: &str, purpose: &str) -> Result<SecretString, StateError> {
        if let Some(known) = self.known_secret(uid, purpose).await? {
            return Ok(known);
        }
        let query = async {
            let mut bytes = [0_u8; 32];
            rand::rng().fill_bytes(&mut bytes);
            sqlx::query("INSERT INTO generated_secrets (uid, purpose, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(uid)
                .bind(purpose)
                .bind(hex::encode(bytes))
                .execute(&self.inner.writer)
                .await?;
            // Read again, so that concurrent callers get the same one.
            let (value,): (String,) =
                sqlx::query_as(READ).bind(uid).bind(purpose).fetch_one(&self.inner.writer).await?;
            Ok(value)
        };
        query.await.map(SecretString::from).map_err(|source| self.failed(source))
    }
}
