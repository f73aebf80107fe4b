//! The admin's connection in the database, and which connection is in use.

use std::sync::Arc;

use parking_lot::Mutex;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{Connection, ConnectionError, ConnectionSource, Connections, base_url, seal, verify};
use crate::{
    App, Config, ServeError,
    database::{Database, DatabaseError},
};

/// The row of table `setting` it is kept in.
const SETTING: &str = "connection";

#[derive(Serialize, Deserialize)]
struct Saved {
    base_url: String,
    sealed_key: Option<String>,
}

/// The connections of a starting server: the admin's when there is one, else the mock's or the environment's.
pub(crate) async fn load(
    config: &Config,
    db: &Database,
    secret: &SecretString,
    mock: Option<Connection>,
) -> Result<Connections, ServeError> {
    let seed = Arc::new(mock.unwrap_or_else(|| Connection {
        base_url: config.openai_api_base_url.clone(),
        key: config.openai_api_key.clone(),
        source: ConnectionSource::Environment,
    }));
    let saved: Option<String> = sqlx::query_scalar("SELECT value FROM setting WHERE key = ?")
        .bind(SETTING)
        .fetch_optional(db.reader())
        .await
        .map_err(DatabaseError::from)?;
    let current = saved.and_then(|text| opened(&text, secret)).map_or_else(|| seed.clone(), Arc::new);
    Ok(Connections { current: watch::Sender::new(current), seed, verdict: Mutex::new(None) })
}

/// A saved connection that can't be opened must not stop the start: the admin can enter the key again.
fn opened(text: &str, secret: &SecretString) -> Option<Connection> {
    let saved: Saved = match serde_json::from_str(text) {
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
    Some(Connection { base_url: saved.base_url, key, source: ConnectionSource::Database })
}

/// The connection in use.
pub fn current(app: &App) -> Arc<Connection> {
    app.connections.current()
}

/// Asks the upstream whether URL and key are good, and only then saves and uses them. Without a key, the one in use is
/// kept, but only for the same URL: a key is never sent to another place than it was entered for.
pub async fn save(app: &App, url: &str, key: Option<SecretString>) -> Result<Arc<Connection>, ConnectionError> {
    let base_url = base_url(url)?;
    let key = key.map(|key| SecretString::from(key.expose_secret().trim()));
    let key = match key.filter(|key| !key.expose_secret().is_empty()) {
        Some(key) => Some(key),
        None => {
            let current = app.connections.current();
            current.key.clone().filter(|_| current.base_url == base_url)
        }
    };
    let connection = Connection { base_url, key, source: ConnectionSource::Database };
    let verdict = verify::ask(&connection).await?;

    let sealed_key = match &connection.key {
        Some(key) => Some(
            seal::seal(&app.secret, &connection.base_url, key.expose_secret()).map_err(|_| ConnectionError::BadKey)?,
        ),
        None => None,
    };
    let saved = Saved { base_url: connection.base_url.clone(), sealed_key };
    let value = serde_json::to_string(&saved).map_err(|_| ConnectionError::BadKey)?;
    app.db
        .write(move |db| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO setting (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                )
                .bind(SETTING)
                .bind(value)
                .execute(db)
                .await?;
                Ok(())
            })
        })
        .await?;
    let connection = Arc::new(connection);
    app.connections.replace(connection.clone(), Some(verdict));
    tracing::info!(base_url = %connection.base_url, "the upstream connection was saved");
    Ok(connection)
}

/// Forgets the admin's connection and goes back to the environment's.
pub async fn clear(app: &App) -> Result<Arc<Connection>, ConnectionError> {
    app.db
        .write(|db| {
            Box::pin(async move {
                sqlx::query("DELETE FROM setting WHERE key = ?").bind(SETTING).execute(db).await?;
                Ok(())
            })
        })
        .await?;
    let seed = app.connections.seed.clone();
    app.connections.replace(seed.clone(), None);
    tracing::info!(base_url = %seed.base_url, "the saved upstream connection was cleared");
    Ok(seed)
}
