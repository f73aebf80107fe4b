//! Secrets generated for an instance, once, and stored outside its data volume.

use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};

use super::{State, StateError};
use crate::core::KeyRecord;

/// Purpose of the keys that were made at the upstream, with the value of the present one.
const KEYS: &str = "upstream-keys";

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

    /// Returns the keys that were made for an instance.
    pub async fn keys(&self, uid: &str) -> Result<KeyRecord, StateError> {
        let Some(stored) = self.known_secret(uid, KEYS).await? else { return Ok(KeyRecord::default()) };
        serde_json::from_str(stored.expose_secret()).map_err(|source| self.unreadable("keys of the upstream", source))
    }

    /// Stores the keys that were made for an instance; removes what is stored if there are none.
    pub async fn put_keys(&self, uid: &str, keys: &KeyRecord) -> Result<(), StateError> {
        let query = match *keys == KeyRecord::default() {
            true => sqlx::query("DELETE FROM generated_secrets WHERE uid = ? AND purpose = ?").bind(uid).bind(KEYS),
            false => {
                let json =
                    serde_json::to_string(keys).map_err(|source| self.unreadable("keys of the upstream", source))?;
                sqlx::query("INSERT OR REPLACE INTO generated_secrets (uid, purpose, value) VALUES (?, ?, ?)")
                    .bind(uid)
                    .bind(KEYS)
                    .bind(json)
            }
        };
        query.execute(&self.inner.writer).await.map(drop).map_err(|source| self.failed(source))
    }
}
