//! The admin's connection as a row of table `setting`.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::policy::UpstreamPolicy;
use super::seal;
use super::upstream::{Connection, ConnectionSource};
use crate::audit::{self, Event};
use crate::database::{Database, DatabaseError};

/// The key of the row.
const SETTING: &str = "connection";

#[derive(Serialize, Deserialize)]
struct SavedConnection {
    base_url: String,
    sealed_key: Option<String>,
}

/// Loads the admin's connection. One that cannot be opened does not stop the start: the admin can
/// enter the key again.
pub(super) async fn load(
    db: &Database,
    secret: &SecretString,
    policy: &UpstreamPolicy,
) -> Result<Option<Connection>, DatabaseError> {
    let saved: Option<String> =
        sqlx::query_scalar("SELECT value FROM setting WHERE key = ?").bind(SETTING).fetch_optional(db.reader()).await?;
    Ok(saved.and_then(|text| open(&text, secret, policy)))
}

fn open(text: &str, secret: &SecretString, policy: &UpstreamPolicy) -> Option<Connection> {
    let saved: SavedConnection = match serde_json::from_str(text) {
        Ok(saved) => saved,
        Err(error) => {
            tracing::error!(%error, "the saved connection can't be read; using the environment's. Save it again");
            return None;
        }
    };
    let key = match saved.sealed_key.map(|sealed| seal::open(secret, &saved.base_url, &sealed)).transpose() {
        Ok(key) => key,
        Err(error) => {
            tracing::error!(
                "{error}; using the environment's connection. Enter the key again, or set the former secret"
            );
            return None;
        }
    };
    let addresses = policy.addresses(&saved.base_url);
    Some(Connection { base_url: saved.base_url, key, source: ConnectionSource::Database, addresses })
}

/// Saves a connection with its sealed key.
pub(super) async fn save(
    db: &Database,
    base_url: &str,
    sealed_key: Option<String>,
    event: Event,
) -> Result<(), DatabaseError> {
    let saved = SavedConnection { base_url: base_url.to_owned(), sealed_key };
    let value = serde_json::to_string(&saved).map_err(|error| sqlx::Error::Encode(error.into()))?;
    db.write(move |connection| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO setting (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            )
            .bind(SETTING)
            .bind(value)
            .execute(&mut *connection)
            .await?;
            audit::record(connection, event).await
        })
    })
    .await
}

/// Removes the admin's connection.
pub(super) async fn clear(db: &Database, event: Event) -> Result<(), DatabaseError> {
    db.write(move |connection| {
        Box::pin(async move {
            let removed =
                sqlx::query("DELETE FROM setting WHERE key = ?").bind(SETTING).execute(&mut *connection).await?;
            if removed.rows_affected() == 1 {
                audit::record(connection, event).await?;
            }
            Ok(())
        })
    })
    .await
}
