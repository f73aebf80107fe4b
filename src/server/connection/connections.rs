//! The connection in use, and its replacement by the admin.

use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use super::error::ConnectionError;
use super::policy::UpstreamPolicy;
use super::upstream::{Connection, ConnectionSource, alternatives, entered_base_url};
use super::verify::{self, ConnectionCheck};
use super::{seal, store};
use crate::audit::{Action, Event};
use crate::auth::Confirmed;
use crate::database::{Database, DatabaseError};
use mai_openrouter::UpstreamError;

/// The connection in use, read for every request and replaced by the admin. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: Database,
    /// Seals the key in the database.
    secret: SecretString,
    current: RwLock<Arc<Connection>>,
    /// In use while the admin has saved none.
    default: Arc<Connection>,
    /// The addresses at which an upstream may be that the admin enters.
    policy: UpstreamPolicy,
    /// The result of the last check of the connection in use.
    check: Mutex<Option<ConnectionCheck>>,
    /// Notified when another connection is in use.
    replaced: Notify,
}

impl Connections {
    /// Loads the admin's connection; without one, `default` is in use.
    pub(crate) async fn load(
        db: &Database,
        secret: &SecretString,
        default: Connection,
        policy: UpstreamPolicy,
    ) -> Result<Self, DatabaseError> {
        let default = Arc::new(default);
        let saved = store::load(db, secret, &policy).await?;
        Ok(Self(Arc::new(Shared {
            db: db.clone(),
            secret: secret.clone(),
            current: RwLock::new(saved.map_or_else(|| Arc::clone(&default), Arc::new)),
            default,
            policy,
            check: Mutex::default(),
            replaced: Notify::new(),
        })))
    }

    /// The connection in use.
    pub fn current(&self) -> Arc<Connection> {
        Arc::clone(&self.0.current.read())
    }

    /// Waits until another connection is in use; for one task at a time.
    pub(crate) async fn replaced(&self) {
        self.0.replaced.notified().await;
    }

    /// Returns the id of a connection, by which the ledger knows where a generation was sent.
    pub(crate) fn id(&self, connection: &Connection) -> String {
        seal::connection_id(&self.0.secret, &connection.base_url, connection.key.as_ref())
    }

    /// The result of the last check of the connection in use; `None` when it was not checked since
    /// the start.
    pub fn last_check(&self) -> Option<ConnectionCheck> {
        self.0.check.lock().clone()
    }

    /// Checks URL and key at the upstream, and only then saves and uses them. Where there are no
    /// models, the same host is tried with the usual paths.
    ///
    /// Without a key, the one in use is kept, but only for the same URL: a key is never sent to
    /// another place than it was entered for.
    pub async fn save(
        &self,
        by: &Confirmed,
        url: &str,
        key: Option<SecretString>,
    ) -> Result<Arc<Connection>, ConnectionError> {
        let base_url = entered_base_url(url)?;
        let key = key.map(|key| SecretString::from(key.expose_secret().trim()));
        let key = match key.filter(|key| !key.expose_secret().is_empty()) {
            Some(key) => Some(key),
            None => {
                let current = self.current();
                let is_meant = current.base_url == base_url || alternatives(&base_url).contains(&current.base_url);
                current.key.clone().filter(|_| is_meant)
            }
        };
        let addresses = self.0.policy.addresses(&base_url);
        let entered = Connection { base_url, key, source: ConnectionSource::Database, addresses };
        let (connection, check) = check_or_complete(entered).await?;
        let sealed_key = match &connection.key {
            Some(key) => Some(
                seal::seal(&self.0.secret, &connection.base_url, key.expose_secret())
                    .map_err(|_| ConnectionError::BadKey)?,
            ),
            None => None,
        };
        let former = self.current();
        let secret_of = |connection: &Connection| connection.key.as_ref().map(|key| key.expose_secret().to_owned());
        let event = Event::new(Action::ConnectionSaved, by.person().actor())
            .with("base_url", connection.base_url.as_str())
            .with("key_changed", secret_of(&former) != secret_of(&connection));
        store::save(&self.0.db, &connection.base_url, sealed_key, event).await?;
        let connection = Arc::new(connection);
        self.replace(Arc::clone(&connection), Some(check));
        tracing::info!(base_url = %connection.base_url, by = %by.person().id, "upstream connection saved");
        Ok(connection)
    }

    /// Removes the admin's connection and returns to the environment's.
    pub async fn clear(&self, by: &Confirmed) -> Result<Arc<Connection>, ConnectionError> {
        let event = Event::new(Action::ConnectionRemoved, by.person().actor());
        store::clear(&self.0.db, event).await?;
        let default = Arc::clone(&self.0.default);
        self.replace(Arc::clone(&default), None);
        tracing::info!(base_url = %default.base_url, by = %by.person().id, "saved upstream connection removed");
        Ok(default)
    }

    /// Checks the connection in use and keeps the result.
    pub async fn verify(&self) -> ConnectionCheck {
        let connection = self.current();
        let check = match verify::check(&connection).await {
            Ok(check) => check,
            Err(error) => ConnectionCheck { ok: false, detail: error.to_string(), at: Timestamp::now() },
        };
        // A connection saved meanwhile has its own check.
        if Arc::ptr_eq(&connection, &self.current()) {
            *self.0.check.lock() = Some(check.clone());
        }
        check
    }

    fn replace(&self, connection: Arc<Connection>, check: Option<ConnectionCheck>) {
        *self.0.check.lock() = check;
        *self.0.current.write() = connection;
        self.0.replaced.notify_one();
    }
}

/// Checks a connection; one without models also at the addresses that may be meant. Returns the one
/// that can be used.
async fn check_or_complete(connection: Connection) -> Result<(Connection, ConnectionCheck), ConnectionError> {
    let error = match verify::check(&connection).await {
        Ok(check) => return Ok((connection, check)),
        Err(
            error @ (ConnectionError::NoModels(_) | ConnectionError::Upstream(UpstreamError::InvalidResponse { .. })),
        ) => error,
        Err(error) => return Err(error),
    };
    for base_url in alternatives(&connection.base_url) {
        let connection = Connection { base_url, ..connection.clone() };
        if let Ok(check) = verify::check(&connection).await {
            return Ok((connection, check));
        }
    }
    Err(error)
}
